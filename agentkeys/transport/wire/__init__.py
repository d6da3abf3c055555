"""Send one request over aiohttp's connections, and say what was lost on the way.

This is the only part of the client that imports aiohttp at run time. The meaning of a call and its
retries are elsewhere.
"""
