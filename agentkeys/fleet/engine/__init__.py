"""Keys as declared, on several machines: a queue in PostgreSQL, and workers that take from it.

Here live the queue, which is Procrastinate's, the workers, and what is known of failures. What a
worker does with one key is `carrying_out` beside this folder.
"""

from __future__ import annotations

from agentkeys.fleet.engine.queue import Counts, Failure, Queue, Which
from agentkeys.fleet.engine.worker import Worker

__all__ = ["Counts", "Failure", "Queue", "Which", "Worker"]
