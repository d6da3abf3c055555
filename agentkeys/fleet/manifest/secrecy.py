"""No secret may stand in a file that declares keys: it is committed, and read by many."""

from __future__ import annotations

import re
from typing import Final

from agentkeys.masking import mask

__all__ = ["SENTENCE", "has_a_secret"]

SENTENCE: Final = (
    "this line holds a password, or what looks like a key: no secret may stand in this file; a"
    " client's credentials come from its environment, a database's password from PGPASSWORD or"
    " ~/.pgpass; if the file was shared, revoke that secret"
)

_WITH_PASSWORD: Final = re.compile(r"://[^/\s@]*:[^/\s]*@|[?&]password=|\bpassword\s*=\s*[\"']")
# `manage_api_key = true` gives a permission, and no key.
_FLAG: Final = re.compile(r"=\s*(?:true|false)\b")


def has_a_secret(text: str) -> bool:
    """Whether a line of the file, or a row, has a password or a key in it."""
    text = _FLAG.sub("", text)
    return _WITH_PASSWORD.search(text) is not None or mask(text) != text
