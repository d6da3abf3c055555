"""`LeakWatch`: what the fixture `assert_no_leaks` gives."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final

import pytest

from agentkeys.secret import as_secret, mask
from agentkeys.testing import sightings
from agentkeys.testing.forms import Found, Watched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentkeys.secret import Secret
    from agentkeys.testing.made import Made
    from agentkeys.testing.output import Output
    from agentkeys.testing.sightings import Sighting

__all__ = ["LeakWatch"]

_MANY: Final = 20


class LeakWatch:
    """Secrets for a test, and a watch that fails it if one of them shows anywhere.

    It looks at standard output and standard error, at every log record of every logger at any
    level, at warnings, at the exceptions that the test raises, that are logged, or that get lost in
    a thread or a finalizer (their texts, and the locals of every frame but the test's own), and at
    the files in `tmp_path`. It finds a secret as it is, percent-encoded, escaped as in JSON, Python
    and HTML, in Base64 with whatever stands beside it, and in hexadecimal.

    The keys and tokens that `agentkeys_service` makes are watched as well.

    Attributes:
        password: a secret to be used as a password. It has the characters that others encode.
        token: a secret to be used as a bearer token.
    """

    def __init__(self, test: str, folder: Path, made: Made, output: Output) -> None:
        self.password: str = f'pw-{token_hex(12)}/"+&{token_hex(4)}'
        self.token: str = f"tk-{token_hex(20)}"
        self._test = test
        self._folder = folder
        self._made = made
        self._output = output
        self._watched: list[Watched] = []
        self._seen: list[Sighting] = []
        self._reported: list[tuple[str, str]] = []
        self._allowed_files: list[Path] = []
        self._allowed_loggers: list[str] = []
        self.watch(self.password, name="the password")
        self.watch(self.token, name="the token")

    def __repr__(self) -> str:
        return f"<LeakWatch: {len(self._watched)} secrets>"

    def watch(self, secret: str | Secret, *, name: str = "") -> None:
        """Watch a secret of your own, too.

        Args:
            secret: a `str` or a `Secret` of at least 8 characters.
            name: what a failure calls it.

        Raises:
            InvalidArgumentError: it is so short that it would be found by chance.
        """
        secret = as_secret(secret)
        self._watched.append(Watched(name or f"secret {len(self._watched) - 1}", secret))

    def allow(self, path: str | os.PathLike[str] = "", *, logger: str = "") -> None:
        """Let secrets show in one place.

        Args:
            path: a file or a folder in `tmp_path` that is there to hold secrets; or of the test's
                own code, whose locals may.
            logger: the name of a logger, which stands for those below it as well.
        """
        if path:
            self._allowed_files.append(Path(os.path.abspath(path)))  # noqa: PTH100  # no link is followed
        if logger:
            self._allowed_loggers.append(logger)

    def check(self, *things: object) -> None:
        """Look now, and fail if a secret shows.

        The fixture does it when the test ends, and once more when all is torn down.

        Args:
            things: what else to look at: an exception, or what `pytest.raises` gave, with its
                traceback; of anything else its `str` and its `repr`.
        """
        for thing in things:
            self.see(sightings.of_thing(thing, self._test))
        text = self._report()
        if text:
            pytest.fail(text, pytrace=False)

    def see(self, seen: Iterable[Sighting]) -> None:
        """Keep what is seen until it is searched. Any thread may call it."""
        self._seen.extend(seen)

    def masked(self, text: str) -> str:
        """Return *text* without any secret that is watched."""
        for watched in self._all():
            text = watched.masked_in(text)
        return text

    def _report(self) -> str:
        """Say what shows and was not said before; "" if nothing does."""
        self._output.look()
        lines = list(dict.fromkeys(self._new_leaks()))
        if len(lines) > 1:
            rest = [f"and {len(lines) - _MANY} more"] if len(lines) > _MANY else []
            shown = ["secrets show in several places:", *lines[:_MANY], *rest]
        else:
            shown = [f"a secret shows: {line}" for line in lines]
        # A place may be named after a secret: a file, a logger.
        return mask(self.masked("\n  ".join(shown)))

    def _new_leaks(self) -> Iterator[str]:
        everything = [*self._seen, *self._written(), *self._files()]
        all_watched = list(self._all())
        for sighting in everything:
            if self._is_allowed(sighting):
                continue
            for watched in all_watched:
                found = _search(watched, sighting.content)
                if found is not None and not self._was_reported(watched, sighting):
                    self._reported.append((watched.name, sighting.place))
                    yield _line(watched, sighting, found)

    def _was_reported(self, watched: Watched, sighting: Sighting) -> bool:
        """Tell whether this was said before, or of a place that this one is a part of."""
        return any(
            name == watched.name and f"{sighting.place}, ".startswith(f"{place}, ")
            for name, place in self._reported
        )

    def _all(self) -> Iterator[Watched]:
        yield from self._watched
        for name, secret in self._made:
            yield Watched(name, secret)

    def _written(self) -> Iterator[Sighting]:
        for stream, text in self._output.written.items():
            yield sightings.Sighting(stream, text)

    def _files(self) -> Iterator[Sighting]:
        for folder, folders, files in os.walk(self._folder):
            for name in (*folders, *files):
                yield from sightings.of_file(Path(folder, name), self._folder)

    def _is_allowed(self, sighting: Sighting) -> bool:
        name = sighting.logger
        if any(name == each or name.startswith(f"{each}.") for each in self._allowed_loggers):
            return True
        return bool(sighting.file) and any(
            Path(sighting.file).is_relative_to(each) for each in self._allowed_files
        )


def _search(watched: Watched, content: str | bytes) -> Found | None:
    if isinstance(content, bytes):
        return watched.found_in_bytes(content)
    return watched.found_in(content)


def _line(watched: Watched, sighting: Sighting, found: Found) -> str:
    is_long = sighting.place in {"stdout", "stderr"} or isinstance(sighting.content, bytes)
    line = f", line {found.line}" if is_long and found.line else ""
    how = f" ({found.how})" if found.how else ""
    return f"{watched.name}{how} in {sighting.place}{line}"
