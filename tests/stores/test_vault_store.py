"""The store in Vault, against a server of the tests' own, and a real one if the machine has it."""

from __future__ import annotations

import asyncio
import itertools
import re
from pathlib import Path

import pytest
import vaults

from agentkeys import Secret, StoreConflictError, StoreError
from agentkeys.stores import ABSENT, VaultStore, Version, open_store
from agentkeys.testing import store_conformance
from agentkeys.testing.store_checks import hidden, made_up

pytestmark = pytest.mark.slow

_numbers = itertools.count()

PAGE = Path(__file__).parents[2] / "docs" / "stores.md"
# The policies of the documentation, for all secrets of the tests.
SMALLEST, DELETES, WRITE_ONLY = (
    each.replace("billing-bot", "team/*")
    for each in re.findall("```text\n(path .+?)```", PAGE.read_text(), re.DOTALL)
)
WITHOUT_PATCH = 'path "kv/data/team/*" { capabilities = ["create", "update"] }'
READ_ONLY = 'path "kv/data/team/*" { capabilities = ["read"] }'
ELSEWHERE = 'path "kv/data/others/*" { capabilities = ["create", "read", "update", "patch"] }'


@pytest.fixture(scope="module", params=["fake", *(["real"] if vaults.BINARY else [])])
def admin(request):
    """Return who has all rights on a server of this module's own."""
    with getattr(vaults, request.param)() as someone:
        yield someone


@pytest.fixture(autouse=True)
def _environment(admin, monkeypatch):
    for name, value in admin.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def path():
    """Return the path of a secret that no test had before."""
    return f"team/{next(_numbers)}"


@pytest.fixture
def store(path):
    return VaultStore(f"kv/{path}", "key")


def run(call):
    async def awaited():
        return await call

    return asyncio.run(awaited())


def refusal(call, kind=StoreError):
    """Return what an error says, which is of this very kind."""
    with pytest.raises(StoreError) as raised:
        run(call)
    assert type(raised.value) is kind
    assert raised.value.__context__ is None
    return str(raised.value)


class TestConformance(
    store_conformance(
        lambda folder: VaultStore(f"kv/team/{folder.name}", "key"),
        broken=lambda _: VaultStore("nowhere/path", "key"),
        exchange=lambda _: vaults.Admin.of_this_process().remount("kv"),
    )
):
    """It keeps the contract."""


@pytest.mark.skipif(vaults.BINARY is None, reason=vaults.MISSING)
def test_a_real_server_is_tried(store, path):
    """All of this module runs on it as well."""
    with vaults.real() as admin:
        assert admin.fields(path) is None


def test_its_address_opens_it(store, path):
    """It has the mount, the path and the field, and no server."""
    assert store.address == f"vault:kv/{path}#key"
    run(open_store(store.address).write(Secret("a secret")))
    assert run(store.read()).secret == Secret("a secret")


def test_it_is_what_others_read(store, path, admin):
    """A field of the secret, beside the others."""
    admin.put(path, {"user": "me", "nested": {"number": 1.5, "none": None}})
    run(store.write(Secret("first")))
    run(store.write(Secret("second")))
    others = {"user": "me", "nested": {"number": 1.5, "none": None}}
    assert admin.fields(path) == others | {"key": "second"}
    run(store.remove())
    assert admin.fields(path) == others


def test_its_metadata_and_settings_stay(store, path, admin):
    """Whoever owns the secret, how many versions are kept, and that a write needs a condition."""
    settings = {"max_versions": 3, "cas_required": True, "custom_metadata": {"owner": "me"}}
    admin.ask("POST", f"kv/metadata/{path}", settings)
    for _ in range(5):
        run(store.write(made_up()))
    run(store.remove())
    found = admin.ask("GET", f"kv/metadata/{path}")["data"]
    assert {name: found[name] for name in settings} == settings


def test_a_removed_secret_is_none_for_everybody(store, path, admin):
    """Its last version is deleted, and can be restored; it is empty."""
    run(store.write(made_up()))
    run(store.remove())
    assert admin.fields(path) is None
    admin.ask("POST", f"kv/undelete/{path}", {"versions": [2]})
    assert admin.fields(path) == {}


@pytest.mark.parametrize("how", ["delete", "destroy"])
def test_what_others_have_deleted_is_absent(store, path, admin, how):
    """It can be written under the condition that it is; its number goes on, and is not 0."""
    before, after = made_up(), made_up()
    version = run(store.write(before))
    admin.ask("POST", f"kv/{how}/{path}", {"versions": [1]})
    assert run(store.read()).version == ABSENT
    refusal(store.write(after, expected=version), StoreConflictError)
    run(store.write(after, expected=ABSENT))
    assert run(store.read()).secret == after
    assert admin.number(path) == 2


