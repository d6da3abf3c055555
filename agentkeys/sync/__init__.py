"""The blocking clients, for notebooks and scripts: the same names, the same methods, no await.

Each client runs its async client on a private event loop in its own thread. It works in a notebook,
from many threads, and with Ctrl-C. Call `close`, or use it with ``with``; a client that is dropped
closes itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkeys.sync.clients import (
    AgentityApiKeys,
    AgentityClient,
    AgentryAgentApiKeys,
    AgentryAgentScope,
    AgentryAgentSurface,
    AgentryApiKeys,
    AgentryClient,
    AgentryInbox,
    AgentryTenantApiKeys,
    BlockingPager,
    Keys,
    login,
    register,
)

if TYPE_CHECKING:
    from agentkeys.sync.auditing import audit
    from agentkeys.sync.fleet import apply, plan
    from agentkeys.sync.lifecycle import (
        abort,
        adopt,
        announced,
        issue,
        lease,
        rotate,
        status,
        sweep,
    )
    from agentkeys.sync.service import LocalService
else:
    # Not needed by a client: importing the service is forbidden here, and the lifecycle is
    # optional.
    _ELSEWHERE = {
        "LocalService": "agentkeys.sync.service",
        "audit": "agentkeys.sync.auditing",
        **dict.fromkeys(("apply", "plan"), "agentkeys.sync.fleet"),
        **dict.fromkeys(
            ("abort", "adopt", "announced", "issue", "lease", "rotate", "status", "sweep"),
            "agentkeys.sync.lifecycle",
        ),
    }

    def __getattr__(name: str) -> object:
        if name not in _ELSEWHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(_ELSEWHERE[name]), name)
        globals()[name] = value
        return value


__all__ = [
    "AgentityApiKeys",
    "AgentityClient",
    "AgentryAgentApiKeys",
    "AgentryAgentScope",
    "AgentryAgentSurface",
    "AgentryApiKeys",
    "AgentryClient",
    "AgentryInbox",
    "AgentryTenantApiKeys",
    "BlockingPager",
    "Keys",
    "LocalService",
    "abort",
    "adopt",
    "announced",
    "apply",
    "audit",
    "issue",
    "lease",
    "login",
    "plan",
    "register",
    "rotate",
    "status",
    "sweep",
]


def __dir__() -> list[str]:
    return [*__all__]
