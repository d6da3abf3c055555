"""AWS Secrets Manager: answers that are old or do not come, a rotation of others, TLS, threads."""

import pytest
import trustme
from aws_server import AwsServer, set_environment
from programs import Program

from agentkeys import StoreError
from agentkeys.stores import ABSENT, AwsStore, Version
from agentkeys.testing.store_checks import made_up

pytestmark = pytest.mark.slow  # the laws of every store are in the file of the store

NAME = "prod/billing-bot"
OLD, NEW = made_up(), made_up()
READS, ADDS = "GetSecretValue", "PutSecretValue"
IN_THREADS = """
    import asyncio, gc, threading
    from agentkeys import Secret
    from agentkeys.stores import open_store

    store = open_store("aws:a#KEY")

    def use():
        asyncio.run(store.probe())
        asyncio.run(store.write(Secret("a")))
        assert asyncio.run(store.read()).secret == Secret("a")

    async def read_often():
        await asyncio.gather(*(store.read() for _ in range(10)))

    use()
    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(read_often())
    gc.collect()
    print("used")
"""


def quick(timeout=30.0):
    store = AwsStore(NAME, timeout=timeout)
    store.pause = 0.001
    return store


def there(aws, kind):
    """Make the secret, or none; return what is expected."""
    if kind == "valued":
        aws.make(NAME, OLD.reveal())
        return Version.of(OLD)
    if kind == "without a value":
        aws.make(NAME)
    return ABSENT


@pytest.mark.parametrize("number", [4, 12])
@pytest.mark.parametrize("kind", ["new", "without a value", "valued"])
@pytest.mark.asyncio
async def test_a_change_that_is_not_seen_at_once_is_no_conflict(aws, kind, number):
    """AWS may answer for a while with what was there before; the write is done, and done once."""
    expected = there(aws, kind)
    aws.troubles = ["", *["stale"] * number]
    await quick().write(NEW, expected=expected)
    kept = aws.secrets[NAME]
    assert kept.text() == NEW.reveal()
    assert kept.with_stage("AWSPREVIOUS") is None or kept.text("AWSPREVIOUS") == OLD.reveal()


@pytest.mark.asyncio
async def test_a_rotation_of_others_keeps_its_label(aws):
    """RotateSecret fails if the label was taken from its version, or is on one of ours."""
    kept = aws.make(NAME, OLD.reveal())
    aws._add(kept, "r" * 32, "of a rotation", None, {"AWSPENDING"})
    store = quick()
    await store.probe()
    aws.troubles = ["", "", "lost before"]
    await store.write(NEW, expected=Version.of(OLD))
    aws.troubles = ["", "", "ExpiredTokenException"]
    with pytest.raises(StoreError):
        await store.write(OLD)
    assert kept.text("AWSPENDING") == "of a rotation"
    await store.remove()
    stages = [stage for entry in kept.versions.values() for stage in entry.stages]
    assert sorted(stages) == ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"]


@pytest.mark.parametrize("at", range(4))
@pytest.mark.asyncio
async def test_a_request_without_an_answer_leaves_time_to_look(aws, at):
    """One of them does not take all of the time; the store looks, and the write is done."""
    there(aws, "valued")
    aws.troubles = [*[""] * at, "hang"]
    await quick(timeout=3.0).write(NEW, expected=Version.of(OLD))
    assert aws.secrets[NAME].text() == NEW.reveal()


@pytest.mark.asyncio
async def test_a_state_that_forbids_a_request_says_what_it_may_be(aws):
    """AWS has one code for several; its text is for people, and not promised."""
    aws.make(NAME, OLD.reveal())
    aws.troubles = ["", "InvalidRequestException"]
    with pytest.raises(StoreError, match=r"restore-secret .*; if .* replica") as raised:
        await quick().write(NEW)
    assert type(raised.value) is StoreError


@pytest.mark.asyncio
async def test_a_profile_that_is_wrong_is_not_asked_again_and_again(aws, monkeypatch, tmp_path):
    """The sentence is about credentials, and not about a service that does not answer."""
    role = "role_arn = arn:aws:iam::111122223333:role/a\nsource_profile = gone\n"
    (tmp_path / "config").write_text(f"[profile work]\n{role}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StoreError, match=r"no credentials for AWS \(InvalidConfigError\)"):
        await quick().read()
    assert not aws.asked


def test_threads_and_loops_share_a_store_over_tls(monkeypatch, tmp_path):
    """Nothing is left open: a warning would be an error."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    with AwsServer(certificate=authority.issue_cert("127.0.0.1")) as server:
        set_environment(monkeypatch, server.environment)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
        program = Program(IN_THREADS)
        try:
            ended = program.end()
        finally:
            program.kill()
    assert (ended.code, ended.out, ended.err) == (0, ["used"], "")
