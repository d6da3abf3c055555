"""The socket: connections and their limits, requests, answers, and authorization.

It contains nothing of the services or of the tables.
"""
