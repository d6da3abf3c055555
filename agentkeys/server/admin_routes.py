"""The routes of the admin port."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.faults import by_name
from agentkeys.server.http.answers import json_response
from agentkeys.server.http.fields import Fields, body_of, json_object, text_field
from agentkeys.server.http.refusals import Refusal, invalid

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from agentkeys.server.faults import Fault
    from agentkeys.server.service import LocalService


class AdminRoutes:
    """The routes of the admin port of a local service."""

    def __init__(self, service: LocalService) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """Return all routes."""
        return [
            web.get("/faults", _told(self.list_faults)),
            web.post("/faults", _told(self.add_fault)),
            web.delete("/faults", _told(self.clear_faults)),
            web.get("/faults/kinds", _told(self.list_kinds)),
            web.delete("/faults/{id}", _told(self.remove_fault)),
            web.get("/clock", _told(self.show_clock)),
            web.put("/clock", _told(self.set_clock)),
            web.delete("/clock", _told(self.reset_clock)),
            web.post("/clock/advance", _told(self.advance_clock)),
            web.get("/requests", _told(self.list_requests)),
            web.delete("/requests", _told(self.clear_requests)),
            web.post("/keys", _told(self.seed)),
            web.post("/reset", _told(self.reset)),
        ]

    async def list_faults(self, request: web.Request) -> web.Response:
        """List the faults, in the order of their addition."""
        del request
        return json_response({"faults": list(map(by_name.as_json, self._faults()))})

    async def add_fault(self, request: web.Request) -> web.Response:
        """Put a fault on some routes."""
        body = _object(request, "route", "kind", "with", "when", "times")
        values = body.get("with", {})
        if not isinstance(values, dict):
            raise invalid("with must be an object.", "with")
        options: dict[str, Any] = {"when": _text(body, "when"), "times": body.get("times")}
        fault = self._service.faults.add(
            by_name.routes_in(text_field(body, "route")),
            by_name.kind_of(text_field(body, "kind"), values),
            **options,
        )
        return json_response(by_name.as_json(fault), 201)

    async def remove_fault(self, request: web.Request) -> web.Response:
        """Remove a fault, and release the requests that it holds back."""
        for fault in self._faults():
            if str(fault.id) == request.match_info["id"]:
                fault.remove()
                return web.Response(status=204)
        raise Refusal(404, "There is no fault with this id.")

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Remove all faults."""
        del request
        self._service.faults.clear()
        return web.Response(status=204)

    async def list_kinds(self, request: web.Request) -> web.Response:
        """List the kinds of faults, and the groups of routes."""
        del request
        groups = {name: sorted(group) for name, group in by_name.GROUPS.items()}
        return json_response({"kinds": by_name.kinds_as_json(), "groups": groups})

    async def show_clock(self, request: web.Request) -> web.Response:
        """Return the time."""
        del request
        return json_response({"now": self._service.clock.now().isoformat()})

    async def set_clock(self, request: web.Request) -> web.Response:
        """Set the clock to a moment."""
        moment = _moment(_object(request, "now"), "now")
        if moment is None:
            raise invalid("now is missing.", "now", code="required")
        self._service.clock.set(moment)
        return await self.show_clock(request)

    async def advance_clock(self, request: web.Request) -> web.Response:
        """Move the clock by some seconds."""
        seconds = _object(request, "seconds").get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise invalid("seconds must be a number.", "seconds")
        self._service.clock.advance(seconds)
        return await self.show_clock(request)

    async def reset_clock(self, request: web.Request) -> web.Response:
        """Use the time of this machine again."""
        self._service.clock.reset()
        return await self.show_clock(request)

    async def list_requests(self, request: web.Request) -> web.Response:
        """Return the record of the services' requests."""
        del request
        requests = self._service.requests
        shown = [dataclasses.asdict(each) for each in requests]
        return json_response({"count": requests.count, "requests": shown})

    async def clear_requests(self, request: web.Request) -> web.Response:
        """Clear the record."""
        del request
        self._service.requests.clear()
        return web.Response(status=204)

    async def seed(self, request: web.Request) -> web.Response:
        """Create keys with a creation time in the past."""
        texts = ("service", "email", "inbox_id", "pod_id")
        times = ("created_at", "used_at")
        body = _object(request, "keys", *texts, *times)
        keys: Any = body.get("keys", "")
        options: dict[str, Any] = {name: _text(body, name) for name in texts}
        options |= {name: _moment(body, name) for name in times}
        seeded = await self._service.seed(keys, **options)
        shown = [{"id": key.id, "name": key.name, "secret": key.secret} for key in seeded]
        return json_response({"keys": shown}, 201)

    async def reset(self, request: web.Request) -> web.Response:
        """Restore the state of the service at its start."""
        del request
        await self._service.reset()
        return web.Response(status=204)

    def _faults(self) -> list[Fault]:
        return [fault for fault in self._service.faults if not fault.is_removed]


def _told(handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except InvalidArgumentError as error:
            sentence = str(error)
        raise invalid(sentence)

    return handle


def _object(request: web.Request, *names: str) -> Fields:
    body = json_object(body_of(request))
    if not body.keys() <= set(names):
        raise invalid(f"the body may have only the fields {', '.join(names)}.")
    return body


def _text(body: Fields, name: str) -> str | None:
    return None if body.get(name) is None else text_field(body, name)


def _moment(body: Fields, name: str) -> datetime | None:
    text = _text(body, name)
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise invalid(f"{name} must be a time such as 2030-01-31T12:00:00Z.", name)
