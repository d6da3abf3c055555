"""What Agentry does: its routes on two surfaces, the rows behind them, scopes and cursors.

How a request is read, and where rows lie, is none of it: see `http` and `storage`.
"""
