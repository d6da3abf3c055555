"""The containers of a compose file, as processes of this machine: no Docker is needed.

Each gets the environment and the command of its container, and nothing of the tests' own
environment. A path that is mounted in the container becomes the folder that is mounted there, and
the name of a host becomes an address of this machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import attrs
from container import instructions_of

__all__ = ["Containers", "seconds"]

_UNITS = {"s": 1, "m": 60}


def seconds(duration: str) -> int:
    """Return how long a duration of Compose is."""
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([sm])", duration))


@attrs.define
class Containers:
    """Processes that are started as a compose file says.

    Attributes:
        file: the compose file, parsed.
        dockerfile: of the image that the file builds.
        folder: where the files lie that are mounted; volumes are made there.
        hosts: what stands for the name and port of a container.
    """

    file: dict[str, Any]
    dockerfile: Path
    folder: Path
    hosts: Mapping[str, str]
    running: list[subprocess.Popen[bytes]] = attrs.field(factory=list, init=False)

    def start(self, name: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a container; what it prints goes to a file that `said` reads.

        Args:
            name: of its service.
            **more: variables beside those of the file.
        """
        with (self.folder / "said").open("ab") as said:
            process = subprocess.Popen(
                [self._mapped(name, word) for word in self._words(name)],
                env=self._environment(name) | more,
                cwd=self.folder,
                stdout=said,
                stderr=said,
            )
        self.running.append(process)
        return process

    def is_healthy(self, name: str, **more: str) -> bool:
        """Run the health check of a container once."""
        done = subprocess.run(
            self._check(name), env=self._environment(name) | more, capture_output=True, check=False
        )
        return done.returncode == 0

    @property
    def said(self) -> str:
        """What all of them have printed."""
        return (self.folder / "said").read_text()

    def __enter__(self) -> Self:
        for volume in (*self.file["volumes"], "tmp"):
            (self.folder / volume).mkdir(mode=0o700)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running:
            process.kill()
            process.wait()

    def _words(self, name: str) -> list[str]:
        service = self.file["services"][name]
        image = self._image
        entrypoint = service.get("entrypoint") or image["ENTRYPOINT"].words
        return [*entrypoint, *service.get("command", image["CMD"].words)]

    def _check(self, name: str) -> list[str]:
        service = self.file["services"][name]
        if "healthcheck" not in service:
            return self._image["HEALTHCHECK"].words
        kind, *words = service["healthcheck"]["test"]
        if kind == "CMD":
            return list(words)
        return ["/bin/sh", "-c", words[0].replace("$$", "$")]

    def _environment(self, name: str) -> dict[str, str]:
        """Return the variables of the image and of the file, and where the programs are."""
        of_image = dict(
            word.split("=", 1)
            for step in instructions_of(self.dockerfile)
            if step.name == "ENV"
            for word in step.rest.split()
        )
        given = of_image | self.file["services"][name]["environment"]
        programs = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
        return {key: self._mapped(name, value) for key, value in given.items()} | {
            "PATH": programs,
            "HOME": self._mapped(name, "/data"),
            "TMPDIR": str(self.folder / "tmp"),
        }

    def _mapped(self, name: str, text: str) -> str:
        """Return a text of a container with the paths and addresses of this machine."""
        service = self.file["services"][name]
        mounts = [volume.split(":")[:2] for volume in service["volumes"]]
        for source, target in [*mounts, ("secrets", "/run/secrets")]:
            text = re.sub(rf"{target}(?=/|$)", str(self.folder / source), text)
        for host, here in self.hosts.items():
            text = text.replace(host, here)
        return text

    @property
    def _image(self) -> dict[str, Any]:
        return {step.name: step for step in instructions_of(self.dockerfile)}
