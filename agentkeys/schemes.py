"""What the addresses of stores look like.

This is the one list. It is not among the stores, for the help of a command imports nothing slow.
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
"""By scheme: how such an address is written, for a sentence."""

KEPT: Final = [form for scheme, form in FORMS.items() if scheme != "memory"]
"""Where a secret is still there when the process has ended."""
