"""The commands that run the local service, and that control one that runs.

The service itself is in `agentkeys.server`.
"""
