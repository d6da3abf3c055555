"""What a log or a debugger would show of an error."""

from __future__ import annotations

import io
import traceback
from pathlib import Path

TESTS = str(Path(__file__).resolve().parents[1])


def shown(error: BaseException) -> str:
    """Return all of it: texts, arguments, attributes, and the locals of every frame.

    The frames of the tests, which hold secrets on purpose, are left out.
    """
    text = io.StringIO()
    seen: set[int] = set()
    frames = 0
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        for frame in traceback.TracebackException.from_exception(link, capture_locals=True).stack:
            if not frame.filename.startswith(TESTS):
                frames += 1
                print(frame.filename, frame.name, frame.locals, file=text)
        print(repr(link), str(link), link.args, vars(link), file=text)
        link = link.__cause__ or link.__context__
    assert frames, "no frame of ours was looked at"
    return text.getvalue()
