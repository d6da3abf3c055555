"""What Agentity does: its routes, the rows behind them, its sessions and its access tokens.

How a request is read, and where rows lie, is none of it: see `http` and `storage`.
"""
