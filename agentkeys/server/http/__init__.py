"""The socket: connections and their limits, what comes in, what goes out, and who may ask.

It knows no service and no table: what a route does is theirs.
"""
