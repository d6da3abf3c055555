"""What all folders of the local service use: the clock, the logger, plain values.

It imports no other folder. Code that only one folder needs belongs to that folder.
"""
