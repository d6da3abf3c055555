from __future__ import annotations

import pytest
from plugin_suites import INI, NO_TRACE, run

pytestmark = pytest.mark.slow

PLAIN = """
import asyncio
import threading

elsewhere = asyncio.new_event_loop()
thread = threading.Thread(target=elsewhere.run_forever)
thread.start()


def test_blocking(agentkeys_service, agentity_sync, agentry_sync, assert_no_leaks):
    agentity_sync.api_keys.create("bot")
    agentry_sync.inbox(agentkeys_service.inbox_id).api_keys.create("ci")
    assert [key.nickname for key in agentity_sync.api_keys.list()] == ["bot"]
    assert [key.name for key in agentry_sync.api_keys.list()] == ["ci"]


def test_a_loop_for_each_call(agentity):
    asyncio.run(agentity.api_keys.create("bot"))
    assert len(asyncio.run(agentity.api_keys.list().collect())) == 1


def test_unused(agentity, agentry, agentity_sync, agentry_sync):
    pass


def test_a_loop_that_rests(agentity):
    global runner
    runner = asyncio.Runner()
    runner.run(agentity.api_keys.create("bot"))


def test_a_loop_that_was_resting():
    runner.close()


def test_a_loop_in_another_thread(agentity):
    asyncio.run_coroutine_threadsafe(agentity.api_keys.create("bot"), elsewhere).result(20)


def test_that_loop_ends():
    elsewhere.call_soon_threadsafe(elsewhere.stop)
    thread.join()
    elsewhere.close()
"""

ASYNC = """
import pytest
{imports}

{mark}
async def test_async(agentkeys_service, agentity, agentry, assert_no_leaks):
    await agentity.api_keys.create("bot")
    await agentry.inbox(agentkeys_service.inbox_id).api_keys.create("ci")
    assert [key.nickname async for key in agentity.api_keys.list()] == ["bot"]
    assert [key.name async for key in agentry.api_keys.list()] == ["ci"]


{fixture}
async def key(agentity):
    key = await agentity.api_keys.create("bot")
    yield key
    await agentity.api_keys.delete(key.id)


{mark}
async def test_a_fixture_of_the_suite(key, agentity):
    assert len(await agentity.api_keys.list().collect()) == 1


{mark}
async def test_a_leak(assert_no_leaks):
    print(assert_no_leaks.token)
"""

SESSION_LOOP = """
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("time", range(3))
async def test_in_the_loop_of_the_session(agentity, agentry, time):
    await agentity.api_keys.create("bot")
    assert len(await agentity.api_keys.list().collect()) == 1
    await agentry.api_keys.create("ci")
"""

ANYIO = """
import pytest


@pytest.fixture
def anyio_backend():
    return "asyncio"
"""

ASYNCIO = ("-o", "asyncio_default_fixture_loop_scope=function", "-o")


@pytest.fixture
def suite(pytester):
    """Write the files of a suite, each test of which must leave no trace."""
    pytester.makeini(INI)

    def suite(conftest: str = "", **files: str) -> pytest.Pytester:
        pytester.makeconftest(NO_TRACE + conftest)
        pytester.makepyfile(**files)
        return pytester

    return suite


def test_the_fixtures_work_without_a_plugin_for_async(suite):
    """Without a plugin for async tests, the clients work in whatever loop a test runs."""
    run(suite(test_it=PLAIN)).assert_outcomes(passed=7)


def test_pytest_asyncio_strict(suite):
    """Marked tests, with a loop for each and with one for the session."""
    code = ASYNC.format(
        imports="import pytest_asyncio",
        mark="@pytest.mark.asyncio",
        fixture="@pytest_asyncio.fixture",
    )
    files = suite(test_it=code, test_session=SESSION_LOOP)
    ran = run(files, *ASYNCIO, "asyncio_mode=strict", plugins=("asyncio",))
    ran.assert_outcomes(passed=5, failed=1)


def test_pytest_asyncio_auto(suite):
    """Tests without a mark."""
    code = ASYNC.format(imports="", mark="", fixture="@pytest.fixture")
    ran = run(suite(test_it=code), *ASYNCIO, "asyncio_mode=auto", plugins=("asyncio",))
    ran.assert_outcomes(passed=2, failed=1)


def test_the_fixtures_work_with_anyio(suite):
    """Marked tests of anyio's plugin, on asyncio."""
    code = ASYNC.format(imports="", mark="@pytest.mark.anyio", fixture="@pytest.fixture")
    ran = run(suite(ANYIO, test_it=code), plugins=("anyio",))
    ran.assert_outcomes(passed=2, failed=1)


@pytest.mark.slow
def test_xdist_and_all_that_is_installed(suite):
    """Each worker's tests have services of their own, and what fails there is told here."""
    code = ASYNC.format(imports="", mark="", fixture="@pytest.fixture")
    ran = run(suite(test_it=code), "-n", "2", *ASYNCIO, "asyncio_mode=auto", plugins=None)
    ran.assert_outcomes(passed=2, failed=1)
    ran.stdout.fnmatch_lines(["*a secret shows: the token in stdout, line 1"])


@pytest.mark.parametrize("capture", ["sys", "tee-sys", "no"])
def test_every_way_of_capturing(suite, capture):
    """A leak is found however pytest captures, and what a test prints still gets out."""
    code = """
        import os

        def test_a_leak(assert_no_leaks):
            os.write(1, assert_no_leaks.token.encode())

        def test_print(assert_no_leaks):
            print("printed" + "!")
    """
    ran = run(suite(test_it=code), f"--capture={capture}", "-rP")
    ran.assert_outcomes(passed=1, failed=1)
    ran.stdout.fnmatch_lines(["*a secret shows: the token in stdout, line 1"])
    assert ran.stdout.str().count("printed!") == 1


def test_outcomes_of_other_kinds(suite):
    """Who expects a leak says so, a TestCase can have the watch, and a teardown fails as one."""
    code = """
        import unittest

        import pytest

        @pytest.mark.xfail(raises=pytest.fail.Exception, strict=True)
        def test_known(assert_no_leaks):
            print(assert_no_leaks.token)

        def test_skip(assert_no_leaks):
            pytest.skip("not today")

        @pytest.fixture
        def watch(assert_no_leaks, request):
            request.cls.watch = assert_no_leaks

        @pytest.mark.usefixtures("watch")
        class TestOfUnittest(unittest.TestCase):
            def test_sound(self):
                pass

            def test_leak(self):
                print(self.watch.token)

        @pytest.fixture
        def late(assert_no_leaks):
            yield
            print(assert_no_leaks.token)

        def test_teardown(late):
            pass
    """
    run(suite(test_it=code)).assert_outcomes(xfailed=1, skipped=1, passed=2, failed=1, errors=1)
