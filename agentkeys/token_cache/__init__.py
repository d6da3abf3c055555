"""Where the tokens of a login lie between two programs: a file of this user, or the keyring.

How tokens are fetched is not here: `agentkeys.agentity` does that.
"""
