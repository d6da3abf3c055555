"""AWS Secrets Manager: addresses, regions, credentials, rights, and which place it is."""

import json
import logging
import re
import socket
from pathlib import Path

import pytest
import trustme
from aws_server import AwsServer
from programs import Program

from agentkeys import ConfigurationError, InvalidArgumentError, Secret, StoreError
from agentkeys.stores import ABSENT, AwsStore, Stored, Version, open_store
from agentkeys.testing.store_checks import hidden, made_up

pytestmark = pytest.mark.slow  # the laws of every store are in the file of the store

NAME = "prod/billing-bot"
ARN = "arn:aws:secretsmanager:eu-central-1:444455556666:secret:prod/billing-bot-AbCdEf"
FIELD = "AGENTITY_API_KEY"
OLD, NEW = made_up(), made_up()
PAGE = (Path(__file__).parents[2] / "docs" / "stores.md").read_text()
NO_EXTRA = """
    import sys
    sys.modules["aiobotocore"] = None
    from agentkeys import ConfigurationError
    from agentkeys.stores import open_store
    try:
        open_store("aws:a?region=eu-west-1")
    except ConfigurationError as error:
        print(error)
"""


def policies():
    """Return the policies of the documentation, with the account of the service's own."""
    section = PAGE[PAGE.index("## AWS Secrets Manager") :]
    blocks = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    return [json.loads(block) for block in blocks]


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("aws:a", "aws:a?region=eu-west-1"),
        ("aws:a/b+c=d.e@f-g_h", "aws:a/b+c=d.e@f-g_h?region=eu-west-1"),
        ("aws:a#KEY", "aws:a#KEY?region=eu-west-1"),
        ("aws:a#KEY?region=us-gov-west-1", "aws:a#KEY?region=us-gov-west-1"),
        ("aws:a#k#?region=x ?region=cn-north-1", "aws:a#k#?region=x ?region=cn-north-1"),
        (f"aws:{ARN}", f"aws:{ARN}?region=eu-central-1"),
        (f"aws:{ARN}#KEY", f"aws:{ARN}#KEY?region=eu-central-1"),
    ],
)
def test_an_address_says_which_region(aws, monkeypatch, given, address):
    """So another process opens the same place, whatever region it is configured with."""
    store = open_store(given)
    assert isinstance(store, AwsStore)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "sa-east-1")
    assert store.address == open_store(store.address).address == address


@pytest.mark.parametrize(
    "given",
    [
        *("aws:?region=eu-west-1", "aws:a b", "aws:a:b", f"aws:{'a' * 513}", "aws:a#", "aws:#k"),
        *("aws:a?", "aws:a?region=", "aws:a?zone=x", "aws:a#what?", "aws:a?region=eu/west"),
        *(f"aws:{ARN}?region=us-east-1", "aws:arn:aws:s3:::bucket", "aws:a#k\nl", "aws:clé"),
    ],
)
def test_what_is_no_address_is_refused(aws, given):
    """When the store is made, and so before a key is."""
    with pytest.raises(InvalidArgumentError):
        open_store(given)
    assert not aws.asked


def test_the_region_is_the_one_of_botocore(aws, monkeypatch, tmp_path):
    """That of the profile; without any, what to do is said."""
    config = tmp_path / "config"
    config.write_text("[profile ops]\nregion = eu-north-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigurationError, match=r"\?region=REGION.*AWS_DEFAULT_REGION"):
        open_store("aws:a")
    monkeypatch.setenv("AWS_PROFILE", "ops")
    assert open_store("aws:a").address.endswith("?region=eu-north-1")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigurationError, match="ProfileNotFound"):
        open_store("aws:a")


@pytest.mark.asyncio
async def test_without_credentials_it_says_what_to_do(aws, monkeypatch):
    """Also if AWS does not take them."""
    store = open_store("aws:a")
    aws.troubles = ["ExpiredTokenException"]
    with pytest.raises(StoreError, match=r"rejects the credentials \(ExpiredTokenException\)"):
        await store.read()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for call in (open_store("aws:a").probe(), open_store("aws:a").write(NEW)):
        with pytest.raises(StoreError, match=r"no credentials.*aws sso login") as raised:
            await call
        hidden(NEW, raised.value)


@pytest.mark.asyncio
async def test_an_endpoint_that_is_not_there_says_so(aws, monkeypatch):
    """After some tries, and in time."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        _, port = closed.getsockname()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{port}")
        store = open_store("aws:a")
        store.pause = 0.001
        with pytest.raises(
            StoreError, match=r"no complete answer.*EndpointConnectionError"
        ) as raised:
            await store.write(NEW)
    hidden(NEW, raised.value)
    assert not aws.asked


@pytest.mark.asyncio
async def test_a_certificate_of_another_host_is_refused(aws, monkeypatch, tmp_path):
    """No secret and no signature is sent."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    outcomes = []
    for host in ("secretsmanager.example", "127.0.0.1"):
        with AwsServer(certificate=authority.issue_cert(host)) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
            server.make(NAME, OLD.reveal())
            store = open_store(f"aws:{NAME}")
            store.pause = 0.001
            try:
                outcomes.append((await store.read()).secret)
            except StoreError as error:
                outcomes.append("SSLError" in str(error))
                assert not server.asked
    assert outcomes == [True, OLD]


