"""Agentity: its routes, the rows behind them, its sessions and its access tokens.

Requests are read in `http`, and rows are stored by `storage`.
"""
