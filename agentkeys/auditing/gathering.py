"""`audit`: collect what is known of keys, and apply the rules. It changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from agentkeys import arguments
from agentkeys.auditing import rules
from agentkeys.auditing.facts import Facts
from agentkeys.auditing.looking import looked_into
from agentkeys.auditing.policy import Policy
from agentkeys.auditing.report import Report
from agentkeys.auditing.results import Age
from agentkeys.cancellation import Waiting
from agentkeys.errors import InvalidArgumentError
from agentkeys.keys import KeyCollection, Scope, checked_collection
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.driving.hands import ServiceHands
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.remembering import Given, opened, sealed
from agentkeys.masking import LEFT_OUT, masker
from agentkeys.plain import shown
from agentkeys.transport.collection import Keys, whose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentkeys.lifecycle.journal import Journal, Remembered
    from agentkeys.secret import Secret

__all__ = ["audit"]

_DEFAULT: Final = Policy()


async def audit(
    keys: KeyCollection[Any, Any, Any],
    *,
    policy: Policy = _DEFAULT,
    timeout: float | None = None,
    scope: Scope | None = None,
    journal: Given = None,
) -> Report:
    """Compare the listed keys with the journal and with the contents of the stores.

    It lists the keys once, reads the journal and the stores in the journal, and changes nothing. It
    runs no program, not even git. The report holds no secret.

    Args:
        keys: the collection to audit, e.g. ``agentry.inbox("support@acme.to").api_keys``.
        policy: what the keys must fulfil.
        timeout: seconds for the whole call; defaults to the client's timeout.
        scope: the scope that was passed to `issue`; defaults to ``keys.scope``.
        journal: the journal, or its address; defaults to the journal of the environment.

    Raises:
        RequestError: the keys could not be listed, so nothing is known.
        ConfigurationError: the place of the journal is not known.
        InvalidArgumentError: no request was sent.
    """
    journal = sealed(journal)
    checked_collection(keys, "audit", blocking=False)
    if not isinstance(policy, Policy):
        raise InvalidArgumentError(f"policy must be a Policy, not {type(policy).__name__}")
    waiting = Waiting(keys.timeout if timeout is None else arguments.timeout(timeout), grace=0.0)
    remembering = opened(journal)
    with waiting:
        facts, secrets = await _gathered(keys, policy, scope or keys.scope, waiting, remembering)
        found = rules.found(facts)
        ages = tuple(map(partial(_age, facts), facts.keys))
        at = datetime.fromtimestamp(facts.now.wall, UTC)
        report = Report.joined([Report(found, ages, policy, at, (facts.place,))], policy, at)
        return report.in_other_words(_shown([*secrets, *_known_to(keys)]))


async def _gathered(
    keys: KeyCollection[Any, Any, Any],
    policy: Policy,
    scope: Scope,
    waiting: Waiting,
    journal: Journal,
) -> tuple[Facts, list[Secret]]:
    own = await whose(keys, scope, waiting.left())
    # Before and after the listing, because an entry of that time may be in only one of the two.
    earlier = await _remembered(journal, own, waiting)
    listing = await ServiceHands(keys, own, waiting).listed()
    later = await _remembered(journal, own, waiting)
    facts = Facts(own, listing.keys, earlier, later, {}, policy, now())
    looked, secrets = await looked_into(facts.stores, waiting)
    waiting.raise_cancellation()
    return Facts(own, listing.keys, earlier, later, looked, policy, facts.now), secrets


async def _remembered(journal: Journal, scope: Scope, waiting: Waiting) -> Remembered:
    """Return the entries of the whole service, because a tenant lists the keys of its inboxes."""

    def is_wanted(other: Scope) -> bool:
        return (other.service, other.realm) == (scope.service, scope.realm)

    return await disk.in_time(partial(journal.remembered, is_wanted), waiting.left())


def _age(facts: Facts, key: Any) -> Age:
    return Age(
        key_id=key.id,
        name=key.name,
        created_at=key.created_at,
        age=facts.age(key),
        used_at=getattr(key, "used_at", None),
        place=facts.place,
        store=facts.store_of(key),
        is_leaving=key.id in facts.leaving,
    )


def _known_to(keys: object) -> Iterable[Secret]:
    return keys._credentials.secrets() if isinstance(keys, Keys) else ()  # noqa: SLF001


def _shown(secrets: Iterable[Secret]) -> Callable[[str], str]:
    """Return a function that masks a text, and makes it one line of printable characters."""
    masked = masker(secrets)
    return lambda text: shown(masked(text) or (LEFT_OUT if text else ""))