def test_a_secret_that_was_purged_begins_anew(store, path, admin):
    """With all of its versions its number is gone."""
    run(store.write(made_up()))
    admin.ask("DELETE", f"kv/metadata/{path}")
    run(store.write(made_up(), expected=ABSENT))
    assert admin.number(path) == 1


def test_a_secret_with_metadata_alone_is_absent(store, path, admin):
    """Somebody has said what is to be kept, before there was anything."""
    admin.ask("POST", f"kv/metadata/{path}", {"custom_metadata": {"owner": "me"}})
    run(store.write(made_up(), expected=ABSENT))
    assert admin.number(path) == 1


def test_the_same_secret_is_not_written_again(store, path, admin):
    """It would push an older version out."""
    secret = made_up()
    assert run(store.write(secret)) == run(store.write(secret)) == Version.of(secret)
    assert admin.number(path) == 1


def test_a_change_of_another_field_is_no_conflict(store, path, admin):
    """A version is that of our field, and not that of the secret."""
    version = run(store.write(made_up()))
    admin.put(path, admin.fields(path) | {"user": "somebody"})
    run(store.write(Secret("new"), expected=version))
    assert admin.fields(path) == {"user": "somebody", "key": "new"}


def test_a_probe_writes_no_version(store, path, admin):
    """Neither where there is none, nor beside other fields, nor where it was deleted."""
    run(store.probe())
    assert admin.fields(path) is None
    admin.put(path, {"user": "me"})
    run(store.probe())
    admin.ask("DELETE", f"kv/data/{path}")
    run(store.probe())
    assert admin.number(path) == 1


def test_previous_skips_what_is_not_ours(store, path, admin):
    """Versions that were deleted or destroyed, and those in which another field changed."""
    secrets = [made_up() for _ in range(4)]
    for secret in secrets:
        run(store.write(secret))
    admin.ask("POST", f"kv/delete/{path}", {"versions": [3]})
    admin.ask("POST", f"kv/destroy/{path}", {"versions": [2]})
    for number in range(2):
        admin.put(path, admin.fields(path) | {"user": f"somebody {number}"})
    assert run(store.previous()).secret == secrets[0]
    run(store.remove())
    assert run(store.previous()).secret == secrets[3]


def test_previous_ends_where_the_server_keeps_no_more(store, path, admin):
    """And says that there is none."""
    assert run(store.previous()).version == ABSENT
    admin.ask("POST", f"kv/metadata/{path}", {"max_versions": 1})
    for _ in range(3):
        run(store.write(made_up()))
    assert run(store.previous()).version == ABSENT


def test_a_field_that_is_no_text_is_refused(store, path, admin):
    """It is nobody's key, and is left alone."""
    admin.put(path, {"key": {"nested": "x"}})
    for call in (store.read(), store.write(made_up()), store.remove(), store.probe()):
        assert "the field key holds a value that is not text" in refusal(call)
    assert admin.fields(path) == {"key": {"nested": "x"}}


def test_a_mount_may_have_several_segments(admin):
    """The server says where it ends; another mount's name may begin like it."""
    name = f"team-{next(_numbers)}"
    admin.mount(f"{name}/kv")
    store = VaultStore(f"{name}/kv/deep/path", "key")
    run(store.write(Secret("x")))
    found = admin.ask("GET", f"{name}/kv/data/deep/path")
    assert found["data"]["data"] == {"key": "x"}
    assert "add the path of a secret to it" in refusal(VaultStore(f"{name}/kv", "k").read())


def test_version_1_is_refused(admin):
    """It would keep what it is given, without a condition; nothing was written there."""
    name = f"old-{next(_numbers)}"
    admin.mount(name, version=1)
    store = VaultStore(f"{name}/path", "key")
    for call in (store.probe(), store.read(), store.write(made_up()), store.identity()):
        assert re.search(f"{name}/ is not a key-value store of version 2", refusal(call))
    assert admin.ask("GET", f"{name}/data/path")["errors"] == []


def test_another_mount_is_another_place(admin):
    """It is at the same path, and what lay there before is not in it."""
    name = f"again-{next(_numbers)}"
    admin.mount(name)
    store = VaultStore(f"{name}/path", "key")
    identity = run(store.identity())
    run(store.write(made_up()))
    admin.remount(name)
    assert run(store.identity()) != identity


