"""AWS Secrets Manager, on moto's server and on a stricter one of the tests' own."""

import asyncio
import json
import logging
import math

import pytest
from aws_server import AwsServer, environment, set_environment
from moto.server import ThreadedMotoServer
from sockets import sockets

from agentkeys import Secret, StoreConflictError, StoreError, UncertainStoreError
from agentkeys.stores import ABSENT, ANY, AwsStore, Stored, Version
from agentkeys.testing import store_conformance
from agentkeys.testing.store_checks import hidden, made_up, won

pytestmark = pytest.mark.slow

NAME = "prod/billing-bot"
FIELD = "AGENTITY_API_KEY"
OLD, NEW, OTHERS = made_up(), made_up(), made_up()
OBJECT = '{"user": "bot",\n  "port": 5432.10, "AGENTITY_API_KEY": "%s", "url":"postgres://é"}'
READS, ADDS, MOVES = "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"


@pytest.fixture(params=[None, FIELD], ids=["whole", "field"])
def store(aws, request):
    """Return a store of a secret, or of a field of a secret with others, that holds OLD."""
    aws.make(NAME, OLD.reveal() if request.param is None else OBJECT % OLD.reveal())
    store = AwsStore(NAME, request.param, timeout=10.0)
    store.pause = 0.001
    return store


def held(aws, stage="AWSCURRENT"):
    """Return the secret as an administrator finds it, whether it is alone or in a field."""
    text = aws.secrets[NAME].text(stage)
    return Secret(json.loads(text)[FIELD] if text.startswith("{") else text)


def written_by_others(aws, key, secret):
    """Return what makes somebody else write."""
    text = secret.reveal() if key is None else OBJECT % secret.reveal()
    return lambda: aws.put(NAME, text)


def named(folder, key=None):
    return AwsStore(str(folder), key, timeout=10.0)


class _OnAwsServer:
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _served(cls):
        with AwsServer() as server, pytest.MonkeyPatch.context() as monkeypatch:
            set_environment(monkeypatch, server.environment)
            _OnAwsServer.server = server
            yield


class _OnMoto:
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _served(cls):
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        with pytest.MonkeyPatch.context() as monkeypatch:
            host, port = server.get_host_and_port()
            set_environment(monkeypatch, environment(f"http://{host}:{port}"))
            yield
        server.stop()


def another_account(_):
    server = _OnAwsServer.server
    server.account = str(int(server.account) + 1)
    server.secrets.clear()


class TestConformance(_OnAwsServer, store_conformance(named, exchange=another_account)):
    pass


class TestConformanceOfAField(_OnAwsServer, store_conformance(lambda folder: named(folder, FIELD))):
    pass


class TestConformanceOnMoto(_OnMoto, store_conformance(named)):
    pass


@pytest.mark.asyncio
async def test_a_write_moves_the_labels(aws, store):
    """The new version is AWSCURRENT alone, the one before is AWSPREVIOUS, and none is pending."""
    await store.write(NEW, expected=Version.of(OLD))
    assert (held(aws), held(aws, "AWSPREVIOUS")) == (NEW, OLD)
    assert aws.secrets[NAME].with_stage("agentkeys-pending") is None
    assert aws.asked == [READS, ADDS, MOVES, MOVES, READS]
    assert await store.previous() == Stored.of(OLD)


@pytest.mark.asyncio
async def test_all_else_is_kept(aws):
    """Other fields stay to the byte, when a field is written, removed and written again."""
    settings = {"Description": "of the bot", "Tags": ["team"], "KmsKeyId": "alias/bot"}
    kept = aws.make(NAME, OBJECT % OLD.reveal(), **settings)
    store = AwsStore(NAME, FIELD)
    await store.write(NEW)
    assert kept.text() == OBJECT % NEW.reveal()
    await store.remove()
    assert kept.text() == '{"user": "bot",\n  "port": 5432.10, "url":"postgres://é"}'
    await store.write(OLD)
    assert json.loads(kept.text()) == json.loads(OBJECT % OLD.reveal())
    assert (kept.settings, kept.is_deleted) == (settings, False)


@pytest.mark.asyncio
async def test_a_removed_secret_is_an_empty_object(aws):
    """Nothing is deleted: labels, tags and the version before stay; it can be written again."""
    kept = aws.make(NAME, OLD.reveal(), Tags=["team"])
    store = AwsStore(NAME)
    await store.remove(expected=Version.of(OLD))
    assert (kept.text(), held(aws, "AWSPREVIOUS")) == ("{}", OLD)
    assert await store.read() == Stored(None, ABSENT)
    await store.write(NEW, expected=ABSENT)
    assert (kept.text(), await store.previous()) == (NEW.reveal(), Stored(None, ABSENT))
    assert set(aws.asked) == {READS, ADDS, MOVES}
    with pytest.raises(StoreError, match="stands for a removed secret"):
        await store.write(Secret("{}"))


