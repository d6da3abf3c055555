"""The tokens of a login, kept between programs: in a file of this user, or in the keyring.

`agentkeys.agentity` fetches the tokens.
"""
