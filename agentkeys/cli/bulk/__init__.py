"""Work on many keys: which ones are meant. Nothing here prints or calls a service."""
