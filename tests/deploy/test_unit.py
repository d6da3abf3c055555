"""The unit of systemd, as systemd-analyze judges it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from agentkeys.cli import commands

UNIT = Path(__file__).parents[2] / "deploy" / "agentkeys-local.service"
MOST_EXPOSED = 1.5
"""systemd calls up to 2.0 safe; 9.6 is a service without any hardening."""

analyzed = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd on this machine"
)


def analyze(*args):
    return subprocess.run(
        ["systemd-analyze", *args],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def unit(tmp_path):
    """The unit, with a program that is there."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/agentkeys/bin/agentkeys", sys.executable))
    return copy


@analyzed
def test_systemd_understands_the_unit(unit):
    """Every setting, and it says nothing against one."""
    said = analyze("verify", "--man=no", str(unit))
    assert (said.returncode, unit.name in said.stderr) == (0, False), said.stderr


@analyzed
def test_the_unit_is_hardened(unit):
    """By systemd's own count."""
    said = analyze("security", "--offline=yes", str(unit)).stdout
    assert float(re.search(r"exposure level for .*: ([\d.]+)", said)[1]) <= MOST_EXPOSED


def test_the_command_of_the_unit_has_no_wrong_option():
    """The program knows each of them."""
    [line] = re.findall(
        r"^ExecStart=/opt/agentkeys/bin/agentkeys (.*)$", UNIT.read_text(), re.MULTILINE
    )
    done = CliRunner().invoke(commands, [*line.split(), "--help"])
    assert done.exit_code == 0
