"""Read what a test writes to standard output and standard error, beside the test itself."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

__all__ = ["Output", "capture_of"]

_FIXTURES: Final = ("capsys", "capfd", "capsysbinary", "capfdbinary", "capteesys")


def capture_of(request: pytest.FixtureRequest) -> pytest.CaptureFixture[Any]:
    """Return the capture fixture of the test, because only one can be active; else `capfd`."""
    name = next((name for name in _FIXTURES if name in request.fixturenames), "capfd")
    capture: pytest.CaptureFixture[Any] = request.getfixturevalue(name)
    return capture


class Output:
    """Reads the output of a capture fixture: what the test reads of it, and what remains.

    Attributes:
        written: all output so far, of ``stdout`` and of ``stderr``.
    """

    def __init__(self, capture: pytest.CaptureFixture[Any], patch: pytest.MonkeyPatch) -> None:
        self._read = capture.readouterr
        # `capteesys` has already passed on what it captures.
        self._passes_on = capture.request.fixturename == "capteesys"
        self._unread: Any = None
        self._handed_on: Any = None
        self.written = {"stdout": "", "stderr": ""}
        patch.setattr(capture, "readouterr", self._give)

    def look(self) -> None:
        """Record what was written; the test can still read it."""
        new = self._read()
        for stream, text in zip(self.written, new, strict=True):
            self.written[stream] += text if isinstance(text, str) else text.decode(errors="replace")
        if self._unread is not None:
            new = type(new)(self._unread.out + new.out, self._unread.err + new.err)
        self._unread = new

    def hand_on(self, masked: Callable[[str], str]) -> None:
        """Pass on what the test has not read, *masked*, so that pytest's report shows it."""
        unread = self._give()
        out, err = (_masked(content, masked) for content in unread)
        if self._handed_on is not None:
            # pytest keeps the rest of a phase, and returns it again.
            out = out.removeprefix(self._handed_on.out)
            err = err.removeprefix(self._handed_on.err)
        self._handed_on = type(unread)(out, err)
        if not self._passes_on:
            _write(sys.stdout, out)
            _write(sys.stderr, err)

    def _give(self) -> Any:
        self.look()
        unread, self._unread = self._unread, None
        return unread


def _masked(content: Any, masked: Callable[[str], str]) -> Any:
    if isinstance(content, str):
        return masked(content)
    text = masked(content.decode("utf-8", "surrogateescape"))
    return text.encode("utf-8", "surrogateescape")


def _write(stream: Any, content: str | bytes) -> None:
    # The test may have replaced the stream by any object, or closed it.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        (stream if isinstance(content, str) else stream.buffer).write(content)
        stream.flush()
