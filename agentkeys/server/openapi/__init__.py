"""The OpenAPI 3.1 document of both services, written from their documentation.

It is a reading of its own: nothing in it is taken from the handlers, so that a test can hold the
two against each other. The service gives it at ``/openapi.json``, which is a part of neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from agentkeys import __version__
from agentkeys.server.http.answers import encoded
from agentkeys.server.openapi.schemas import (
    PARAMETERS,
    RESPONSES,
    SCHEMAS,
    SECURITY_SCHEMES,
    Part,
    answer,
    ref,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

PATH: Final = "/openapi.json"
"""Where the document is."""

# What any request may meet, whatever it asks for.
_ANYWHERE: Final = (400, 403, 408, 413, 417, 431, 503)


def routes() -> list[web.RouteDef]:
    """Return the route of the document, which needs no authorization."""
    document = encoded(DOCUMENT)

    async def give(request: web.Request) -> web.Response:
        del request
        return web.Response(body=document, content_type="application/json")

    return [web.get(PATH, give, allow_head=False)]


def _operation(
    service: str,
    summary: str,
    operation_id: str,
    *,
    security: str | None,
    success: tuple[int, Part],
    refusals: Iterable[int],
    body: str | None = None,
    parameters: Iterable[str] = (),
) -> Part:
    status, succeeded = success
    refused = {
        str(each): ref("responses", f"{service}{each}") for each in sorted({*_ANYWHERE, *refusals})
    }
    operation: dict[str, object] = {
        "tags": [service],
        "summary": summary,
        "operationId": operation_id,
        "security": [] if security is None else [{security: []}],
        "responses": {str(status): succeeded, **refused},
    }
    if body is not None:
        operation["requestBody"] = _json_body(body)
    if references := [ref("parameters", name) for name in parameters]:
        operation["parameters"] = references
    return operation


def _json_body(schema: str) -> Part:
    return {"required": True, "content": {"application/json": {"schema": ref("schemas", schema)}}}


def _linked(succeeded: Part, operation_id: str, **leads_on: object) -> Part:
    return {**succeeded, "links": {operation_id: {"operationId": operation_id, **leads_on}}}


_TOKEN_PAIR: Final = _linked(
    answer("A pair of tokens.", "TokenPair"),
    "refresh",
    requestBody={"refreshToken": "$response.body#/refreshToken"},
)


_AGENTITY: Final[Part] = {
    "/auth/register": {
        "post": _operation(
            "Agentity",
            "Open an account",
            "register",
            security="account",
            body="AccountRequest",
            success=(201, answer("The account. It is not logged in.", "Account")),
            refusals=(401, 409),
        )
    },
    "/auth/token": {
        "post": _operation(
            "Agentity",
            "Log in",
            "login",
            security="account",
            success=(200, _TOKEN_PAIR),
            refusals=(401,),
        )
    },
    "/auth/token/refresh": {
        "post": _operation(
            "Agentity",
            "Change a refresh token, which is dead from then on, for a new pair",
            "refresh",
            security=None,
            body="RefreshRequest",
            success=(200, _TOKEN_PAIR),
            refusals=(401,),
        )
    },
    "/auth/api-keys": {
        "get": _operation(
            "Agentity",
            "List the keys of the account",
            "listAccountKeys",
            security="accessToken",
            success=(200, answer("All keys, oldest first.", "AccountKeys")),
            refusals=(401,),
        ),
        "post": _operation(
            "Agentity",
            "Create a key, with a nickname that the account has not given yet",
            "createAccountKey",
            security="accessToken",
            body="AccountKeyRequest",
            success=(
                201,
                _linked(
                    answer("The key, itself included.", "NewAccountKey"),
                    "deleteAccountKey",
                    parameters={"id": "$response.body#/id"},
                ),
            ),
            refusals=(401, 409),
        ),
    },
    "/auth/api-keys/{id}": {
        "delete": _operation(
            "Agentity",
            "Delete a key for good",
            "deleteAccountKey",
            security="accessToken",
            parameters=["id"],
            success=(200, answer("It is deleted.", "Message")),
            refusals=(401, 404),
        )
    },
}


def _collection(path: str, scope: str, scope_id: str | None, *filters: str) -> Part:
    ids = [] if scope_id is None else [scope_id]
    return {
        path: {
            "get": _list(scope, [*ids, "limit", "page_token", *filters]),
            "post": _create(scope, ids),
        },
        f"{path}/{{api_key_id}}": {"delete": _delete(scope, [*ids, "api_key_id"])},
    }


def _list(scope: str, parameters: list[str]) -> Part:
    page = answer("A page of keys.", "Page")
    on = {"page_token": "$response.body#/next_page_token", **_same_ids(parameters)}
    return _operation(
        "Agentry",
        "List a page of keys, newest first",
        f"list{scope}Keys",
        security="agentryToken",
        parameters=parameters,
        success=(200, _linked(page, f"list{scope}Keys", parameters=on)),
        refusals=(401, 404),
    )


def _create(scope: str, ids: list[str]) -> Part:
    human = scope.startswith("Human")
    made = answer("The key, itself included.", "NewKey")
    on = {"api_key_id": "$response.body#/api_key_id", **_same_ids(ids)}
    return _operation(
        "Agentry",
        "Create a key",
        f"create{scope}Key",
        security="agentryToken",
        parameters=ids,
        body="KeyRequest" if human else "AgentKeyRequest",
        success=(201 if human else 200, _linked(made, f"delete{scope}Key", parameters=on)),
        refusals=(401, 404),
    )


def _delete(scope: str, parameters: list[str]) -> Part:
    return _operation(
        "Agentry",
        "Delete a key for good",
        f"delete{scope}Key",
        security="agentryToken",
        parameters=parameters,
        success=(204 if scope.startswith("Human") else 200, answer("It is deleted.")),
        refusals=(401, 404),
    )


def _same_ids(parameters: list[str]) -> Part:
    return {name: f"$request.path.{name}" for name in parameters if name in {"inbox_id", "pod_id"}}


DOCUMENT: Final[Part] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Agentity and Agentry, as agentkeys serves them",
        "version": __version__,
        "description": "Written by the makers of agentkeys, from what the services document.",
    },
    "servers": [{"url": "/"}],
    "paths": {
        **_AGENTITY,
        **_collection("/human/v0/inboxes/{inbox_id}/api-keys", "HumanInbox", "inbox_id"),
        **_collection("/human/v0/api-keys", "HumanTenant", None, "only_inbox_id"),
        **_collection("/agent/v0/inboxes/{inbox_id}/api-keys", "AgentInbox", "inbox_id"),
        **_collection("/agent/v0/api-keys", "AgentTenant", None),
        **_collection("/agent/v0/pods/{pod_id}/api-keys", "AgentPod", "pod_id"),
    },
    "components": {
        "schemas": SCHEMAS,
        "responses": RESPONSES,
        "parameters": PARAMETERS,
        "securitySchemes": SECURITY_SCHEMES,
    },
}
"""The document."""
