from __future__ import annotations

import copy
import pickle

import pytest

import agentkeys
from agentkeys import errors
from agentkeys.errors import (
    AgentKeysError,
    APIError,
    DeadlineExceededError,
    DecodeError,
    InvalidArgumentError,
    PaginationError,
    RequestError,
    TransportError,
)
from agentkeys.secret import Secret

CLASSES = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AgentKeysError)
]


def made(kind):
    if issubclass(kind, APIError):
        return kind("it failed", status=418, errors=({"code": "x"},), retry_after=1.5, applied="no")
    if issubclass(kind, RequestError):
        return kind("it failed", method="POST", path="/x", attempts=3, applied="yes")
    return kind("it failed")


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(
    "through", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_every_error_survives_pickle_and_copy(kind, through):
    """Class, text and attributes are the same on the other side."""
    error = made(kind)
    again = through(error)
    assert type(again) is kind
    assert str(again) == "it failed"
    assert vars(again) == vars(error)


def test_what_was_salvaged_is_left_behind():
    """A DecodeError's secret does not travel with a pickle or a copy."""
    error = DecodeError("it failed", json_path="$.id", salvaged=Secret("agk_live_x"))
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert again.salvaged is None
        assert again.json_path == "$.id"
    assert error.salvaged == Secret("agk_live_x")


def test_every_error_is_public():
    """Whatever can be raised can be named: `agentkeys` exports the whole tree."""
    assert {kind.__name__ for kind in CLASSES} <= set(agentkeys.__all__)
    assert set(errors.__all__) >= {kind.__name__ for kind in CLASSES}


def test_some_errors_are_the_standard_librarys_too():
    """`except ValueError` and `except TimeoutError` catch what they promise."""
    assert issubclass(InvalidArgumentError, ValueError)
    assert issubclass(DeadlineExceededError, TimeoutError)


@pytest.mark.parametrize("kind", [TransportError, DeadlineExceededError, DecodeError, APIError])
def test_an_error_of_a_request_says_what_was_applied(kind):
    """`attempts` and `applied` are on every error that concerns a request."""
    error = made(kind)
    assert error.attempts >= 1
    assert error.applied in {"no", "maybe", "yes"}


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (422, "UnprocessableError"),
        (429, "RateLimitError"),
        (500, "ServerError"),
        (599, "ServerError"),
        (302, "APIError"),
        (418, "APIError"),
        (600, "APIError"),
    ],
)
def test_a_status_has_its_error(status, name):
    """The class of an APIError follows from the status."""
    assert APIError.kind(status).__name__ == name


def test_a_pagination_error_has_the_token():
    """The token that came again can be read from the error."""
    assert PaginationError("again", page_token="t").page_token == "t"
