"""What every room of the local service stands on: the clock, the logger, plain values.

It imports no other room. What only one room needs belongs there.
"""
