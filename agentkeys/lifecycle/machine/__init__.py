"""The decisions: the states of a key as data, and one row for each pair of state and event.

All of it is pure. The entries are in `journal`, and the work in `driving`.
"""