@pytest.mark.asyncio
async def test_a_place_is_an_account_a_region_and_an_endpoint(aws, monkeypatch):
    """An ARN names its account; for a name, AWS tells whose credentials they are."""
    named, by_arn = open_store(f"aws:{NAME}"), open_store(f"aws:{ARN}#k")
    assert await by_arn.identity() == (
        f"arn:aws:secretsmanager:eu-central-1:444455556666 at {aws.url}"
    )
    assert not aws.asked
    first = await named.identity()
    assert first == f"arn:aws:secretsmanager:eu-west-1:111122223333 at {aws.url}"
    assert aws.asked == ["GetCallerIdentity"]
    aws.troubles = ["lost before", "lost after"]
    assert await named.identity() == first
    aws.account = "777788889999"
    assert await named.identity() != first


@pytest.mark.parametrize("lacking", [None, 0, 1, 2, 3])
@pytest.mark.asyncio
async def test_the_policy_of_the_documentation_is_the_smallest(aws, lacking):
    """With all of its actions each call is permitted, and without any one of them some are not."""
    policy, _ = policies()
    [statement] = policy["Statement"]
    actions = list(statement["Action"])
    assert len(actions) == 4
    if lacking is not None:
        del actions[lacking]
    aws.policy = {"Statement": [{**statement, "Action": actions}]}

    async def use():
        store = open_store(f"aws:{NAME}")
        await store.probe()
        await store.write(OLD, expected=ABSENT)
        await store.probe()
        await store.write(NEW, expected=Version.of(OLD))
        assert await store.previous() == Stored.of(OLD)
        await store.identity()
        await store.remove()

    if lacking is None:
        await use()
    else:
        with pytest.raises(StoreError, match=r"do not permit secretsmanager:|write-only"):
            await use()
    aws.policy = policy
    with pytest.raises(StoreError, match="do not permit secretsmanager:GetSecretValue"):
        await open_store("aws:another").read()


@pytest.mark.asyncio
async def test_with_the_write_only_policy_a_secret_is_written(aws, caplog):
    """The probe says what is lost, changes nothing that a reader sees, and leaves one version."""
    _, aws.policy = policies()
    kept = aws.make(NAME, OLD.reveal())
    store = open_store(f"aws:{NAME}")
    for _ in range(2):
        await open_store(f"aws:{NAME}").probe()
    await store.probe()
    assert not store.readable
    assert "write-only with these credentials" in caplog.text
    assert (kept.text(), len(kept.versions)) == (OLD.reveal(), 2)
    assert kept.with_stage("agentkeys-pending") is None
    await store.write(NEW)
    assert (kept.text(), kept.text("AWSPREVIOUS")) == (NEW.reveal(), OLD.reveal())
    for call in (store.read(), store.remove(), store.previous(), store.write(OLD, expected=ABSENT)):
        with pytest.raises(StoreError):
            await call
    assert kept.text() == NEW.reveal()


@pytest.mark.asyncio
async def test_a_field_cannot_be_written_unread(aws):
    """The other fields would be lost: the probe says so, and so does a write."""
    _, aws.policy = policies()
    kept = aws.make(NAME, f'{{"{FIELD}": "{OLD.reveal()}"}}')
    store = open_store(f"aws:{NAME}#{FIELD}")
    for call in (store.probe(), store.write(NEW)):
        with pytest.raises(StoreError, match="to keep the other fields"):
            await call
    assert len(kept.versions) == 1


@pytest.mark.asyncio
async def test_an_arn_of_nothing_is_not_created(aws):
    """A secret is created by its name."""
    with pytest.raises(StoreError, match="no secret with this ARN"):
        await open_store(f"aws:{aws.arn('nobody')}").write(NEW)
    assert not aws.secrets


@pytest.mark.asyncio
async def test_a_secret_is_found_by_its_arn(aws):
    """And is the one that has the name."""
    kept = aws.make(NAME, OLD.reveal())
    await open_store(f"aws:{kept.arn}").write(NEW, expected=Version.of(OLD))
    assert (await open_store(f"aws:{NAME}").read()).secret == NEW


@pytest.mark.asyncio
async def test_what_the_program_logs_of_botocore_is_there(aws, caplog):
    """Only what a store asks is not logged."""
    caplog.set_level(logging.DEBUG)
    store = open_store(f"aws:{NAME}")
    await store.write(Secret(NEW.reveal()))
    logging.getLogger("botocore.endpoint").debug("of the program's own")
    assert [each.message for each in caplog.records if each.name.startswith("botocore")] == [
        "of the program's own"
    ]


def test_a_missing_extra_says_what_to_install():
    """When the store is made, and so before anything is sent."""
    program = Program(NO_EXTRA)
    try:
        ended = program.end()
    finally:
        program.kill()
    assert ended.out == ["the aws store needs aiobotocore: pip install 'agentkeys-sdk[aws]'"]
