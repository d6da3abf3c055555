"""How the keys of a fleet grow: plans, issues, rotations, one rate, and a worker that dies."""
