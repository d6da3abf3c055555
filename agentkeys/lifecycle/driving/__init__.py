"""The driver, and the code that runs its commands: create, verify, store, look, list and delete.

Decisions are in `machine`, and texts in `outcomes`.
"""