def test_odd_names_stay_what_they_are(admin):
    """What a URL, a template or a path could take for something else."""
    path = f"team/{next(_numbers)} a#b?c=d%2e%2e&é+*"
    store = open_store(f"vault:kv/{path}#my field%s")
    run(store.write(Secret("x")))
    assert run(open_store(store.address).read()).secret == Secret("x")
    keys = admin.ask("GET", "kv/metadata/team/?list=true")["data"]["keys"]
    assert path.removeprefix("team/") in keys


@pytest.mark.parametrize("hcl", [SMALLEST, SMALLEST + DELETES], ids=["smallest", "deletes"])
def test_the_smallest_policy_is_enough(store, path, admin, monkeypatch, hcl):
    """For everything, from a probe to a removal; and `default` is not needed."""
    monkeypatch.setenv("VAULT_TOKEN", admin.permitted(hcl))
    first, second = made_up(), made_up()
    run(store.probe())
    version = run(store.write(first, expected=ABSENT))
    run(store.probe())
    run(store.write(second, expected=version))
    assert run(store.previous()).secret == first
    assert run(store.identity())
    run(store.remove())
    assert run(store.read()).version == ABSENT
    assert admin.fields(path) in (None, {})


@pytest.mark.parametrize("hcl", [READ_ONLY, ELSEWHERE, WITHOUT_PATCH])
def test_what_is_not_permitted_is_found_by_the_probe(store, path, admin, monkeypatch, hcl):
    """And a write changes nothing."""
    admin.put(path, {"user": "me"})
    monkeypatch.setenv("VAULT_TOKEN", admin.permitted(hcl))
    secret = made_up()
    assert "the token is not permitted to" in refusal(store.probe())
    assert "the token is not permitted to" in refusal(store.write(secret))
    assert admin.fields(path) == {"user": "me"}
    assert store.readable


def test_a_write_only_policy_keeps_other_fields(store, path, admin, monkeypatch, caplog):
    """It patches, without reading; and says once what is lost."""
    admin.put(path, {"user": "me"})
    monkeypatch.setenv("VAULT_TOKEN", admin.permitted(WRITE_ONLY))
    run(store.probe())
    assert "write-only with these credentials" in caplog.text
    assert not store.readable
    assert admin.number(path) == 1
    run(store.write(Secret("new")))
    assert admin.fields(path) == {"user": "me", "key": "new"}
    for call in (
        store.read(),
        store.remove(),
        store.previous(),
        store.write(made_up(), expected=ABSENT),
    ):
        assert "write-only" in refusal(call)


@pytest.mark.parametrize("before", ["nothing", "metadata", "delete", "destroy"])
def test_a_write_only_policy_writes_where_there_is_nothing(store, path, admin, monkeypatch, before):
    """No field is lost where there is none, and the server compares that."""
    if before == "metadata":
        admin.ask("POST", f"kv/metadata/{path}", {"custom_metadata": {"owner": "me"}})
    elif before != "nothing":
        admin.put(path, {"user": "me"})
        admin.ask("POST", f"kv/{before}/{path}", {"versions": [1]})
    monkeypatch.setenv("VAULT_TOKEN", admin.permitted(WRITE_ONLY))
    run(store.probe())
    run(store.write(Secret("new")))
    assert admin.fields(path) == {"key": "new"}


def test_write_only_and_a_required_condition_do_not_go_together(store, path, admin, monkeypatch):
    """The condition is the number of a version, which cannot be read."""
    admin.put(path, {"user": "me"})
    admin.ask("POST", f"kv/metadata/{path}", {"cas_required": True})
    monkeypatch.setenv("VAULT_TOKEN", admin.permitted(WRITE_ONLY))
    secret = made_up()
    with pytest.raises(StoreError, match="requires check-and-set") as raised:
        run(store.write(secret))
    hidden(secret, raised.value)
    assert admin.fields(path) == {"user": "me"}


@pytest.mark.parametrize("token", ["hvs.unknown", "x" * 40])
def test_an_unknown_token_is_said(store, monkeypatch, token):
    """A server says no more of one that has expired."""
    monkeypatch.setenv("VAULT_TOKEN", token)
    for call in (store.probe(), store.read(), store.write(made_up()), store.identity()):
        said = refusal(call)
        assert "the token is invalid or has expired: log in again" in said
        assert token not in said


def test_a_field_that_is_null_is_none(store, path, admin):
    """As one that is empty."""
    admin.put(path, {"key": None, "user": "me"})
    assert run(store.read()).version == ABSENT
    run(store.write(Secret("new"), expected=ABSENT))
    assert admin.fields(path) == {"key": "new", "user": "me"}
