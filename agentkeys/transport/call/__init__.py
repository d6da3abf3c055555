"""What a call is: its endpoint and its request, how far it has come, and how its errors read.

Nothing is sent from here, and no answer is read: `wire` and `reading` are built on this.
"""
