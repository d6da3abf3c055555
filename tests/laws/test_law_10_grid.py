"""Law 10 as a grid: every secret, in every place, after every error, in every client."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from attempts import awaited, blocking, refused, specimen, watched
from background import Background
from places import PLACES, SLOW_PLACES, Specimen
from programs import Program
from refusals import REFUSALS
from sentinels import (
    ACCESS,
    EMAIL,
    NEEDLES,
    NEW_KEY,
    PROXY_PASSWORD,
    REFRESH,
    SAID,
    TOKEN,
    found,
)
from troubles import MODULES, TROUBLES, Trouble, list_
from wire import Wire, hang

from agentkeys import AgentKeysError, Secret, errors

if TYPE_CHECKING:
    from collections.abc import Iterator

BASES = {errors.AgentKeysError, errors.RequestError}
"""What is caught, and never raised as itself."""
CLIENTS = {"async": awaited, "blocking": blocking}
CALLS = {
    f"{name}: {how}": (client, trouble)
    for name, client in CLIENTS.items()
    for how, trouble in TROUBLES.items()
    if name in trouble.ways
}
ONE_OF_EACH = {trouble.error: name for name, (_, trouble) in reversed(CALLS.items())}
REFUSED = {
    f"{name}: {how}": (module, refusal)
    for name, module in MODULES.items()
    for how, refusal in REFUSALS.items()
}
COMMANDS = {
    f"{how}{verbose}": (trouble, [verbose.strip()] if verbose else [])
    for how, trouble in TROUBLES.items()
    if trouble.is_a_commands
    for verbose in ("", " -v")
}
STREAMS = ("stdout", "stderr", "the log", "warnings")

Plain = attrs.make_class("Plain", {"secret": attrs.field()})

calls = pytest.mark.parametrize(("client", "trouble"), CALLS.values(), ids=CALLS)
refusals = pytest.mark.parametrize(("module", "refusal"), REFUSED.values(), ids=REFUSED)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> None:
    """Where what is issued is remembered."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path / "home"))


@pytest.fixture
def background() -> Iterator[Background]:
    with Background() as background:
        yield background


@pytest.fixture
def program() -> Iterator[Any]:
    programs = []

    def program(code: str, *args: str) -> Program:
        programs.append(Program(code, *args))
        return programs[-1]

    yield program
    for each in programs:
        each.kill()


