"""Keys as declared: a file says which keys there shall be, and this makes it so.

Here live the file, the pure decision about one key, the planner, and what carries a step out. How
one key is issued, replaced or deleted safely is the lifecycle's.
"""
