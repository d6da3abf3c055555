"""The options of `create` that store the secret instead of printing it."""

from __future__ import annotations

import dataclasses
import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.ground.completing import schemes
from agentkeys.schemes import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentkeys.stores import Store

__all__ = ["Saving", "opened", "opened_if", "which_store", "with_saving"]


PLACEHOLDER: Final = "{NAME}"
"""What stands for the name of a key in the address of --save."""


@dataclass(frozen=True)
class Saving:
    """How a new key's secret is stored.

    Attributes:
        store: the store.
        template: the address of the store with `PLACEHOLDER`, if each name has its own store.
        replace: whether an existing secret in the store may be overwritten.
        exact_name: whether the key gets exactly its name, without a nonce.
    """

    store: Store
    template: str
    replace: bool
    exact_name: bool

    def of(self, name: str) -> Saving:
        """Return where the secret of the key *name* is to be kept."""
        return (
            dataclasses.replace(self, store=_filled(self.template, name)) if self.template else self
        )

    def check_each(self, names: Sequence[str]) -> None:
        """See that each of several names has a place of its own."""
        if not self.template:
            raise click.UsageError(
                f"--save stores the secret of one key: give one NAME, or put {PLACEHOLDER} into the"
                f" address, as in --save 'dotenv:.env#{PLACEHOLDER}'"
            )
        seen: dict[str, str] = {}
        for name in names:
            before = seen.setdefault(_variable(name), name)
            if before != name:
                raise click.UsageError(
                    f"the secrets of {before!r} and {name!r} would be stored at the same place,"
                    f" {_variable(name)}: make one of the keys by itself"
                )


def _filled(template: str, name: str) -> Store:
    return opened(template.replace(PLACEHOLDER, _variable(name)))


def _variable(name: str) -> str:
    """Return a name as that of a variable: billing-bot is BILLING_BOT."""
    whole = re.sub(r"[^A-Z0-9]+", "_", name.upper())
    return f"_{whole}" if whole[:1].isdigit() else whole


_QUOTED: Final = [repr(form) if " " in form else form for form in KEPT]


_OPTIONS: Final = (
    click.option(
        "--save",
        metavar="STORE",
        shell_complete=schemes,
        help=f"Store the secret instead of printing it: {', '.join(_QUOTED)}, or the address of an"
        f" installed package's store. {PLACEHOLDER} in it stands for the name of each key, like"
        " BILLING_BOT for billing-bot.",
    ),
    click.option(
        "--replace",
        is_flag=True,
        help="With --save: overwrite an existing secret; its key stays.",
    ),
    click.option(
        "--exact-name",
        is_flag=True,
        help="With --save: use the name exactly as given, without the ~xxxxxx suffix.",
    ),
)


def with_saving(command: Callable[..., None]) -> Callable[..., None]:
    """Add --save and its options, and pass *command* a `Saving`, or None."""

    @functools.wraps(command)
    def saving(
        *args: Any, save: str | None, replace: bool, exact_name: bool, **kwargs: Any
    ) -> None:
        command(*args, saving=_saving(save, replace, exact_name), **kwargs)

    for option in reversed(_OPTIONS):
        saving = option(saving)
    return saving


def _saving(save: str | None, replace: bool, exact_name: bool) -> Saving | None:
    if save is not None:
        template = save if PLACEHOLDER in save else ""
        store = _filled(save, "NAME") if template else opened(save)
        return Saving(store, template, replace, exact_name)
    if replace or exact_name:
        raise click.UsageError(f"{'--replace' if replace else '--exact-name'} needs --save")
    return None


def opened(save: str) -> Store:
    """Return the store of --save, which must keep a secret after the command ends."""
    from agentkeys.stores import open_store

    store = open_store(save)
    if store.address.startswith("memory:"):
        raise click.UsageError("--save memory: would lose the secret when this command ends")
    return store


def opened_if(save: str | None) -> Store | None:
    """Return the store of --save, or None."""
    return None if save is None else opened(save)


which_store: Final = click.option(
    "--save",
    metavar="STORE",
    shell_complete=schemes,
    help="The store, if keys of this name are replaced in several.",
)
