"""The conformance suite finds what is wrong with a store."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import pytest

from agentkeys.testing import store_conformance

pytestmark = pytest.mark.slow

PRELUDE = """
    import asyncio, logging, secrets, threading
    from functools import partial
    from agentkeys import Secret, StoreError
    from agentkeys.stores import ABSENT, ANY, Found, MemoryStore, Stored, Version
    from agentkeys.testing import store_conformance

    class Good:
        readable = True
        atomic = True
        late_write = 1.0
        def __init__(self, folder):
            self.memory = MemoryStore(str(folder))
            self.address = self.memory.address
            self.past = PASTS.setdefault(self.address, [])
        async def probe(self):
            await self.memory.probe()
        async def read(self):
            return await self.memory.read()
        async def write(self, secret, *, expected=ANY):
            version = await self.memory.write(secret, expected=expected)
            self.past.append(secret)
            return version
        async def previous(self):
            return Stored.of(self.past[-2] if self.past[1:] else None)
        async def identity(self):
            return f"{self.address} {self.number()}"
        async def remove(self, *, expected=ANY):
            await self.memory.remove(expected=expected)
        def describe(self):
            return self.memory.describe()
        async def write_noted(self, secret, *, expected=ANY, note):
            note = partial(self.noted, note)
            return await self.memory.write_noted(secret, expected=expected, note=note)
        def noted(self, note, found):
            note(Found(found.place, f"{found.state} {self.number()}"))
        async def is_as_found(self, found):
            return (await self.found()) == found
        async def found(self):
            memory, notes = MemoryStore(), []
            await memory.write_noted(Secret("s"), note=notes.append)
            return Found(notes[0].place, f"{notes[0].state} {self.number()}")
        def number(self):
            return NUMBERS.get(self.address, 0)

    NUMBERS = {}
    PASTS = {}
    ALL_HAVE_READ = threading.Barrier(6, timeout=30)

    def exchange(folder):
        NUMBERS[Good(folder).address] = 1

