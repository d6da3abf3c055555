"""What is given as an argument, made what it must be on the first line that sees it."""

from __future__ import annotations

from functools import partial
from typing import NoReturn

from agentkeys.errors import AgentKeysError, InvalidArgumentError
from agentkeys.secret import Secret

__all__ = ["as_secret", "unfit"]


def as_secret(value: object, name: str, wanted: str = "a str or a Secret") -> Secret:
    """Return *value* as a Secret; call it on the first line that sees *value*.

    What is no str is forgotten: whoever reveals it gets the error, which says that *name* must be
    what is *wanted*. So none of the frames of its traceback holds *value*.
    """
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value)
    return unfit(InvalidArgumentError, f"{name} must be {wanted}, not {type(value).__name__}")


def unfit(error: type[AgentKeysError], sentence: str) -> Secret:
    """Return a Secret of nothing, in the place of what is none: to reveal it raises *error*."""
    secret = Secret("")
    object.__setattr__(secret, "_open", partial(_refuse, error, sentence))
    return secret


def _refuse(error: type[AgentKeysError], sentence: str) -> NoReturn:
    raise error(sentence)
