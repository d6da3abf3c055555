"""Work on many keys: which ones, and several at a time. Nothing here prints or calls a service."""
