"""Exit codes: one for each class of error, and how an error is shown as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "CODES",
    "FAILED",
    "FINDINGS",
    "FOR_A_PERSON",
    "INTERRUPTED",
    "MAYBE_DONE",
    "NOT_FOUND",
    "UNDER_WAY",
    "WRONG_USAGE",
    "CommandError",
    "CredentialsError",
    "MissingKeyError",
    "code_of",
    "fields_of_error",
    "worst",
]

FAILED: Final = 1
WRONG_USAGE: Final = 2
UNDER_WAY: Final = 3
FOR_A_PERSON: Final = 4
FINDINGS: Final = 5
REFUSED: Final = 6
NOT_FOUND: Final = 7
CONFLICT: Final = 8
RATE_LIMITED: Final = 9
NO_SERVICE: Final = 10
MAYBE_DONE: Final = 11
INTERRUPTED: Final = 130


class CredentialsError(errors.ConfigurationError):
    """The credentials are missing or invalid. No request was sent."""


class MissingKeyError(errors.AgentKeysError):
    """No key has the given id or name."""


CODES: Final[Mapping[type[Exception], int]] = {
    CredentialsError: REFUSED,
    errors.ConfigurationError: WRONG_USAGE,
    errors.InvalidArgumentError: WRONG_USAGE,
    errors.ManifestError: WRONG_USAGE,
    errors.RotationInProgressError: UNDER_WAY,
    errors.StillInUseError: FOR_A_PERSON,
    errors.RotationError: FOR_A_PERSON,
    errors.UncertainStoreError: FOR_A_PERSON,
    errors.JournalError: FOR_A_PERSON,
    errors.AuthenticationError: REFUSED,
    errors.PermissionDeniedError: REFUSED,
    MissingKeyError: NOT_FOUND,
    errors.NotFoundError: NOT_FOUND,
    errors.ConflictError: CONFLICT,
    errors.StoreConflictError: CONFLICT,
    errors.RateLimitError: RATE_LIMITED,
    errors.ServerError: NO_SERVICE,
    errors.TransportError: NO_SERVICE,
    errors.DeadlineExceededError: NO_SERVICE,
    errors.OrphanKeyError: MAYBE_DONE,
    errors.UncertainCreateError: MAYBE_DONE,
}
"""The code of a class and its subclasses; `FAILED` for every other class."""


class CommandError(click.ClickException):
    """An error with a text of the command.

    Args:
        sentence: the text to show.
        cause: the error with the code and the fields.
    """

    def __init__(self, sentence: str, cause: Exception) -> None:
        super().__init__(sentence)
        self.cause = cause

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click has a class variable
        """The code of the cause."""
        return code_of(self.cause)


def code_of(error: Exception) -> int:
    """Return the exit code of *error*."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    # A list or a delete may be repeated, whatever happened to the first.
    is_create = getattr(error, "method", "") == "POST"
    if is_create and getattr(error, "applied", "no") != "no":
        return MAYBE_DONE
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), FAILED)


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of a command with several failures: the highest."""
    return max(codes, default=0)


def fields_of_error(
    error: Exception | str, message: str, *, key_id: object = None
) -> dict[str, Any]:
    """Return an error as JSON types; None for a field that is not known.

    Args:
        error: the error; a str if there is only a sentence.
        message: its sentence, without secrets.
        key_id: the key that it concerns.
    """
    error = error.cause if isinstance(error, CommandError) else error
    is_usage = isinstance(error, click.UsageError)
    unsent = "no" if is_usage else None
    return {
        "type": "UsageError" if is_usage else _kind(error),
        "message": message,
        "status": getattr(error, "status", None),
        "applied": getattr(error, "applied", unsent),
        "request_id": getattr(error, "request_id", None),
        "key_id": getattr(error, "key_id", None) if key_id is None else key_id,
    }


def _kind(error: Exception | str) -> str:
    if isinstance(error, str | click.ClickException):
        return "AgentKeysError"
    return type(error).__name__
