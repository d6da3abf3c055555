"""The accounts of a person, by name: the file that lists them, and which of them is meant.

Here lives what is known of an account before anything is sent. The secrets lie in stores, and what
a client does with them is said by the client of each service.
"""
