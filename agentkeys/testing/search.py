"""Search for secrets in everything that a test showed."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from agentkeys.masking import mask
from agentkeys.testing import sightings
from agentkeys.testing.forms import Found, Watched
from agentkeys.testing.sightings import Sighting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentkeys.secret import Secret
    from agentkeys.testing.made import Made
    from agentkeys.testing.output import Output

__all__ = ["Search"]

_MANY: Final = 20


class Search:
    """The watched secrets, the texts that were seen, and the reported leaks.

    Args:
        folder: the test's own folder, whose files are searched.
        made: further watched secrets.
        output: the test's output.

    Attributes:
        last_failure: the last result of `failure` that was not None.
    """

    def __init__(self, folder: Path, made: Made, output: Output) -> None:
        self._folder = folder
        self._made = made
        self._output = output
        self._watched: list[Watched] = []
        self._watched_made: list[Watched] = []
        self._seen: list[Sighting] = []
        self._reported: list[tuple[str, str]] = []
        self._reported_before = 0
        self.last_failure: BaseException | None = None
        self._allowed_files: list[Path] = []
        self._allowed_loggers: list[str] = []

    def watch(self, name: str, secret: Secret) -> None:
        """Search for *secret* too."""
        self._watched.append(Watched(name or f"secret {len(self._watched) - 1}", secret))

    def allow_file(self, path: str | os.PathLike[str]) -> None:
        """Skip the files at this path."""
        # Links are not resolved, as they are not followed when the files are listed.
        self._allowed_files.append(Path(os.path.abspath(path)))  # noqa: PTH100  # `absolute` keeps ".."

    def allow_logger(self, name: str) -> None:
        """Skip the records of this logger."""
        self._allowed_loggers.append(name)

    def see(self, seen: Iterable[Sighting]) -> None:
        """Keep the sightings until they are searched. Any thread may call it."""
        self._seen.extend(seen)

    def failure(self) -> BaseException | None:
        """Return the failure of a test that shows a secret; None if there is no new leak."""
        self._reported_before = len(self._reported)
        text = self._report()
        if not text:
            return None
        self.last_failure = pytest.fail.Exception(text, pytrace=False)
        return self.last_failure

    def take_back(self) -> None:
        """Let the next failure repeat the last one, because it was not shown."""
        del self._reported[self._reported_before :]

    def masked(self, text: str) -> str:
        """Return *text* with every watched secret masked."""
        for watched in self._all():
            text = watched.masked_in(text)
        return text

    def _report(self) -> str:
        self._output.look()
        lines = list(dict.fromkeys(self._new_leaks()))
        if len(lines) > 1:
            rest = [f"and {len(lines) - _MANY} more"] if len(lines) > _MANY else []
            shown = ["secrets show in several places:", *lines[:_MANY], *rest]
        else:
            shown = [f"a secret shows: {line}" for line in lines]
        # A place, such as a file or a logger, may be named after a secret.
        return mask(self.masked("\n  ".join(shown)))

    def _new_leaks(self) -> Iterator[str]:
        everything = [*self._seen, *self._written(), *self._files()]
        all_watched = list(self._all())
        for sighting in everything:
            if self._is_allowed(sighting):
                continue
            for watched in all_watched:
                found = watched.found_in(sighting.content)
                if found is not None and not self._was_reported(watched, sighting):
                    self._reported.append((watched.name, sighting.place))
                    yield _line(watched, sighting, found)

    def _was_reported(self, watched: Watched, sighting: Sighting) -> bool:
        """Return whether this leak was reported before, or a leak in an enclosing place."""
        return any(
            name == watched.name and f"{sighting.place}, ".startswith(f"{place}, ")
            for name, place in self._reported
        )

    def _all(self) -> Iterator[Watched]:
        yield from self._watched
        new = islice(self._made, len(self._watched_made), None)
        self._watched_made += [Watched(name, secret) for name, secret in new]
        yield from self._watched_made

    def _written(self) -> Iterator[Sighting]:
        for stream, text in self._output.written.items():
            yield Sighting(stream, text)

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


def _line(watched: Watched, sighting: Sighting, found: Found) -> str:
    is_long = sighting.place in {"stdout", "stderr"} or isinstance(sighting.content, bytes)
    line = f", line {found.line}" if is_long and found.line else ""
    how = f" ({found.how})" if found.how else ""
    return f"{watched.name}{how} in {sighting.place}{line}"
