"""The package: what it needs, what it imports, and that orjson only makes it faster."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def run(program: str) -> str:
    """Run a program in a fresh interpreter and return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("missing", ["sqlalchemy", "jwt", "argon2"])
def test_a_missing_extra_says_what_to_install(missing):
    """Without one of its packages the server is a ConfigurationError with the command to run."""
    program = f"""
import sys
sys.modules["{missing}"] = None
from agentkeys.errors import ConfigurationError
try:
    import agentkeys.server
except ConfigurationError as error:
    print(error)
"""
    text = run(program)
    assert "pip install 'agentkeys-sdk[server]'" in text
    assert missing in text


def test_another_missing_module_is_not_blamed_on_the_extra():
    """What is broken otherwise stays an ImportError."""
    program = """
import sys
sys.modules["agentkeys.server.ground.clock"] = None
try:
    import agentkeys.server
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(program) == "agentkeys.server.ground.clock"


def test_the_server_imports_nothing_of_the_client():
    """It is a second reading of the contract: it knows errors, secrets, and whose a file is."""
    program = """
import sys
import agentkeys.server
names = [name for name in sys.modules if name.startswith("agentkeys.")]
print(sorted(name for name in names if not name.startswith("agentkeys.server")))
"""
    errors = ("errors", "errors.keys", "errors.requests")
    shared = ("arguments", *errors, "filesystem", "masking", "plain", "secret")
    assert run(program) == str([f"agentkeys.{name}" for name in shared])


ANSWERS = """
import asyncio, sys
if {without}:
    sys.modules["orjson"] = None
import aiohttp
from agentkeys.server import LocalService

async def main():
    clock = lambda: 1_800_000_000.0
    async with LocalService(clock=clock) as service, aiohttp.ClientSession(service.url) as session:
        headers = {{"Authorization": f"Bearer {{service.agentry_token}}"}}
        path = "/agent/v0/api-keys"
        body = {{"name": "\\u00e9\\U0001f600\\u2028\\"", "permissions": {{"a": True}}}}
        async with session.post(path, headers=headers, json=body) as answer:
            key = await answer.json()
        async with session.get(path, headers=headers) as answer:
            text = (await answer.read()).decode()
            print(ascii(text.replace(key["api_key_id"], "ID").replace(key["prefix"], "PREFIX")))

asyncio.run(main())
"""


def test_answers_are_the_same_without_orjson():
    """Not a byte of an answer depends on orjson."""
    assert run(ANSWERS.format(without=True)) == run(ANSWERS.format(without=False))
