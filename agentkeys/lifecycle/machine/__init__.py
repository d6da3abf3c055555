"""What is decided: the states of a key as data, and one row for each event that may meet them.

All of it is pure. What is remembered lives in `journal`, what is done in `driving`.
"""
