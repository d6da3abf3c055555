"""A store in a Secret of a Kubernetes cluster. It needs the extra ``kubernetes``."""

from __future__ import annotations

from agentkeys.stores.kubernetes.store import KubernetesStore

__all__ = ["KubernetesStore"]