@pytest.mark.parametrize("trouble", ["lost before", "lost after", "ThrottlingException", "twice"])
@pytest.mark.parametrize("at", range(5))
@pytest.mark.asyncio
async def test_a_lost_answer_is_settled(aws, store, trouble, at):
    """Whichever request it is of: the secret is current once, and the one before is kept."""
    aws.troubles = [*[""] * at, trouble]
    assert await store.write(NEW, expected=Version.of(OLD)) == Version.of(NEW)
    assert (held(aws), held(aws, "AWSPREVIOUS")) == (NEW, OLD)
    assert not aws.troubles


@pytest.mark.parametrize("trouble", ["lost before", "lost after", "twice"])
@pytest.mark.parametrize("at", range(4))
@pytest.mark.asyncio
async def test_a_lost_answer_to_a_creation_is_settled(aws, trouble, at):
    """The secret exists once, with one current version."""
    aws.troubles = [*[""] * at, trouble]
    await AwsStore(NAME).write(NEW, expected=ABSENT)
    assert held(aws) == NEW
    assert aws.secrets[NAME].with_stage("AWSPREVIOUS") is None
    assert not aws.troubles


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.asyncio
async def test_a_write_in_between_is_a_conflict(aws, store, at):
    """Between the read and the put, or the put and the move: what others have written stays."""
    aws.troubles = [*[""] * at, written_by_others(aws, store._key, OTHERS)]
    with pytest.raises(StoreConflictError):
        await store.write(NEW, expected=Version.of(OLD))
    assert held(aws) == OTHERS
    assert aws.secrets[NAME].with_stage("agentkeys-pending") is None


@pytest.mark.asyncio
async def test_a_secret_that_is_deleted_in_between_is_a_conflict(aws, store):
    """It is not created again, and so it does not lose its tags and its key."""
    aws.troubles = ["", aws.secrets.clear]
    with pytest.raises(StoreConflictError):
        await store.write(NEW, expected=Version.of(OLD))
    assert not aws.secrets


@pytest.mark.asyncio
async def test_a_change_of_another_field_is_no_conflict(aws):
    """It is kept, and the write is done on it."""
    kept = aws.make(NAME, OBJECT % OLD.reveal())
    changed = (OBJECT % OLD.reveal()).replace("5432.10", "5433")
    aws.troubles = ["", "", lambda: aws.put(NAME, changed)]
    store = AwsStore(NAME, FIELD)
    await store.write(NEW, expected=Version.of(OLD))
    assert kept.text() == changed.replace(OLD.reveal(), NEW.reveal())
    aws.put(NAME, kept.text().replace("5433", "5434"))
    assert await store.previous() == Stored(None, ABSENT)  # AWSPREVIOUS has the current secret


@pytest.mark.asyncio
async def test_one_of_five_racing_writers_wins(aws, store):
    """Who loses leaves no label."""
    rivals = [made_up() for _ in range(5)]
    writes = [store.write(each, expected=Version.of(OLD)) for each in rivals]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    [winner] = [each for each, out in zip(rivals, outcomes, strict=True) if won(out)]
    assert (held(aws), held(aws, "AWSPREVIOUS")) == (winner, OLD)
    assert aws.secrets[NAME].with_stage("agentkeys-pending") is None


@pytest.mark.asyncio
async def test_a_secret_without_a_value_is_filled(aws):
    """As one that Terraform has made: the first version is current, and CreateSecret not asked."""
    kept = aws.make(NAME, Tags=["team"])
    store = AwsStore(NAME, FIELD)
    await store.probe()
    assert not kept.versions
    await store.write(NEW, expected=ABSENT)
    assert (held(aws), kept.settings) == (NEW, {"Tags": ["team"]})
    assert kept.with_stage("agentkeys-pending") is None
    assert "CreateSecret" not in aws.asked


@pytest.mark.asyncio
async def test_a_probe_changes_nothing(aws, store):
    """Not even the label of a rotation by AWS that is under way; nothing is created."""
    kept = aws.secrets[NAME]
    aws._add(kept, "0" * 32, "pending", None, {"AWSPENDING"})
    before = {version: set(entry.stages) for version, entry in kept.versions.items()}
    await store.probe()
    await AwsStore("new").probe()
    assert {version: entry.stages for version, entry in kept.versions.items()} == before
    assert aws.asked == [READS, ADDS, MOVES, READS, MOVES]
    assert list(aws.secrets) == [NAME]


