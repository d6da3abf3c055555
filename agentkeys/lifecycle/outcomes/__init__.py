"""What it came to: what callers get, and every sentence that the lifecycle ends in.

Nothing is done here. The ways in, which return and raise it, are one floor above.
"""
