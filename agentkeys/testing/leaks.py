"""`LeakWatch`: the value of the fixture `assert_no_leaks`."""

from __future__ import annotations

import os
from secrets import token_hex

from agentkeys.arguments import as_secret
from agentkeys.secret import Secret
from agentkeys.testing import sightings
from agentkeys.testing.search import Search

__all__ = ["LeakWatch"]


class LeakWatch:
    """Secrets for a test, and a watch that fails the test if one of them shows anywhere.

    The watch searches: standard output and standard error; every log record of every logger at any
    level; warnings; the exceptions that the test raises, that are logged, or that are lost in a
    thread or a finalizer (their texts, and the locals of every frame except the test's own); and
    the files in `tmp_path`. It finds a secret as it is, percent-encoded, escaped as in JSON, Python
    and HTML, in Base64 inside a longer text, and in hexadecimal.

    The secrets that `agentkeys_service` creates in the test are watched too.

    Attributes:
        password: a secret to use as a password. It has characters that URLs, JSON and HTML encode.
        token: a secret to use as a bearer token.
    """

    def __init__(self, search: Search, test: str) -> None:
        self.password: str = f'pw-{token_hex(12)}/"+&{token_hex(4)}'
        self.token: str = f"tk-{token_hex(20)}"
        self._search = search
        self._test = test
        search.watch("the password", Secret(self.password))
        search.watch("the token", Secret(self.token))

    def __repr__(self) -> str:
        return "<LeakWatch>"

    def watch(self, secret: str | Secret, *, name: str = "") -> None:
        """Watch another secret.

        Args:
            secret: the secret, of at least 8 characters.
            name: its name in a failure.

        Raises:
            InvalidArgumentError: the secret is so short that it would be found by chance.
        """
        secret = as_secret(secret, "secret")
        self._search.watch(name, secret)

    def allow(self, path: str | os.PathLike[str] = "", *, logger: str = "") -> None:
        """Allow secrets in one place.

        Args:
            path: a file or a folder in `tmp_path` that holds secrets on purpose; or a file of code
                whose locals may hold them.
            logger: the name of a logger; its children are allowed too.
        """
        if path:
            self._search.allow_file(path)
        if logger:
            self._search.allow_logger(logger)

    def check(self, *things: object) -> None:
        """Search now, and fail the test if a secret shows.

        The search also runs at the end of the test, and when the fixture is torn down.

        Args:
            things: further objects to search: an exception, or the result of `pytest.raises`, with
                its traceback; of any other object its `str` and its `repr`.
        """
        for thing in things:
            self._search.see(sightings.of_thing(thing, self._test))
        failure = self._search.failure()
        if failure is not None:
            raise failure