@pytest.mark.parametrize(
    ("expected", "failure", "kind"),
    [
        (ANY, (0, "hang"), StoreError),
        (ANY, (1, "hang"), UncertainStoreError),
        (ANY, (2, "hang"), UncertainStoreError),
        (ANY, (3, "hang"), UncertainStoreError),
        (Version.of(OLD), (1, "AccessDeniedException"), StoreError),
        (Version.of(OLD), (2, "AccessDeniedException"), StoreError),
        (ANY, (2, "ExpiredTokenException"), StoreError),
        (ANY, (1, "LimitExceededException"), StoreError),
        (ANY, (0, "garbage"), StoreError),
        (ANY, (1, "garbage"), UncertainStoreError),
        (ANY, (1, "what no service sends"), StoreError),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
@pytest.mark.asyncio
async def test_what_fails_says_so(aws, expected, failure, kind, caplog):
    """In time, uncertain only if AWS may have acted, and the secret shows nowhere."""
    at, trouble = failure
    caplog.set_level(logging.DEBUG)
    aws.make(NAME, OBJECT % OLD.reveal())
    aws.troubles = [*[""] * at, *[trouble] * 20]
    store = AwsStore(NAME, FIELD, timeout=0.5 if trouble in {"hang", "garbage"} else 10.0)
    with pytest.raises(StoreError) as raised:
        await asyncio.wait_for(store.write(NEW, expected=expected), 5.0)
    assert type(raised.value) is kind
    for secret in (OLD, NEW):
        hidden(secret, raised.value)
        hidden(secret, caplog.text)
    assert not [each for each in caplog.records if each.name.startswith(("boto", "aiobot"))]


@pytest.mark.asyncio
async def test_credentials_that_expire_after_the_move_change_nothing(aws, store):
    """The secret is stored: to take the label off is not part of that."""
    aws.troubles = ["", "", "", "ExpiredTokenException"]
    await store.write(NEW, expected=Version.of(OLD))
    assert held(aws) == NEW


@pytest.mark.asyncio
async def test_a_secret_that_is_to_be_deleted_is_left_alone(aws, store):
    """The error has the command that cancels the deletion."""
    aws.secrets[NAME].is_deleted = True
    command = f"restore-secret --region eu-west-1 --secret-id {NAME}"
    for call in (store.probe(), store.read(), store.write(NEW), store.remove(), store.previous()):
        with pytest.raises(StoreError, match=command):
            await call
    assert held(aws) == OLD


@pytest.mark.asyncio
async def test_a_binary_secret_is_left_alone(aws):
    """It is no text."""
    aws.make(NAME, binary="AAEC")
    for key in (None, FIELD):
        store = AwsStore(NAME, key)
        for call in (store.probe(), store.read(), store.write(NEW), store.remove()):
            with pytest.raises(StoreError, match="binary"):
                await call
    assert len(aws.secrets[NAME].versions) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain", "not a JSON object"),
        ("[1]", "not a JSON object"),
        ("[" * 60_000, "not a JSON object"),
        ('{"AGENTITY_API_KEY": 5}', "not a string"),
        ('{"AGENTITY_API_KEY": "a", "AGENTITY_API_KEY": "b"}', "twice"),
    ],
    ids=["plain", "list", "deep", "number", "twice"],
)
@pytest.mark.asyncio
async def test_a_field_that_cannot_be_is_left_alone(aws, text, said):
    """What the secret holds is none of ours."""
    kept = aws.make(NAME, text)
    store = AwsStore(NAME, FIELD)
    for call in (store.probe(), store.read(), store.write(NEW), store.remove()):
        with pytest.raises(StoreError, match=said):
            await call
    assert kept.text() == text


@pytest.mark.asyncio
async def test_what_is_too_large_is_refused(aws):
    """Before a request is sent, or if the others are in the way, before a version is made."""
    large = made_up(65_527)
    with pytest.raises(StoreError, match="at most 65536 bytes"):
        await AwsStore(NAME).write(Secret(large.reveal() + "x"))
    assert not aws.asked
    await AwsStore(NAME).write(large)
    kept = aws.make(NAME, json.dumps({"other": "x" * 65_000}))
    for call in (AwsStore(NAME, FIELD).probe(), AwsStore(NAME, FIELD).write(made_up(600))):
        with pytest.raises(StoreError, match="with all fields"):
            await call
    assert len(kept.versions) == 1


@pytest.mark.asyncio
async def test_nothing_stays_open(aws, store):
    """After a call, whether it ended well, in an error or by a cancellation."""
    before = sockets()
    await store.write(NEW)
    aws.troubles = ["hang"]
    writing = asyncio.ensure_future(store.write(OLD))
    while not aws.asked[5:]:  # noqa: ASYNC110  # the server is in another thread
        await asyncio.sleep(0.001)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    aws.end_hanging()
    aws.secrets[NAME].is_deleted = True
    with pytest.raises(StoreError):
        await AwsStore(NAME, timeout=math.inf).read()
    async with asyncio.timeout(20.0):
        while sockets() > before:  # noqa: ASYNC110  # the server closes its ends
            await asyncio.sleep(0.001)
