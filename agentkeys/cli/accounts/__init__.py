"""The commands about accounts: profiles, whose the credentials are, and kept logins.

How a profile is read and written is in `agentkeys.profiles`.
"""
