"""`agentkeys ... rotate` under every fault of the local service: one key is left, and it works."""

from __future__ import annotations

import pytest
from fault_grid import HOLDING, OTHERS
from rotations import SAVE, WHERE, keys

from agentkeys import Secret
from agentkeys.cli.ground.codes import CODES, FAILED, WRONG_USAGE
from agentkeys.server.faults import CREATES, DELETES, LISTS, Answer

ROUTES = {"create": CREATES, "list": LISTS, "delete": DELETES}


CASES = [(which, kind) for which in ("agentity", "inbox") for kind in (*HOLDING, *OTHERS)]


@pytest.fixture
def is_live(served, background):
    """Return whether a secret is that of a key."""
    return lambda secret: background.run(served.is_live(Secret(secret)))


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[] if case[1] == Answer(503) else pytest.mark.long)
        for case in CASES
    ],
    ids=repr,
)
def test_one_fault_loses_no_key_and_keeps_no_dead_one(run, served, is_live, env, case):
    """Whatever the command says; what it leaves is finished by the next two sweeps."""
    which, kind = case
    service, where = WHERE[which]
    for name, routes in ROUTES.items():
        run(service, "create", *where, name, *SAVE, "--replace")
        (old,) = keys(run, service, where)
        fault = served.faults.add(routes, kind, when="after")
        words = [service, "rotate", *where, name, *SAVE, "--grace", "0s", "--verify-within", "0s"]
        ended = run(*words, "--timeout", "3")
        served.faults.clear()
        assert is_live(env()), (name, ended)
        for _ in range(2):
            swept = run("sweep")
            assert swept.code in {0, 3}, (name, ended, swept)
        assert is_live(env()), (name, ended)
        left = keys(run, service, where)
        assert len(left) == 1, (name, ended, swept, fault)
        assert ended.code in {0, FAILED, *CODES.values()} - {WRONG_USAGE}, ended
        assert env() not in ended.out + ended.err
        assert (ended.code == 0) <= (left != [old]), ended
        run(service, "delete", *where, str(left[0]), "--yes")
