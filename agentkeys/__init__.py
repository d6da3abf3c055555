"""Issue, list and revoke the API keys of AI agents, without losing or leaking a key.

Every name is imported when it is first used, so that ``import agentkeys`` is fast.

PYTEST_DONT_REWRITE: our pytest plugin registers this package for assertion rewriting; without this
marker, pytest warns if the package was imported before pytest starts.
"""

from __future__ import annotations

# Editors and type checkers read `__init__.pyi`.
__version__ = "0.1.0"

__all__ = [
    "APIError",
    "AgentKeysError",
    "AgentityClient",
    "AgentryClient",
    "Announcement",
    "AuthenticationError",
    "BadRequestError",
    "BearerToken",
    "CachedLogin",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "Credentials",
    "DeadlineExceededError",
    "DecodeError",
    "Finding",
    "InvalidArgumentError",
    "Issued",
    "JournalError",
    "Known",
    "Lease",
    "ManifestError",
    "NotFoundError",
    "OrphanKeyError",
    "Page",
    "Pager",
    "PaginationError",
    "PasswordLogin",
    "PermissionDeniedError",
    "Policy",
    "ProfileError",
    "RateLimit",
    "RateLimitError",
    "Report",
    "RequestError",
    "RetryPolicy",
    "Rotated",
    "RotationError",
    "RotationInProgressError",
    "Secret",
    "ServerError",
    "Status",
    "StillInUseError",
    "StoreConflictError",
    "StoreError",
    "StoredToken",
    "Swept",
    "TokenPair",
    "TransportError",
    "UncertainCreateError",
    "UncertainStoreError",
    "UnprocessableError",
    "__version__",
    "abort",
    "adopt",
    "announced",
    "audit",
    "issue",
    "lease",
    "rotate",
    "status",
    "sweep",
]

_ELSEWHERE = {
    "AgentityClient": "agentkeys.agentity",
    "AgentryClient": "agentkeys.agentry",
    "Announcement": "agentkeys.lifecycle",
    "BearerToken": "agentkeys.credentials",
    "CachedLogin": "agentkeys.agentity.cached_login",
    "Credentials": "agentkeys.credentials",
    "Finding": "agentkeys.auditing",
    "Issued": "agentkeys.lifecycle",
    "Known": "agentkeys.lifecycle",
    "Lease": "agentkeys.lifecycle",
    "Page": "agentkeys.paging",
    "Pager": "agentkeys.paging",
    "PasswordLogin": "agentkeys.agentity",
    "Policy": "agentkeys.auditing",
    "RateLimit": "agentkeys.rates",
    "Report": "agentkeys.auditing",
    "RetryPolicy": "agentkeys.retry",
    "Rotated": "agentkeys.lifecycle",
    "Secret": "agentkeys.secret",
    "Status": "agentkeys.lifecycle",
    "StoredToken": "agentkeys.credentials",
    "Swept": "agentkeys.lifecycle",
    "TokenPair": "agentkeys.agentity",
    "abort": "agentkeys.lifecycle",
    "adopt": "agentkeys.lifecycle",
    "announced": "agentkeys.lifecycle",
    "audit": "agentkeys.auditing",
    "issue": "agentkeys.lifecycle",
    "lease": "agentkeys.lifecycle",
    "rotate": "agentkeys.lifecycle",
    "status": "agentkeys.lifecycle",
    "sweep": "agentkeys.lifecycle",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_ELSEWHERE.get(name, "agentkeys.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__]
