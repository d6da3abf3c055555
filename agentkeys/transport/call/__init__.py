"""A call: its endpoint and its request, its progress, and the texts of its errors.

Nothing here sends a request or reads an answer: `wire` and `reading` import this folder.
"""
