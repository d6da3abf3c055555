"""The steps of a Dockerfile, taken on this machine without Docker.

Each stage is an overlay over this machine's own disk, in which commands run by chroot. So a stage
sees the paths that it would see in a container, and changes nothing here.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Instruction(NamedTuple):
    """A line of a Dockerfile."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """What stands behind the name, as a program and its arguments."""
        return list(json.loads(self.rest[self.rest.index("[") :]))


def instructions_of(dockerfile: Path) -> Iterator[Instruction]:
    """Read a Dockerfile: lines that end in a backslash go on, comments are none."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield Instruction(name, rest.strip())


STAGE = """
new_stage() {{
    mount -t tmpfs none "$1" && mkdir "$1/upper" "$1/work" "$1/root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
    mount --bind /dev "$1/root/dev"
    chmod 755 "$1/root/root"
    # The base image: a Python, and nothing of the repository.
    mount -t tmpfs none "$1/root{context}"
    ln -sf {python} "$1/root/usr/local/bin/python"
}}
"""


def _send(dockerfile: Path, root: Path, folder: Path) -> None:
    """Copy what Docker is sent of a repository."""
    ignored = dockerfile.with_name(f"{dockerfile.name}.dockerignore").read_text()
    (folder / "context").mkdir()
    for line in ignored.splitlines():
        if line.startswith("!"):
            subprocess.run(["cp", "-r", root / line[1:], folder / "context"], check=True)  # noqa: S607


def build(dockerfile: Path, context: Path, folder: Path) -> tuple[str, dict[str, Instruction]]:
    """Return the steps as a shell script, which leaves ``$root``, and the last stage's settings.

    Args:
        dockerfile: whose steps are taken.
        context: the repository, of which Docker is sent a part.
        folder: where the stages are made.
    """
    _send(dockerfile, context, folder)
    python = os.path.realpath(f"{sys.base_prefix}/bin/python3")
    script = ["set -e", STAGE.format(context=context, python=python)]
    stages: dict[str, str] = {}
    settings: dict[str, Instruction] = {}
    env: list[str] = []
    root, workdir = "", "/"
    for step in instructions_of(dockerfile):
        match step.name:
            case "FROM":
                stage = folder / f"stage{len(stages)}"
                stage.mkdir()
                root, workdir, env, settings = f"{stage}/root", "/", [], {}
                stages[step.rest.rpartition(" AS ")[2] or str(stage)] = root
                script.append(f"new_stage {stage}")
            case "WORKDIR":
                workdir = step.rest
                script.append(f"mkdir -p {root}{workdir}")
            case "COPY":
                *options, target = step.rest.split()
                source = str(folder / "context")
                if options[0].startswith("--from="):
                    source = stages[options.pop(0).removeprefix("--from=")]
                to = target if target.startswith("/") else f"{workdir}/{target}"
                script.append(f"mkdir -p {root}{os.path.dirname(to)}")  # noqa: PTH120
                script += [f"cp -r {source}/{each.lstrip('/')} {root}{to}" for each in options]
            case "RUN":
                command = f"cd {workdir} && {step.rest}"
                script.append(f"chroot {root} /bin/sh -c {shlex.quote(command)} >&2")
            case "ENV":
                env += step.rest.split()
        settings[step.name] = step
    settings["ENV"] = Instruction("ENV", json.dumps(env))
    script.append(f"root={root}")
    return "\n".join(script), settings


def run(script: str, folder: Path, timeout: float = 300) -> str:
    """Run a script in a mount namespace of its own; return what it prints."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root can be another user, and mount an overlay")
    # All of them have this machine's port 8080, and tests run in several processes.
    with (Path(tempfile.gettempdir()) / "agentkeys-tests-8080.lock").open("a") as one_by_one:
        fcntl.flock(one_by_one, fcntl.LOCK_EX)
        done = subprocess.run(
            # With processes of its own, none of which outlives it.
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
