"""What stores in files stand on: how a file is replaced, and whether git keeps it.

Nothing here knows what a file holds.
"""
