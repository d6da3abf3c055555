"""The exceptions that agentkeys raises, as one tree.

`AgentKeysError` is the base of all of them. This folder holds the classes; the code that raises an
error holds its text.
"""

from __future__ import annotations

from agentkeys.errors.keys import (
    JournalError,
    ManifestError,
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
    ProfileError,
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
    "ManifestError",
    "NotFoundError",
    "OrphanKeyError",
    "PaginationError",
    "PermissionDeniedError",
    "ProfileError",
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
