"""The blocking twins, for notebooks and scripts: the same names, the same methods, no await.

Each client runs its async twin on a private event loop in a thread of its own. It works in a
notebook, from many threads, and under Ctrl-C. `close` it, or use it as ``with``; one that is
forgotten closes itself.
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
    # What a client does without: it must not import the service, and need not import the lifecycle.
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
