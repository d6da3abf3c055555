"""What the fixtures give, for mypy --strict and pyright. It is checked and never run."""

from __future__ import annotations

from pathlib import Path

from agentkeys import Secret
from agentkeys.testing import LeakWatch


def test_it(assert_no_leaks: LeakWatch, tmp_path: Path) -> None:
    password: str = assert_no_leaks.password
    token: str = assert_no_leaks.token
    assert_no_leaks.watch(password + token, name="both")
    assert_no_leaks.watch(Secret("correct horse"))
    assert_no_leaks.allow(tmp_path / "store.env")
    assert_no_leaks.allow(logger="noisy")
    assert_no_leaks.check()
    assert_no_leaks.check(ValueError(), "text", b"bytes")