"""

FAULTS = {
    "test_it_is_a_store": """
        describe = None
    """,
    "test_two_of_one_place_have_one_address": """
        def __init__(self, folder):
            super().__init__(folder)
            self.address += secrets.token_hex(4)
    """,
    "test_an_empty_secret_is_refused": """
        async def write(self, secret, *, expected=ANY):
            if secret:
                return await super().write(secret, expected=expected)
    """,
    "test_a_str_is_refused": """
        async def write(self, secret, *, expected=ANY):
            return await super().write(Secret(str(secret)), expected=expected)
    """,
    "test_an_empty_one_holds_nothing": """
        async def read(self):
            return Stored((await super().read()).secret or Secret("default"), ABSENT)
    """,
    "test_it_is_replaced": """
        async def write(self, secret, *, expected=ANY):
            if expected not in (ANY, ABSENT):
                raise StoreError("there is one")
            return await super().write(secret, expected=expected)
    """,
    "test_what_is_written_is_read": """
        async def write(self, secret, *, expected=ANY):
            return await super().write(Secret(secret.reveal()[:60]), expected=expected)
    """,
    "test_it_keeps_a_secret_exactly_or_refuses_it": """
        async def write(self, secret, *, expected=ANY):
            return await super().write(Secret(secret.reveal().strip()), expected=expected)
    """,
    "test_what_was_not_expected_is_left_alone": """
        async def write(self, secret, *, expected=ANY):
            return await super().write(secret)
    """,
    "test_what_is_gone_is_not_what_was_read": """
        async def remove(self, *, expected=ANY):
            await super().remove()
    """,
    "test_it_is_removed": """
        async def remove(self, *, expected=ANY):
            if (await self.read()).secret is None:
                raise StoreError("there is nothing")
            await super().remove(expected=expected)
    """,
    "test_a_probe_changes_nothing": """
        async def probe(self):
            await self.write(Secret("probe"))
            await self.remove()
    """,
    "test_one_of_many_rivals_wins": """
        async def write(self, secret, *, expected=ANY):
            found = await self.read()
            await asyncio.sleep(0)
            fits = expected is ANY or expected == found.version
            return await super().write(secret, expected=ANY if fits else expected)
    """,
    "test_a_cancelled_write_is_done_or_not": """
        async def write(self, secret, *, expected=ANY):
            await super().write(Secret(secret.reveal()[:20]), expected=expected)
            await asyncio.sleep(0)
            return await super().write(secret)
    """,
    "test_it_works_in_any_loop": """
        async def write(self, secret, *, expected=ANY):
            self.lock = getattr(self, "lock", None) or asyncio.get_running_loop().create_future()
            assert self.lock.get_loop() is asyncio.get_running_loop()
            return await super().write(secret, expected=expected)
        async def read(self):
            if hasattr(self, "lock"):
                assert self.lock.get_loop() is asyncio.get_running_loop()
            return await super().read()
    """,
    "test_the_secret_shows_nowhere": """
        async def write(self, secret, *, expected=ANY):
            logging.debug(secret.reveal())
            return await super().write(secret, expected=expected)
    """,
    "test_a_noted_write_writes": """
        async def write_noted(self, secret, *, expected=ANY, note):
            note(await self.found())
            return await super().write(secret, expected=expected)
    """,
    "test_what_cannot_be_noted_is_not_written": """
        async def write_noted(self, secret, *, expected=ANY, note):
            version = await super().write(secret, expected=expected)
            await super().write_noted(secret, note=note)
            return version
    """,
    "test_a_conflict_is_not_noted": """
        async def write_noted(self, secret, *, expected=ANY, note):
            await asyncio.to_thread(note, await self.found())
            return await super().write(secret, expected=expected)
    """,
    "test_a_place_is_recognized": """
        async def is_as_found(self, found):
            return True
    """,
    "test_a_place_is_recognized__ever": """
        async def is_as_found(self, found):
            return False
    """,
    "test_another_place_is_not_recognized": """
        def number(self):
            return 0
    """,
    "test_another_place_is_not_recognized__by_identity": """
        write_noted = is_as_found = property()
        async def identity(self):
            return "the same"
    """,
    "test_its_identity_stays": """
        async def identity(self):
            return repr(await self.read())
    """,
    "test_the_previous_secret_is_the_one_before": """
        async def previous(self):
            return await self.read()
    """,
    "test_reading_the_previous_secret_changes_nothing": """
        async def previous(self):
            stored = await super().previous()
            self.past.pop()
            return stored
    """,
    "test_one_can_go_back": """
        async def previous(self):
            return Stored((await super().previous()).secret and Secret("another"), ABSENT)
    """,
    "test_how_late_a_write_may_come_is_a_number": """
        late_write = -1.0
    """,
    "test_an_atomic_write_has_one_winner": """
        async def write(self, secret, *, expected=ANY):
            found = await self.read()
            ALL_HAVE_READ.wait()
            fits = expected is ANY or expected == found.version
            return await super().write(secret, expected=ANY if fits else expected)
    """,
    "test_a_broken_one_says_so": """
        async def write(self, secret, *, expected=ANY):
            value = secret.reveal()
            raise StoreError("cannot", store=self.describe())
        async def probe(self):
            raise StoreError("cannot", store=self.describe())
    """,
}


@pytest.mark.slow
def test_every_law_finds_its_fault(tmp_path):
    """Each test of the suite fails on a store that breaks its law; a good store passes all."""
    code = textwrap.dedent(PRELUDE) + "TestGood = store_conformance(Good, exchange=exchange)\n"
    for law, body in FAULTS.items():
        given = "Good, broken=Bad" if "broken" in law else "Bad, exchange=exchange"
        code += f"class Bad(Good):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        code += f"Test_{law} = store_conformance({given})\n"
    (tmp_path / "test_it.py").write_text(code)
    laws = [(fault, fault.partition("__")[0]) for fault in FAULTS]
    ids = ["test_it.py::TestGood", *(f"test_it.py::Test_{fault}::{law}" for fault, law in laws)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ids],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    failed = {re.split(r"::|\[| ", line)[2] for line in lines}
    assert failed == {f"Test_{law}" for law in FAULTS}, done.stdout


def test_every_law_has_a_fault_that_it_finds():
    """But for those that the stores with other faults break as well."""
    suite = store_conformance(lambda _: None, broken=lambda _: None, exchange=lambda _: None)
    laws = {name for name in dir(suite) if name.startswith("test_")}
    assert laws - set(FAULTS) == set()
