"""The accounts of a person, by name: the file that lists them, and the choice of one.

This folder holds what is known of an account before a request is sent. Stores hold the secrets, and
the client of each service uses them.
"""
