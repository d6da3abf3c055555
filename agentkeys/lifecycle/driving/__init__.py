"""What is done: the driver, and the hands that make, try, store, look, list and delete.

Nothing is decided here, and nothing is said: that lives in `machine` and `outcomes`.
"""
