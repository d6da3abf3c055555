"""Repositories, made by git itself, and what is found of them without it."""

from __future__ import annotations

import os
import subprocess

from agentkeys.stores.files import git


def run(folder, *command, **settings_):
    name = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", *name, *command],  # noqa: S607
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | settings_,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def make(folder, *options):
    folder.mkdir(parents=True, exist_ok=True)
    run(folder, "init", "-q", "-b", "main", *options)
    return folder


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("A=1\n")


def of(path):
    return git.tracked(str(path))[0]
