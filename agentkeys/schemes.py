"""The forms of the addresses of stores.

This list is not in `stores`, so that the help of a command imports nothing slow.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FORMS", "KEPT"]

FORMS: Final = {
    "dotenv": "dotenv:PATH#NAME",
    "file": "file:PATH",
    "keyring": "keyring:SERVICE#NAME",
    "aws": "aws:NAME#JSON_KEY",
    "kubernetes": "kubernetes:NAMESPACE/SECRET#KEY",
    "vault": "vault:MOUNT/PATH#FIELD",
    "command": "command:PROGRAM ARGS",
    "memory": "memory:NAME",
}
"""The form of an address, by scheme, for texts."""

KEPT: Final = [form for scheme, form in FORMS.items() if scheme != "memory"]
"""The forms of the stores that keep a secret after the process has ended."""
