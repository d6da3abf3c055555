"""Disks that are mounted for one program alone, in a namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# Only root can be other users there, too.
_FLAGS = "-m" if os.geteuid() == 0 else "-rm"
_SCRIPT = """
set -e
cd "$1"
python="$2"
program="$3"
shift 3
{mount}
exec "$python" -c "$program" "$@"
"""


def on_mounts(folder: Path, mount: str, program: str, *args: str) -> list[str]:
    """Run commands of a shell in a folder, and then a program; return the lines that it prints."""
    if not shutil.which("unshare") or subprocess.call(["unshare", _FLAGS, "true"]):  # noqa: S607
        pytest.skip("this machine lets nobody mount anything in a namespace of their own")
    script = _SCRIPT.format(mount=textwrap.dedent(mount))
    given = [str(folder), sys.executable, textwrap.dedent(program), *args]
    done = subprocess.run(
        ["unshare", _FLAGS, "sh", "-c", script, "sh", *given],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
