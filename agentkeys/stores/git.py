"""Whether git keeps a file, and so would keep what is written into it for ever."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

_PATIENCE: Final = 5.0
"""Seconds that git has to answer."""

_TRACKED: Final = 0
_UNTRACKED: Final = 1


def objection(path: str) -> str | None:
    """Return what speaks against a secret in a file, or None: it is tracked, or git cannot tell.

    Where there is no repository, or no git, nothing does.
    """
    file = Path(path)
    if not any((folder / ".git").exists() for folder in file.parents):
        return None
    try:
        done = _asked(file)
    except FileNotFoundError:
        return None
    except (OSError, subprocess.TimeoutExpired):
        return "git could not say whether it tracks it"
    if done.returncode == _TRACKED:
        return "git tracks it, so the secret would end up in a commit"
    if done.returncode == _UNTRACKED or b"not a git repository" in done.stderr:
        return None
    return "git could not say whether it tracks it"


def _asked(file: Path) -> subprocess.CompletedProcess[bytes]:
    # No hook of the file system's and no prompt; and no repository that the environment names.
    command = ["git", "-c", "core.fsmonitor=false", "--literal-pathspecs"]
    command += ["ls-files", "--error-unmatch", "--", file.name]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return subprocess.run(  # noqa: S603  # a fixed program, and a path behind `--`
        command,
        cwd=file.parent,
        env=environment | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_PATIENCE,
        check=False,
    )
