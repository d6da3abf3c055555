"""What can go wrong, as one tree of exceptions: its root and its branches.

Catch `AgentKeysError` for all of it. Here lives what is raised. What an error says in words is said
where it happens.
"""

from __future__ import annotations

from agentkeys.errors.requests import (
    AgentKeysError,
    APIError,
    Applied,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    DeadlineExceededError,
    DecodeError,
    InvalidArgumentError,
    NotFoundError,
    OrphanKeyError,
    PaginationError,
    PermissionDeniedError,
    RateLimitError,
    RequestError,
    RequestFields,
    ServerError,
    StoreConflictError,
    StoreError,
    TransportError,
    UncertainCreateError,
    UncertainStoreError,
    UnprocessableError,
)

__all__ = [
    "APIError",
    "AgentKeysError",
    "Applied",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "DeadlineExceededError",
    "DecodeError",
    "InvalidArgumentError",
    "NotFoundError",
    "OrphanKeyError",
    "PaginationError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestError",
    "RequestFields",
    "ServerError",
    "StoreConflictError",
    "StoreError",
    "TransportError",
    "UncertainCreateError",
    "UncertainStoreError",
    "UnprocessableError",
]
