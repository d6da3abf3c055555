"""The user's programs: they verify a new secret, or tell its users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentkeys.errors import AgentKeysError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkeys.lifecycle import Announcement
    from agentkeys.lifecycle.driving.callbacks import Then, Verify
    from agentkeys.secret import Secret

__all__ = ["telling", "trying"]


def trying(command: Sequence[str] | None, seconds: float) -> Verify | None:
    """Return a `Verify` that runs the program with the secret on its standard input."""
    if command is None:
        return None

    async def verify(secret: Secret) -> None:
        await _run(command, seconds, secret=secret)

    return verify


def telling(command: Sequence[str] | None, seconds: float) -> Then | None:
    """Return a `Then` that runs the program, without the secret."""
    if command is None:
        return None

    async def tell(told: Announcement) -> None:
        more = {
            "AGENTKEYS_ROTATION": told.rotation,
            "AGENTKEYS_NAME": told.name,
            "AGENTKEYS_KEY_ID": "" if told.key_id is None else str(told.key_id),
            "AGENTKEYS_REPLACED_ID": str(told.replaced),
            "AGENTKEYS_STORE": told.store,
        }
        await _run(command, seconds, more=more)

    return tell


async def _run(
    command: Sequence[str], seconds: float, *, secret: Secret | None = None, **how: Any
) -> None:
    """Run a program; if the caller is cancelled or the time is up, kill it with its children.

    Raises:
        AgentKeysError: it did not exit with code 0, or did not read the secret.
    """
    from agentkeys import programs
    from agentkeys.stores.contract.threads import in_thread

    try:
        ended = await in_thread(
            lambda stop: programs.run(command, stop, secret=secret, **how),
            timeout=seconds,
            store=command[0],
        )
    except OSError as error:
        reason = f"it cannot be run: {error.strerror or type(error).__name__}"
    else:
        reason = programs.failure(ended)
        if not reason:
            return
        reason = programs.with_what_was_said(reason, ended.said, secret)
    raise AgentKeysError(f"{command[0]}: {reason}")
