"""What can go wrong, as one tree of exceptions: its root and its branches.

Catch `AgentKeysError` for all of it. Here lives what is raised. What an error says in words is said
where it happens.
"""

from __future__ import annotations

from agentkeys.errors.keys import (
    JournalError,
    OrphanKeyError,
    RotationError,
    RotationInProgressError,
    StillInUseError,
    StoreConflictError,
    StoreError,
    UncertainCreateError,
    UncertainStoreError,
)
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
    PaginationError,
    PermissionDeniedError,
    RateLimitError,
    RequestError,
    ServerError,
    TransportError,
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
    "JournalError",
    "NotFoundError",
    "OrphanKeyError",
    "PaginationError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestError",
    "RotationError",
    "RotationInProgressError",
    "ServerError",
    "StillInUseError",
    "StoreConflictError",
    "StoreError",
    "TransportError",
    "UncertainCreateError",
    "UncertainStoreError",
    "UnprocessableError",
]
