"""The options of `create` that store the secret instead of printing it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.completing import schemes
from agentkeys.schemes import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkeys.stores import Store

__all__ = ["Saving", "opened", "opened_if", "which_store", "with_saving"]


@dataclass(frozen=True)
class Saving:
    """Where a new key's secret is to be kept.

    Attributes:
        store: the store.
        replace: whether a secret that it holds may be replaced.
        exact_name: whether the key gets its very name, without a nonce.
    """

    store: Store
    replace: bool
    exact_name: bool


_QUOTED: Final = [repr(form) if " " in form else form for form in KEPT]


_OPTIONS: Final = (
    click.option(
        "--save",
        metavar="STORE",
        shell_complete=schemes,
        help=f"Store the secret instead of printing it: {', '.join(_QUOTED)}, or an address of an"
        " installed package's store.",
    ),
    click.option(
        "--replace",
        is_flag=True,
        help="With --save: replace a secret that is there; its key stays.",
    ),
    click.option(
        "--exact-name",
        is_flag=True,
        help="With --save: make a key of this very name, without ~ and six characters behind it.",
    ),
)


def with_saving(command: Callable[..., None]) -> Callable[..., None]:
    """Add --save and what goes with it, and hand *command* a `Saving`, or None."""

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
        return Saving(opened(save), replace, exact_name)
    if replace or exact_name:
        raise click.UsageError(f"{'--replace' if replace else '--exact-name'} needs --save")
    return None


def opened(save: str) -> Store:
    """Return the store of --save, which keeps a secret when the command has ended."""
    from agentkeys.stores import open_store

    store = open_store(save)
    if store.address.startswith("memory:"):
        raise click.UsageError("--save memory: would lose the secret when this command ends")
    return store


def opened_if(save: str | None) -> Store | None:
    """Return the store of --save, if there is one."""
    return None if save is None else opened(save)


which_store: Final = click.option(
    "--save",
    metavar="STORE",
    shell_complete=schemes,
    help="Which store, if keys of this name are replaced in several.",
)
