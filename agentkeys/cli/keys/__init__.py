"""The commands about the keys of one service: create, list, delete, rotate, adopt, abort.

What looks at all keys of the journal is in `journal` beside this folder.
"""
