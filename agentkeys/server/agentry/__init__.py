"""Agentry: its routes on two surfaces, the rows behind them, scopes and cursors.

Requests are read in `http`, and rows are stored by `storage`.
"""
