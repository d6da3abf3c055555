"""What every command stands on: its options, its exit code, what it prints, its client.

No command is in here.
"""
