"""The database: its file and ownership, transactions, the tables, and hashes of secrets.

The meaning of the rows is in `agentity` and `agentry`.
"""
