"""A local service for one test."""

from __future__ import annotations

import contextlib
import json
import tempfile
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from agentkeys.sources import SUFFIXES
from agentkeys.sync import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp.typedefs import Handler, Middleware

    from agentkeys.testing.made import Made

__all__ = ["running"]


@contextlib.contextmanager
def running(made: Made) -> Iterator[LocalService]:
    """Run a local service, add its secrets to *made*, and set the environment for it."""
    with (
        # A process of the suite may still be writing there.
        tempfile.TemporaryDirectory(prefix="agentkeys-", ignore_cleanup_errors=True) as home,
        LocalService(middlewares=[_noting(made)]) as service,
        pytest.MonkeyPatch.context() as env,
    ):
        made.add("the password of the local service", service.password)
        made.add("the Agentry token of the local service", service.agentry_token)
        _lead_to(service, env)
        env.setenv("AGENTKEYS_HOME", home)  # or the user's next sweep would find the test's entries
        yield service


def _lead_to(service: LocalService, env: pytest.MonkeyPatch) -> None:
    # An access token would have precedence over the account's email and password.
    for name in ("AGENTITY_ACCESS_TOKEN", "AGENTITY_PASSWORD", "AGENTRY_API_KEY"):
        for suffix in SUFFIXES:
            env.delenv(f"{name}{suffix}", raising=False)
    env.setenv("AGENTITY_BASE_URL", service.url)
    env.setenv("AGENTITY_EMAIL", service.email)
    env.setenv("AGENTITY_PASSWORD", service.password)
    env.setenv("AGENTRY_BASE_URL", service.url)
    env.setenv("AGENTRY_API_KEY", service.agentry_token)


def _noting(made: Made) -> Middleware:
    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        if request.method == "POST" and answer.status < 300 and isinstance(answer, web.Response):
            made.add_from(json.loads(answer.text or "null"))
        return answer

    return note
