"""`LeakWatch`: what the fixture `assert_no_leaks` gives."""

from __future__ import annotations

import os
from secrets import token_hex

from agentkeys.arguments import as_secret
from agentkeys.secret import Secret
from agentkeys.testing import sightings
from agentkeys.testing.search import Search

__all__ = ["LeakWatch"]


class LeakWatch:
    """Secrets for a test, and a watch that fails it if one of them shows anywhere.

    It looks at standard output and standard error, at every log record of every logger at any
    level, at warnings, at the exceptions that the test raises, that are logged, or that get lost in
    a thread or a finalizer (their texts, and the locals of every frame but the test's own), and at
    the files in `tmp_path`. It finds a secret as it is, percent-encoded, escaped as in JSON, Python
    and HTML, in Base64 with whatever stands beside it, and in hexadecimal.

    What `agentkeys_service` makes in the test is watched as well.

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
        """Watch a secret of your own, too.

        Args:
            secret: it, of at least 8 characters.
            name: what a failure calls it.

        Raises:
            InvalidArgumentError: it is so short that it would be found by chance.
        """
        secret = as_secret(secret, "secret")
        self._search.watch(name, secret)

    def allow(self, path: str | os.PathLike[str] = "", *, logger: str = "") -> None:
        """Let secrets show in one place.

        Args:
            path: a file or a folder in `tmp_path` that is there to hold secrets; or one of code
                whose locals may.
            logger: the name of a logger, which stands for those below it as well.
        """
        if path:
            self._search.allow_file(path)
        if logger:
            self._search.allow_logger(logger)

    def check(self, *things: object) -> None:
        """Look now, and fail the test if a secret shows.

        It is done at the end of the test, and once more when the fixture is torn down.

        Args:
            things: what else to look at: an exception, or what `pytest.raises` gave, with its
                traceback; of anything else its `str` and its `repr`.
        """
        for thing in things:
            self._search.see(sightings.of_thing(thing, self._test))
        failure = self._search.failure()
        if failure is not None:
            raise failure
