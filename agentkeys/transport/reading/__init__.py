"""Reading what came back: pure functions from bytes to a record, an error, or a salvaged secret.

Nothing is sent from here, and nothing is tried again.
"""
