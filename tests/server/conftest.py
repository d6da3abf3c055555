"""What the tests of the local service share: one in memory, and plain aiohttp to talk to it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest_asyncio
from multidict import CIMultiDict
from yarl import URL

from agentkeys.server import LocalService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

INBOX = "/human/v0/inboxes/demo%40agentkeys.local/api-keys"
TENANT = "/human/v0/api-keys"
ACCOUNT = "/auth/api-keys"


@dataclass(frozen=True)
class Answer:
    """An answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Api:
    """Speaks to a service: plain requests, and the few calls that every test needs."""

    service: LocalService
    session: aiohttp.ClientSession

    inbox = INBOX
    tenant = TENANT
    account = ACCOUNT

    @staticmethod
    def basic(email: str, password: str) -> dict[str, str]:
        encoded = base64.b64encode(f"{email}:{password}".encode()).decode()
        return {"Authorization": f"Basic {encoded}"}

    @staticmethod
    def of_agentity(answer: Answer) -> None:
        """See that a refusal has Agentity's shape."""
        assert set(answer.json) == {"message"}

    @staticmethod
    def of_agentry(answer: Answer) -> None:
        """See that a refusal has Agentry's shape."""
        fields = {"name", "errors"} if answer.status == 400 else {"name", "message"}
        assert set(answer.json) == fields

    @property
    def address(self) -> tuple[str, int]:
        url = URL(self.service.url)
        return str(url.host), int(url.port or 0)

    async def send(self, method, path, *, token=None, headers=None, **how) -> Answer:
        """Send a request; *path* goes out as it is."""
        headers = dict(headers or {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = URL(self.service.url + path, encoded=True)
        async with self.session.request(method, url, headers=headers, **how) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def raw(self, *parts: bytes) -> Answer:
        """Send bytes as they are, one part after the other, and read one answer."""
        async with self.connection() as (reader, writer):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await _read_answer(reader)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def login(self, email=None, password=None) -> Answer:
        email = self.service.email if email is None else email
        password = self.service.password if password is None else password
        return await self.send("POST", "/auth/token", headers=self.basic(email, password))

    async def access_token(self, email=None, password=None) -> str:
        return (await self.login(email, password)).json["accessToken"]

    async def create(self, path=INBOX, *, token=None, **body) -> dict[str, Any]:
        """Create an Agentry key and return it."""
        token = token or self.service.agentry_token
        answer = await self.send("POST", path, token=token, json={"name": "a key", **body})
        assert answer.status in {200, 201}, answer
        return answer.json

    async def ids(self, path=INBOX, *, token=None) -> list[str]:
        answer = await self.send("GET", path, token=token or self.service.agentry_token)
        assert answer.status == 200, answer
        return [key["api_key_id"] for key in answer.json["api_keys"]]


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = CIMultiDict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers["Content-Length"]))
    return Answer(int(status.split()[1]), headers, body)


@pytest_asyncio.fixture
async def service() -> AsyncIterator[LocalService]:
    async with LocalService() as running:
        yield running


@pytest_asyncio.fixture
async def api(service: LocalService) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield Api(service, session)


@pytest_asyncio.fixture
async def api_of() -> AsyncIterator[Any]:
    """Gives an `Api` for any service."""
    async with aiohttp.ClientSession() as session:
        yield lambda running: Api(running, session)