def kinds(error: type[AgentKeysError]) -> Iterator[type[AgentKeysError]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds(kind)


def leaks(of: Specimen, places: dict[str, Any], in_play: frozenset[str]) -> list[str]:
    """Return the cells in which a secret shows."""
    return [
        f"{secret} in {place}"
        for place, look in places.items()
        for secret in found(look(of), in_play)
    ]


def assert_was_in_play(trouble: Trouble, wire: Wire) -> None:
    """Fail if a secret that is looked for was never there."""
    logged_in = any("/auth/token" in seen.target for seen in wire.requests)
    told = (SAID + repr(NEW_KEY)) * trouble.tells + f"{ACCESS}{REFRESH}" * logged_in
    there = repr(wire.requests) + told + PROXY_PASSWORD + "".join(trouble.service.holds)
    assert trouble.in_play == {*found(there, trouble.in_play)}


def test_there_is_a_way_to_every_error():
    """A new error must be reached by a call here, or its secrets are not looked for."""
    ours = {
        kind for kind in kinds(AgentKeysError) if kind.__module__.startswith("agentkeys.errors")
    }
    reached = {each.error for each in (*TROUBLES.values(), *REFUSALS.values())}
    assert ours - reached == BASES


def test_the_grid_does_not_shrink():
    """This many cells are looked at: a place, a secret that is in play there, and an attempt."""
    attempts = [
        *(trouble.in_play for _, trouble in CALLS.values()),
        *(refusal.in_play for _, refusal in REFUSED.values()),
    ]
    cells = sum(map(len, attempts)) * len({**PLACES, **SLOW_PLACES})
    cells += sum(len(trouble.in_play) for trouble, _ in COMMANDS.values()) * len(STREAMS)
    assert len({**PLACES, **SLOW_PLACES}) >= 27
    assert cells >= 59_990


@pytest.mark.parametrize("place", [*PLACES, *SLOW_PLACES])
def test_no_place_is_blind(place):
    """Where there is a secret that is no Secret, each place shows it."""

    def leak(things: list[object]) -> None:
        for name in ("agentkeys", "aiohttp.client", "asyncio"):
            logging.getLogger(name).debug("%s", TOKEN)
        things += (Plain(TOKEN), LookupError(TOKEN))

    look = {**PLACES, **SLOW_PLACES}[place]
    assert found(look(specimen(leak, says=place == "traceback"))) == ["bearer token"]


def test_a_secret_shows_nowhere():
    """Neither by itself nor in what holds it."""
    secret = Secret(TOKEN)
    left = specimen(lambda things: things.extend((secret, [secret], {"of": secret}, Plain(secret))))
    assert leaks(left, {**PLACES, **SLOW_PLACES}, frozenset(NEEDLES)) == []


@calls
def test_a_call_shows_no_secret(client, trouble, background):
    """Neither one that fails nor one that does not, and in no place."""
    wire = background.enter(Wire(trouble.answer))
    left = client(trouble, wire, background)
    assert type(left.error) is (trouble.error or RuntimeError), left.error
    assert_was_in_play(trouble, wire)
    assert leaks(left, PLACES, trouble.in_play) == []


@refusals
def test_a_refusal_shows_no_secret(module, refusal, monkeypatch):
    """Nothing that is refused before anything is sent shows what it was given."""
    for name, value in refusal.environment.items():
        monkeypatch.setenv(name, value)
    left = refused(refusal, module)
    assert type(left.error) is refusal.error, left.error
    assert leaks(left, PLACES, frozenset(refusal.in_play)) == []


@pytest.mark.parametrize("name", ONE_OF_EACH.values())
def test_a_drawn_traceback_shows_no_secret(name, background):
    """Rich and IPython draw the locals of each frame; looked at after one call for each error."""
    client, trouble = CALLS[name]
    left = client(trouble, background.enter(Wire(trouble.answer)), background)
    assert leaks(left, SLOW_PLACES, trouble.in_play) == []


@pytest.mark.long
@calls
def test_no_drawn_traceback_of_a_call_shows_a_secret(client, trouble, background):
    """After every call."""
    left = client(trouble, background.enter(Wire(trouble.answer)), background)
    assert leaks(left, SLOW_PLACES, trouble.in_play) == []


@pytest.mark.long
@refusals
def test_no_drawn_traceback_of_a_refusal_shows_a_secret(module, refusal, monkeypatch):
    """After every refusal."""
    for name, value in refusal.environment.items():
        monkeypatch.setenv(name, value)
    assert leaks(refused(refusal, module), SLOW_PLACES, frozenset(refusal.in_play)) == []


@pytest.mark.parametrize(("trouble", "verbose"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_shows_no_secret(trouble, verbose, background, capsys, monkeypatch):
    """But for a new key, which `create` prints on stdout: there and nowhere else."""
    from agentkeys.cli import commands

    wire = background.enter(Wire(trouble.answer))
    for name, value in {
        f"{trouble.service.name.upper()}_BASE_URL": f"http://{trouble.service.name}.test",
        "AGENTITY_EMAIL": EMAIL,
        **trouble.environment(),
        "HTTP_PROXY": wire.url.replace("://", f"://user:{PROXY_PASSWORD}@"),
    }.items():
        monkeypatch.setenv(name, value)
    verb = ["list"] if trouble.steps == (list_,) else ["create", "x"]
    scope = ["--tenant"] if trouble.service.name == "agentry" else []
    seconds = str(trouble.settings.get("timeout", 20))
    options = ["--allow-http", "--timeout", seconds, *verbose]
    with pytest.raises(SystemExit) as exited, watched() as (records, warned):
        commands.main([trouble.service.name, verb[0], *scope, *verb[1:], *options])
    out, err = capsys.readouterr()
    assert bool(exited.value.code) == (trouble.error is not None)
    assert_was_in_play(trouble, wire)
    kept = {trouble.service.new_key} if trouble.salvages else set()
    assert set(found(out, trouble.in_play)) == kept
    streams = (
        err,
        "".join(map(logging.Formatter().format, records)),
        "".join(f"{each.message}{each.source}" for each in warned),
    )
    assert [found(stream, trouble.in_play) for stream in streams] == [[], [], []]


def test_a_loop_that_is_closed_by_hand_warns_without_a_password(background, program):
    """What aiohttp says of a connection that was left open names no password of a proxy."""
    wire = background.enter(Wire(hang))
    left = program(
        """
        import asyncio, sys
        from agentkeys import AgentryClient

        loop = asyncio.new_event_loop()
        client = AgentryClient(
            "token", base_url="http://agentry.test", allow_http=True, proxy=sys.argv[1]
        )
        call = loop.create_task(client.api_keys.create("x"))
        loop.run_until_complete(loop.run_in_executor(None, input))
        loop.close()
        """,
        wire.url.replace("://", f"://user:{PROXY_PASSWORD}@"),
    )
    background.wait(wire.hung)
    left.tell()
    said = left.end().err
    assert "Unclosed connection" in said
    assert found(said) == []
