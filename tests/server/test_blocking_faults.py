"""The blocking service goes wrong in the same words, moves the same clock, and records the same."""

from __future__ import annotations

import http.client
import math
import threading
from urllib.parse import urlsplit

import pytest

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.faults import (
    CREATES,
    LISTS,
    Answer,
    Delay,
    NeverAnswer,
    RepeatedCursor,
    Reset,
)
from agentkeys.sync import LocalService

PATH = "/human/v0/api-keys"


@pytest.fixture
def service():
    with LocalService() as running:
        yield running


def send(service, method="GET", body=None):
    """Send a request without a client of ours; return the status."""
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc)
    headers = {"Authorization": f"Bearer {service.agentry_token}"}
    try:
        connection.request(method, PATH, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_an_answer_is_lost_after_the_commit(service):
    """The key is there, and the client does not know."""
    fault = service.faults.add(CREATES, Reset(), when="after")
    with pytest.raises(ConnectionResetError):
        send(service, "POST", '{"name": "bot"}')
    fault.wait()
    assert b'"name":"bot"' in send(service)[1]
    assert (fault.hits, fault.when, fault.times, fault.kind) == (1, "after", 1, Reset())
    assert fault.routes == CREATES
    assert repr(fault).startswith("<Fault Reset() after ")


def test_faults_queue_and_end(service):
    """One after the other; with its block, or all at once."""
    with service.faults.add(LISTS, Answer(500), times="always"):
        service.faults.add(LISTS, Answer(502), times=2)
        assert [send(service)[0] for _ in range(2)] == [500, 500]
        assert repr(service.faults) == "<Faults: 2>"
    assert [send(service)[0] for _ in range(3)] == [502, 502, 200]
    assert [fault.hits for fault in service.faults] == [2, 2]
    service.faults.add(LISTS, Answer(500))
    service.faults.clear()
    assert send(service)[0] == 200
    assert list(service.faults) == []


def test_what_cannot_be_is_refused_at_once(service):
    """With the same sentences."""
    with pytest.raises(InvalidArgumentError, match="did you mean"):
        service.faults.add("POST /auth/api-key", Reset())
    with pytest.raises(InvalidArgumentError, match="only Agentry"):
        service.faults.add(CREATES, RepeatedCursor())


def test_one_thread_waits_for_what_another_one_meets(service):
    """And lets go of it."""
    fault = service.faults.add(LISTS, Delay(math.inf))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(send(service)[0]))
    thread.start()
    fault.wait()
    assert answers == []
    fault.remove()
    thread.join()
    assert answers == [200]
    with pytest.raises(TimeoutError):
        fault.wait(2, timeout=0.001)


def test_closing_does_not_wait_for_what_is_held_back():
    """Who hangs is told by the end of the connection."""
    service = LocalService()
    service.start()
    fault = service.faults.add(LISTS, NeverAnswer())
    errors = []

    def hang():
        try:
            send(service)
        except ConnectionError as error:
            errors.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    fault.wait()
    service.close()
    thread.join()
    assert len(errors) == 1


def test_the_clock_moves(service):
    """Forward by an hour."""
    before = service.clock.now()
    service.clock.advance(3600)
    assert 3600 <= (service.clock.now() - before).total_seconds() < 3660


def test_the_requests_are_recorded(service):
    """In order; one can wait for them, and look at them when the service has closed."""
    send(service)
    send(service, "PUT")
    service.requests.wait(2)
    service.close()
    assert [(each.method, each.status) for each in service.requests] == [("GET", 200), ("PUT", 405)]
    assert (len(service.requests), service.requests.count) == (2, 2)
    assert service.requests[-1].path == PATH
    assert repr(service.requests) == "<Requests: 2 of 2>"
    service.requests.clear()
    assert list(service.requests) == []
