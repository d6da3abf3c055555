from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from importlib.metadata import entry_points

import attempt_files
import pytest
from plugin_suites import INI, run
from programs import loaded_by, printed_by

import agentkeys.testing
from agentkeys import AgentityClient, AgentryClient, ClientClosedError, OrphanKeyError, sync
from agentkeys.server.faults import CREATES, LISTS, Answer, Reset
from agentkeys.testing import clients
from agentkeys.testing.made import Made
from agentkeys.testing.service import running

pytestmark = pytest.mark.slow

TIMED = """
import time
import pytest
begun = time.perf_counter()
import agentkeys.testing.plugin
print(time.perf_counter() - begun)
"""


@pytest.fixture
def suite(pytester):
    """Run a suite of one file."""
    pytester.makeini(INI)

    def suite(code: str, conftest: str = "") -> pytest.RunResult:
        pytester.makeconftest(conftest)
        pytester.makepyfile(code)
        return run(pytester)

    return suite


def seconds(start) -> float:
    begun = time.perf_counter()
    with start():
        return time.perf_counter() - begun


def test_the_service_is_ready_in_50_ms():
    """So it is when its modules have been imported; the best of ten, for the machine is shared."""
    assert min(seconds(partial(running, Made())) for _ in range(10)) < 0.05


def test_the_environment_leads_to_the_service(agentkeys_service, agentry_sync):
    """Code that makes its clients without arguments reaches the service, and no other."""
    with sync.AgentityClient() as agentity, sync.AgentryClient() as agentry:
        agentity.api_keys.create("bot")
        agentry.api_keys.create("ci")
    assert [key.name for key in agentry_sync.api_keys.list()] == ["ci"]
    assert agentkeys_service.requests.count == 4  # one of them is the login


def test_the_environment_is_put_back(monkeypatch):
    """What it held before the test it holds after it, an access token and addresses as well."""
    monkeypatch.setenv("AGENTITY_ACCESS_TOKEN", "before")
    for name in ("AGENTITY_ACCESS_TOKEN", "AGENTITY_PASSWORD", "AGENTRY_API_KEY"):
        monkeypatch.setenv(f"{name}_FROM", "memory:before")
    before = dict(os.environ)
    with running(Made()):
        assert "AGENTITY_ACCESS_TOKEN" not in os.environ
        assert not [name for name in os.environ if name.endswith("_FROM")]
        sync.AgentityClient().close()
        sync.AgentryClient().close()
    assert dict(os.environ) == before


def test_attempts_are_remembered_apart():
    """What a test leaves for `sweep` is in no folder of the user's, whose sweeps would find it."""
    before = attempt_files.folder()
    with running(Made()) as service, sync.AgentityClient() as agentity:
        assert attempt_files.folder() != before
        service.faults.add(CREATES, Reset(), when="after")
        service.faults.add(LISTS, Answer(403))
        with pytest.raises(OrphanKeyError):
            sync.issue(agentity.api_keys, "bot", into="memory:apart")
        [left] = attempt_files.files(attempt_files.folder())
        assert len(sync.sweep(agentity.api_keys).deleted) == 1
        assert not left.exists()
        attempt_files.begin(agentity.api_keys.scope, "bot~k7f3q2", "k7f3q2").release()
        home = attempt_files.folder().parent
    assert not home.exists()
    assert attempt_files.folder() == before


def test_the_clients_are_what_they_say(agentity, agentry, agentity_sync, agentry_sync):
    """Two async clients and two blocking ones."""
    assert [type(agentity), type(agentry)] == [AgentityClient, AgentryClient]
    assert [type(agentity_sync), type(agentry_sync)] == [sync.AgentityClient, sync.AgentryClient]


def test_a_client_is_closed_with_its_test(agentkeys_service):
    """Whoever keeps it and goes on calling is told so."""
    with clients.agentity(agentkeys_service) as client:
        assert asyncio.run(client.api_keys.list().collect()) == []
    with pytest.raises(ClientClosedError):
        asyncio.run(client.api_keys.list().collect())


@pytest.mark.parametrize("time", [1, 2])
def test_each_test_has_a_service_of_its_own(agentity_sync, time):
    """No test finds the keys of another."""
    assert agentity_sync.api_keys.list().collect() == []
    agentity_sync.api_keys.create("bot")


