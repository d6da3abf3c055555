"""The parts that the operations of the OpenAPI document share: schemas, answers, parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

Part: TypeAlias = Mapping[str, object]
"""A part of the document: what JSON can hold."""

# All of Unicode but NUL.
_TEXT: Final = r"^[^\u0000]*$"
_MOMENT: Final[Part] = {
    "type": "string",
    "format": "date-time",
    "description": "ISO 8601, in UTC.",
}
_STRING: Final[Part] = {"type": "string"}
_NAME: Final[Part] = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": _TEXT}
_PERMISSIONS: Final[Part] = {
    "type": "object",
    "additionalProperties": {"type": "boolean"},
    "propertyNames": {"pattern": _TEXT},
    "description": "Flags, each given or refused. They are kept and shown, and not enforced.",
}


def record(required: Part, optional: Part | None = None) -> Part:
    """Return the schema of an object with these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def request(required: Part, optional: Part | None = None) -> Part:
    """Return the schema of an object that must have these fields, and may have any besides."""
    return {**record(required, optional), "additionalProperties": True}


def ref(kind: str, name: str) -> Part:
    """Return a reference to a shared part."""
    return {"$ref": f"#/components/{kind}/{name}"}


_ACCOUNT_KEY: Final[Part] = {
    "id": {"type": "integer", "minimum": 1},
    "nickname": _STRING,
    "createdAt": _MOMENT,
    "updatedAt": _MOMENT,
}
_KEY: Final[Part] = {
    "api_key_id": _STRING,
    "name": _STRING,
    "prefix": {"type": "string", "description": "The part of the key that may be shown."},
    "created_at": _MOMENT,
}
_SCOPE: Final[Part] = {"inbox_id": _STRING, "pod_id": _STRING, "permissions": _PERMISSIONS}
_PROBLEM: Final[Part] = record(
    {"code": _STRING, "path": {"type": "array", "items": _STRING}, "message": _STRING}
)

SCHEMAS: Final[Part] = {
    "Account": record(
        {
            "id": {"type": "string", "format": "uuid"},
            "name": _STRING,
            "email": _STRING,
            "createdAt": _MOMENT,
            "updatedAt": _MOMENT,
        }
    ),
    "TokenPair": record({"accessToken": _STRING, "refreshToken": _STRING}),
    "AccountKey": record(_ACCOUNT_KEY),
    "NewAccountKey": record(
        {**_ACCOUNT_KEY, "key": {"type": "string", "description": "The key, shown this once."}}
    ),
    "AccountKeys": record({"apiKeys": {"type": "array", "items": ref("schemas", "AccountKey")}}),
    "Message": record({"message": _STRING}),
    "Key": record(_KEY, {**_SCOPE, "used_at": _MOMENT}),
    "NewKey": record(
        {"api_key": {"type": "string", "description": "The key, shown this once."}, **_KEY}, _SCOPE
    ),
    "Page": record(
        {
            "api_keys": {"type": "array", "items": ref("schemas", "Key"), "maxItems": 100},
            "count": {"type": "integer", "description": "How many keys are on this page."},
        },
        {"next_page_token": {"type": "string", "description": "Absent on the last page."}},
    ),
    "Refusal": record({"name": _STRING, "message": _STRING}),
    "Invalid": record(
        {"name": _STRING, "errors": {"type": "array", "items": _PROBLEM, "minItems": 1}}
    ),
    "AccountRequest": request({"name": _NAME}),
    "RefreshRequest": request(
        {"refreshToken": {"type": "string", "minLength": 1, "maxLength": 4096, "pattern": _TEXT}}
    ),
    "AccountKeyRequest": request({"nickname": _NAME}),
    "KeyRequest": request({"name": _NAME}),
    "AgentKeyRequest": request(
        {"name": _NAME}, {"permissions": {**_PERMISSIONS, "type": ["object", "null"]}}
    ),
}

SECURITY_SCHEMES: Final[Part] = {
    "account": {
        "type": "http",
        "scheme": "basic",
        "description": "The email and the password of an account of Agentity.",
    },
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token that a login or a refresh gave.",
    },
    "agentryToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of Agentry's tenant, or a key of Agentry.",
    },
}

_REQUEST_ID: Final[Part] = {
    "X-Request-Id": {
        "required": True,
        "description": "The id of the request; no two have the same.",
        "schema": _STRING,
    }
}
_CHALLENGE: Final[Part] = {
    "WWW-Authenticate": {
        "required": True,
        "description": "How to ask.",
        "schema": _STRING,
    }
}


def answer(description: str, schema: str | None = None, headers: Part | None = None) -> Part:
    """Return an answer; without a *schema* it has no body."""
    shared = {"description": description, "headers": {**_REQUEST_ID, **(headers or {})}}
    if schema is None:
        return shared
    return {**shared, "content": {"application/json": {"schema": ref("schemas", schema)}}}


_REFUSALS: Final[Mapping[int, str]] = {
    400: "Something in the request cannot be right.",
    401: "The credentials are missing, wrong or expired; or the key is another account's.",
    403: "Host or Origin names a host that is not allowed.",
    404: "There is no such key, inbox or pod, or it is out of reach.",
    408: "The body took too long to arrive.",
    409: "There is one of this name already.",
    413: "The body is too long.",
    417: "What the Expect header asks for cannot be had.",
    431: "The head of the request is too long.",
    503: "The service cannot do this now.",
}


def _refusal(status: int, schema: str) -> Part:
    return answer(_REFUSALS[status], schema, _CHALLENGE if status == 401 else None)


RESPONSES: Final[Part] = {
    **{f"Agentity{status}": _refusal(status, "Message") for status in _REFUSALS},
    "Agentry400": _refusal(400, "Invalid"),
    # Its keys may have the same name.
    **{
        f"Agentry{status}": _refusal(status, "Refusal")
        for status in _REFUSALS
        if status not in {400, 409}
    },
}

PARAMETERS: Final[Part] = {
    "inbox_id": {
        "name": "inbox_id",
        "in": "path",
        "required": True,
        "description": "The id of an inbox: one segment, percent-encoded.",
        "schema": _NAME,
    },
    "pod_id": {
        "name": "pod_id",
        "in": "path",
        "required": True,
        "description": "The id of a pod: one segment, percent-encoded.",
        "schema": _NAME,
    },
    "api_key_id": {
        "name": "api_key_id",
        "in": "path",
        "required": True,
        "description": "The id of the key.",
        "schema": _NAME,
    },
    "id": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The number of the key.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
    },
    "limit": {
        "name": "limit",
        "in": "query",
        "description": "How many keys a page has at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
    },
    "page_token": {
        "name": "page_token",
        "in": "query",
        "description": "The `next_page_token` of the page before.",
        "schema": _STRING,
    },
    "only_inbox_id": {
        "name": "inbox_id",
        "in": "query",
        "description": "Lists the keys of this inbox alone.",
        "schema": _NAME,
    },
}
