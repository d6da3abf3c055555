"""The commands about keys as declared: plan, apply, the workers, and how far these are.

What they do is in `agentkeys.fleet`.
"""
