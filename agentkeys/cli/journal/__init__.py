"""The commands about all keys that the journal has: status, sweep, audit, and where it lies.

What they do is in `agentkeys.lifecycle` and `agentkeys.auditing`.
"""
