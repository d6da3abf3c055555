"""What goes over the wire: one try, on the connections of aiohttp, and what was lost on the way.

It is the only part of the client with aiohttp in it. What a call means, and when it is tried again,
is none of it.
"""
