"""The database: its file and whose it is, transactions, the tables, and what is kept of secrets.

What the rows mean to a service is none of it: see `agentity` and `agentry`.
"""
