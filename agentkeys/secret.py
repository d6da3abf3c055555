"""A value that does not leak by accident."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NoReturn, final
from urllib.parse import quote, quote_plus

from agentkeys import plain

MASK: Final = "**********"
"""What stands where a secret would."""


@final
class Secret:
    """A string that shows nowhere but where `reveal` is called.

    Its repr, str and format are a mask. It cannot be pickled or written as JSON; copying it gives
    itself. Two secrets are equal if their values are; the comparison takes constant time.
    """

    # Not an attrs class, or attrs.asdict would open it. The value lives in a closure, so that
    # nothing that walks attributes (inspect.getmembers, rich.inspect, a debugger's pane) meets it.
    __slots__ = ("__weakref__", "_open")
    _open: Callable[[], str]

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            kind = type(value).__name__
            del value
            raise TypeError(f"a Secret holds a str, not {kind}")
        object.__setattr__(self, "_open", _closed_over(plain.text(value)))

    def reveal(self) -> str:
        """Return the value. This is the one way out: do not log what it returns."""
        return self._open()

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # 17 ms, and few ever compare two secrets

        # surrogatepass: a str may hold what UTF-8 cannot, and comparing must not raise with it.
        return hmac.compare_digest(
            self.reveal().encode("utf-8", "surrogatepass"),
            other.reveal().encode("utf-8", "surrogatepass"),
        )

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        del value
        raise AttributeError(f"a Secret cannot be changed: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Secret cannot be changed: {name}")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: store what reveal() returns")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret has no state to show")


def _closed_over(value: str) -> Callable[[], str]:
    return lambda: value


KEY_PREFIX: Final = "(?:agk_live|ag)_"
"""How the keys of Agentity and Agentry begin, as a regular expression."""

# Not in a word that merely ends in "ag_", like "flag_", but also behind what JSON or a URL make of
# a line end or a quote. And the one documented way to put a key in a URL (Agentity's documentation,
# MCP), however it is written.
_LIKE_A_KEY: Final = re.compile(
    r"((?:(?<![A-Za-z0-9])|(?<=%[0-9A-F]{2})|(?<=\\[nrt]))" + KEY_PREFIX + r")[A-Za-z0-9_.-]+"
    r"|(api_?key[\"']?(?:\s*[=:]\s*|%3D)[\"']?)[^&\s\"'<>,}]+",
    re.IGNORECASE,
)


def mask(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Return *text* without any of *secrets*, and without anything that looks like a key.

    A secret is found as it is, percent-encoded, and as it stands in JSON.
    """
    for secret in secrets:
        # Longest first, so that no form is cut into by a shorter one.
        for form in sorted(_forms(secret), key=len, reverse=True):
            text = text.replace(form, MASK)
    return _LIKE_A_KEY.sub(lambda found: f"{found[1] or found[2]}{MASK}", text)


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


def _forms(secret: Secret) -> set[str]:
    """Return how others may write a secret: as it is, in a URL, in a form, in JSON, in HTML."""
    value = secret.reveal()
    quoted = {quote(value, safe=safe, errors="replace") for safe in ("", "/")}
    in_json = [json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
    return {
        value,
        *quoted,
        *(re.sub("%..", lambda found: found[0].lower(), each) for each in quoted),
        quote_plus(value, errors="replace"),
        *in_json,
        *(each.replace("/", r"\/") for each in in_json),
        html.escape(value),
    } - {""}


# Last of all, for that module ends with an import of this one.
from agentkeys.errors import AgentKeysError, InvalidArgumentError  # noqa: E402
