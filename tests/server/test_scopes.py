"""Agentry's scopes: a key reaches its own scope and what lies in it, and nothing else exists."""

from __future__ import annotations

import asyncio
import string
import zlib

import pytest
import pytest_asyncio

from agentkeys.server import has_valid_checksum

pytestmark = pytest.mark.asyncio

PATHS = {
    "tenant": "/human/v0/api-keys",
    "pod 1": "/agent/v0/pods/pod-1/api-keys",
    "pod 2": "/agent/v0/pods/pod-2/api-keys",
    "inbox in pod 1": "/human/v0/inboxes/in-1/api-keys",
    "inbox in pod 2": "/agent/v0/inboxes/in-2/api-keys",
    "inbox alone": "/agent/v0/inboxes/alone/api-keys",
    # An inbox may be called like a pod; that makes it none.
    "inbox called like pod 1": "/human/v0/inboxes/pod-1/api-keys",
}
REACH = {
    "tenant": set(PATHS),
    "pod 1": {"pod 1", "inbox in pod 1"},
    "pod 2": {"pod 2", "inbox in pod 2"},
    **{name: {name} for name in PATHS if name.startswith("inbox")},
}


@pytest_asyncio.fixture
async def keys(api, service):
    """One key of each scope."""
    for pod in ("pod-1", "pod-2"):
        await service.add_pod(pod)
    for inbox, pod in [("in-1", "pod-1"), ("in-2", "pod-2"), ("alone", None), ("pod-1", None)]:
        await service.add_inbox(inbox, pod)
    return {name: await api.create(path) for name, path in PATHS.items()}


@pytest.mark.parametrize("own", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_what_is_out_of_scope_answers_404(api, keys, own, method):
    """Each key reaches exactly the collections of its scope, with every method."""
    token = keys[own]["api_key"]
    reached = set()
    for name, path in PATHS.items():
        other = await api.create(path)
        target = f"{path}/{other['api_key_id']}" if method == "DELETE" else path
        answer = await api.send(method, target, token=token, json={"name": "a"})
        assert answer.status in {200, 201, 204, 404}
        if answer.status != 404:
            reached.add(name)
        else:
            assert set(answer.json) == {"name", "message"}
    assert reached == REACH[own]


async def test_a_collection_holds_the_keys_of_its_scope_and_what_lies_in_it(api, keys):
    """The tenant lists all keys, a pod its own and its inboxes', an inbox its own."""
    for name, path in PATHS.items():
        expected = {keys[reached]["api_key_id"] for reached in REACH[name]}
        assert set(await api.ids(path)) == expected


async def test_both_surfaces_show_the_same_keys(api, keys):
    """The human and the agent surface are two ways to the same collections."""
    for path in ("api-keys", "inboxes/in-1/api-keys"):
        assert await api.ids(f"/human/v0/{path}") == await api.ids(f"/agent/v0/{path}")


async def test_a_key_names_the_scope_it_belongs_to(api, keys):
    """inbox_id and pod_id are there where they apply, and left out where they do not."""
    shown = {
        name: {field: key[field] for field in ("inbox_id", "pod_id") if field in key}
        for name, key in keys.items()
    }
    assert shown == {
        "tenant": {},
        "pod 1": {"pod_id": "pod-1"},
        "pod 2": {"pod_id": "pod-2"},
        "inbox in pod 1": {"inbox_id": "in-1", "pod_id": "pod-1"},
        "inbox in pod 2": {"inbox_id": "in-2", "pod_id": "pod-2"},
        "inbox alone": {"inbox_id": "alone"},
        "inbox called like pod 1": {"inbox_id": "pod-1"},
    }
    listed = (await api.send("GET", PATHS["tenant"], token=api.service.agentry_token)).json
    assert {key["api_key_id"]: key.get("pod_id") for key in listed["api_keys"]} == {
        key["api_key_id"]: key.get("pod_id") for key in keys.values()
    }


async def test_a_key_is_deleted_only_through_a_collection_that_holds_it(api, keys):
    """An id of another inbox is no id of this one, even for the tenant."""
    for name, path in PATHS.items():
        for other, key in keys.items():
            if other not in REACH[name]:
                target = f"{path}/{key['api_key_id']}"
                answer = await api.send("DELETE", target, token=api.service.agentry_token)
                assert answer.status == 404
    assert len(await api.ids(PATHS["tenant"])) == len(PATHS)


async def test_a_list_of_the_tenant_narrows_to_an_inbox(api, keys):
    """inbox_id on the human tenant lists that inbox alone; one that is unknown is a 404."""
    narrowed = await api.ids(f"{PATHS['tenant']}?inbox_id=in-1")
    assert narrowed == [keys["inbox in pod 1"]["api_key_id"]]
    for unknown in ("nobody", "", "%00", "%ff"):
        path = f"{PATHS['tenant']}?inbox_id={unknown}"
        assert (await api.send("GET", path, token=api.service.agentry_token)).status == 404


async def test_only_the_human_tenant_narrows(api, keys):
    """Elsewhere inbox_id is documented for no list: an unknown parameter, which is ignored."""
    for name in ("tenant", "pod 1"):
        path = PATHS[name].replace("human", "agent")
        assert await api.ids(f"{path}?inbox_id=alone") == await api.ids(path)


async def test_a_deleted_key_is_refused_from_the_next_request_on(api, keys):
    """The moment its deletion is answered a key authenticates nothing and lists nowhere."""
    for name in sorted(PATHS, reverse=True):
        key, path = keys[name], PATHS[name]
        # It may delete itself: the last thing it does.
        deleted = await api.send("DELETE", f"{path}/{key['api_key_id']}", token=key["api_key"])
        assert deleted.status in {200, 204}
        answer = await api.send("GET", path, token=key["api_key"])
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert key["api_key_id"] not in await api.ids(PATHS["tenant"])


async def test_of_many_deletes_of_a_key_one_succeeds(api, keys):
    """Of twenty deletes of one key at once, one is answered 204 and the others 404."""
    path = f"{PATHS['tenant']}/{keys['tenant']['api_key_id']}"
    deletes = (api.send("DELETE", path, token=api.service.agentry_token) for _ in range(20))
    answers = await asyncio.gather(*deletes)
    assert sorted(answer.status for answer in answers) == [204, *[404] * 19]


async def test_who_may_not_ask_learns_nothing(api):
    """Without a good token the answer is 401, whether or not what is asked for exists."""
    for path in ("/human/v0/inboxes/nobody/api-keys?limit=0", "/agent/v0/pods/x/api-keys"):
        for token in (None, "ag_" + "0" * 38):
            answer = await api.send("POST", path.split("?")[0], token=token, data=b"{")
            assert answer.status == 401
            assert (await api.send("GET", path, token=token)).status == 401


async def test_the_part_of_a_key_that_is_shown_opens_nothing(api):
    """A key with the right prefix and checksum, and anything else between, is refused."""
    key = (await api.create())["api_key"]
    body = key[3:11] + "0" * 24
    number, checksum = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, index = divmod(number, 62)
        alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
        checksum = alphabet[index] + checksum
    forged = f"ag_{body}{checksum}"
    assert has_valid_checksum(forged)
    assert (await api.send("GET", api.inbox, token=key)).status == 200
    assert (await api.send("GET", api.inbox, token=forged)).status == 401


async def test_the_tenants_first_token_is_no_key_in_a_collection(api):
    """The token that the tenant starts with is not listed, so it cannot be deleted."""
    assert await api.ids(PATHS["tenant"]) == []