def test_a_name_in_memory_is_forgotten_with_its_test(suite):
    """The next test can use it, whatever held on to it; what the session stored is still there."""
    code = """
        import asyncio
        import pytest
        from agentkeys import Secret
        from agentkeys.stores import MemoryStore
        from agentkeys.sync import issue

        kept = []

        def held(name):
            return asyncio.run(MemoryStore(name).read()).secret

        @pytest.fixture(scope="session", autouse=True)
        def session():
            asyncio.run(MemoryStore("of the session").write(Secret("for all")))

        @pytest.mark.parametrize("time", [1, 2])
        def test_issue(agentity_sync, time):
            issue(agentity_sync.api_keys, "bot", into="memory:billing-bot")
            kept.append(MemoryStore("billing-bot"))
            assert held("of the session") == Secret("for all")
            assert 0

        def test_without_a_fixture():
            assert held("billing-bot") is None
            one, other = (asyncio.run(store.read()).secret for store in kept)
            assert one and other and one != other
    """
    suite(code).assert_outcomes(failed=2, passed=1)


def test_fixtures_of_the_suite_win(suite):
    """Fixtures of the same names are used in the place of ours, and may build on ours."""
    conftest = """
        import pytest

        @pytest.fixture
        def agentkeys_service(agentkeys_service):
            agentkeys_service.add_inbox("support@acme.to")
            return agentkeys_service

        @pytest.fixture
        def agentity():
            return "of the suite"
    """
    code = """
        def test_it(agentity, agentry_sync):
            assert agentity == "of the suite"
            agentry_sync.inbox("support@acme.to").api_keys.create("ci")
    """
    suite(code, conftest).assert_outcomes(passed=1)


@pytest.mark.parametrize("missing", ["sqlalchemy", "jwt", "argon2"])
def test_a_missing_extra_is_a_sentence(suite, missing):
    """Whoever asks for the service without its extra is told what to install, and no more."""
    conftest = f"import sys; sys.modules[{missing!r}] = None"
    ran = suite("def test_it(agentry): pass\ndef test_other(assert_no_leaks): pass", conftest)
    ran.assert_outcomes(errors=1, passed=1)
    sentence = f"the local service needs {missing}: pip install 'agentkeys-sdk[[]server]'"
    ran.stdout.fnmatch_lines([f"the fixture agentkeys_service is not available: {sentence}"])
    ran.stdout.no_fnmatch_line("During handling*")
    ran.stdout.no_fnmatch_line("*Traceback*")


def test_the_plugin_is_registered():
    """Installing agentkeys is enough."""
    [plugin] = entry_points(group="pytest11", name="agentkeys")
    assert plugin.value == "agentkeys.testing.plugin"


def test_the_plugin_imports_nothing_else():
    """A suite that does not use it gets three small modules."""
    extra = loaded_by("import pytest, agentkeys.testing.plugin") - loaded_by("import pytest")
    assert extra == {"agentkeys", "agentkeys.testing", "agentkeys.testing.plugin"}


def test_the_plugin_costs_less_than_5_ms():
    """That is what its import adds to a suite that does not use it; the best of three."""
    assert min(float(printed_by(TIMED)) for _ in range(3)) < 0.005


def test_pytest_may_start_after_an_import(tmp_path):
    """A process that has imported agentkeys, as a notebook, can run pytest without a warning."""
    (tmp_path / "test_it.py").write_text("def test_it(): pass")
    arguments = ["-W", "error", "-p", "no:asyncio", str(tmp_path)]
    assert "1 passed" in printed_by(f"import agentkeys, pytest; pytest.main({arguments})")


def test_its_names_are_imported_when_they_are_used():
    """What `__all__` lists is there, `dir` lists it too, and a misspelt name is an error."""
    assert [getattr(agentkeys.testing, name).__name__ for name in agentkeys.testing.__all__] == (
        agentkeys.testing.__all__
    )
    assert set(agentkeys.testing.__all__) <= set(dir(agentkeys.testing))
    with pytest.raises(AttributeError, match="LeakWacht"):
        _ = agentkeys.testing.LeakWacht
