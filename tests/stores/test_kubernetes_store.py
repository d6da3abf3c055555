"""A key of a Secret: on an API server of the test's own, and on the real one where there is one."""

import asyncio
import hashlib
import itertools

import pytest
from kubernetes_cluster import ADMIN, AGENT, NAMESPACE, RealCluster, using
from kubernetes_server import KubernetesServer

from agentkeys import InvalidArgumentError, Secret, StoreConflictError, StoreError
from agentkeys.stores import ABSENT, KubernetesStore, Version, open_store
from agentkeys.testing import store_conformance
from agentkeys.testing.store_checks import made_up

pytestmark = pytest.mark.slow

MOST = 1 << 20
CLUSTERS = []
WRITE_ONLY = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["patch", "create"]}]


def named(folder):
    """Return the name of the Secret of a test."""
    return f"s-{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"


def store_of(folder):
    return KubernetesStore(NAMESPACE, named(folder), "key")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    with RealCluster(tmp_path_factory.mktemp("real")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def own():
    with KubernetesServer() as cluster:
        yield cluster


@pytest.fixture(params=["own", "real"])
def cluster(request, tmp_path):
    cluster = request.getfixturevalue(request.param)
    with using(cluster.kubeconfig(tmp_path / "config")):
        yield cluster


def probed(folder):
    """Return a store that has found out that it is write-only."""
    store = store_of(folder)
    asyncio.run(store.probe())
    return store


def at(cluster, folder, token=ADMIN):
    """Have a class of tests run on a cluster; the factory of folders makes its own."""
    if token == AGENT:
        cluster.bind(WRITE_ONLY)
    CLUSTERS.append(cluster)
    with using(cluster.kubeconfig(folder.mktemp("at") / "config", token=token)):
        yield


def kept(folder):
    return (CLUSTERS[-1].data(named(folder)) or {}).get("key")


class TestOnTheOwnServer(
    store_conformance(
        store_of,
        broken=lambda folder: KubernetesStore("nowhere", named(folder), "key"),
        exchange=lambda _: CLUSTERS[-1].found(NAMESPACE),
    )
):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _cluster(cls, own, tmp_path_factory):
        yield from at(own, tmp_path_factory)


class TestOnTheRealServer(store_conformance(store_of)):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _cluster(cls, real, tmp_path_factory):
        yield from at(real, tmp_path_factory)


class TestWriteOnlyOnTheOwnServer(store_conformance(probed, kept=kept)):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _cluster(cls, own, tmp_path_factory):
        yield from at(own, tmp_path_factory, AGENT)


class TestWriteOnlyOnTheRealServer(store_conformance(probed, kept=kept)):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _cluster(cls, real, tmp_path_factory):
        yield from at(real, tmp_path_factory, AGENT)


def kept_of(found):
    """Return what of a Secret is not its values, and not about the last change."""
    metadata = {**found["metadata"]}
    for name in ("resourceVersion", "managedFields"):
        metadata.pop(name, None)
    return {**{name: found[name] for name in found if name != "data"}, "metadata": metadata}


def test_all_else_of_a_secret_stays(cluster, tmp_path):
    """Other keys, labels, annotations, owners and the type, in a write and in a removal."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}
    metadata = {"labels": {"a": "b"}, "annotations": {"c": "d"}, "ownerReferences": [owner]}
    name, store, key = named(tmp_path), store_of(tmp_path), made_up()
    before = cluster.put(name, {"other": "x"}, type="example.com/keys", metadata=metadata)
    version = asyncio.run(store.write(key, expected=ABSENT))
    assert cluster.data(name) == {"other": "x", "key": key.reveal()}
    assert kept_of(cluster.secret(name)) == kept_of(before)
    asyncio.run(store.remove(expected=version))
    assert cluster.data(name) == {"other": "x"}
    assert kept_of(cluster.secret(name)) == kept_of(before)


def test_a_secret_that_was_made_is_deleted_with_its_last_key(cluster, tmp_path):
    """It says who has made it; as long as somebody else keeps a key in it, it stays."""
    name, store = named(tmp_path), store_of(tmp_path)
    asyncio.run(store.write(made_up()))
    found = cluster.secret(name)
    assert found["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "agentkeys"}
    assert found["type"] == "Opaque"
    cluster.change(name, {"data": {"other": "eA=="}})
    asyncio.run(store.remove())
    assert cluster.data(name) == {"other": "x"}
    cluster.change(name, {"data": {"other": None}})
    asyncio.run(store.write(made_up()))
    asyncio.run(store.remove())
    assert cluster.data(name) is None


def test_a_secret_that_others_have_made_is_never_deleted(cluster, tmp_path):
    """It is empty in the end."""
    cluster.put(named(tmp_path), {"key": "old"})
    asyncio.run(store_of(tmp_path).remove(expected=Version.of(Secret("old"))))
    assert cluster.data(named(tmp_path)) == {}


def test_a_secret_without_data_holds_nothing(cluster, tmp_path):
    """Its key is written and removed as that of any other."""
    cluster.put(named(tmp_path), {})
    store, key = store_of(tmp_path), made_up()
    assert asyncio.run(store.read()).version == ABSENT
    asyncio.run(store.remove())
    asyncio.run(store.write(key, expected=ABSENT))
    assert cluster.data(named(tmp_path)) == {"key": key.reveal()}


def said_by(call):
    """Return the sentence of a StoreError."""

    async def awaited():
        await call

    with pytest.raises(StoreError) as raised:
        asyncio.run(awaited())
    assert type(raised.value) is StoreError
    return str(raised.value)


def test_an_immutable_secret_is_refused(cluster, tmp_path):
    """Before a key is made, and whatever is asked; it stays."""
    cluster.put(named(tmp_path), {"key": "old"}, immutable=True)
    store = store_of(tmp_path)
    for call in (store.probe(), store.write(made_up()), store.remove()):
        assert "the Secret is immutable: delete it, or use another one" in said_by(call)
    assert cluster.data(named(tmp_path)) == {"key": "old"}


def test_a_secret_has_1_mib_for_all_its_values(cluster, tmp_path):
    """To the byte, as the server counts; what is too much is refused before it is sent."""
    cluster.put(named(tmp_path), {"other": "x" * (MOST - 300)})
    store, fits = store_of(tmp_path), Secret("y" * 300)
    asyncio.run(store.probe())
    assert "with its other keys the Secret would" in said_by(store.write(Secret("y" * 301)))
    asyncio.run(store.write(fits))
    assert asyncio.run(store.read()).secret == fits
    cluster.change(named(tmp_path), {"data": {"one": "eA=="}})
    assert asyncio.run(store.read()).secret == fits, "the server did not refuse a byte more"
    asyncio.run(store.remove())
    cluster.change(named(tmp_path), {"data": {"more": "eHh4" * 20}})
    assert "more than 1048576 bytes" in said_by(store.probe())
    assert "at most 1048576 bytes" in said_by(store.write(Secret("é" * (MOST // 2) + "x")))


def test_a_type_that_needs_the_key_says_so(cluster, tmp_path):
    """The server refuses that it is removed; it stays."""
    cluster.put(named(tmp_path), {"ssh-privatekey": "old"}, type="kubernetes.io/ssh-auth")
    store = KubernetesStore(NAMESPACE, named(tmp_path), "ssh-privatekey")
    said = said_by(store.remove())
    assert "of a type that forbids it (422 Invalid; its type is kubernetes.io/ssh-auth)" in said
    asyncio.run(store.write(Secret("new")))
    assert cluster.data(named(tmp_path)) == {"ssh-privatekey": "new"}


def test_what_is_no_text_is_not_read(cluster, tmp_path):
    """And it is not overwritten, as if nothing were there."""
    cluster.put(named(tmp_path), {"key": "old"})
    cluster.change(named(tmp_path), {"data": {"key": "/////w=="}})
    store = store_of(tmp_path)
    for call in (store.read(), store.write(made_up())):
        assert "it is not text in UTF-8" in said_by(call)
    assert cluster.secret(named(tmp_path))["data"] == {"key": "/////w=="}


def test_a_namespace_that_is_not_there_is_named(cluster, tmp_path):
    """By the probe, so that no key is made for it."""
    store = KubernetesStore("nowhere", named(tmp_path), "key")
    for call in (store.probe(), store.write(made_up()), store.identity()):
        assert "there is no namespace nowhere" in said_by(call)


def test_two_keys_are_two_places(cluster, tmp_path):
    """Writers of one Secret and several keys do not meet, however often they do."""
    stores = [KubernetesStore(NAMESPACE, named(tmp_path), f"key-{n}") for n in range(4)]
    keys = [made_up() for _ in stores]

    async def write_all():
        writes = zip(stores, keys, strict=True)
        await asyncio.gather(*(store.write(key, expected=ABSENT) for store, key in writes))

    asyncio.run(write_all())
    expected = {f"key-{n}": key.reveal() for n, key in enumerate(keys)}
    assert cluster.data(named(tmp_path)) == expected


def test_an_address_leads_back(own, tmp_path):
    """With the context, which is part of it, whatever signs it has."""
    for context in ("tests", "arn:aws:eks:eu-west-1:1:cluster/a b", "a?b#c%d&é"):
        with using(own.kubeconfig(tmp_path / "config", context=context)):
            store = open_store("kubernetes:agents/billing.bot#API_KEY")
            again = open_store(store.address)
            assert again.address == store.address
            assert repr(again) == (
                f"KubernetesStore('agents', 'billing.bot', 'API_KEY', context={context!r})"
            )
    assert store.address == "kubernetes:agents/billing.bot#API_KEY?context=a%3Fb%23c%25d%26%C3%A9"


@pytest.mark.parametrize(
    "place",
    ["a", "a/b", "a#b", "a/b#", "/b#c", "a/#c", "a/b#c?", "a/b#c?x=y", "a/b#c?context=", "a/b/c#d"],
)
def test_an_address_that_is_none_is_refused(own, tmp_path, place):
    """With a sentence, and before anything is sent."""
    with using(own.kubeconfig(tmp_path / "config")):
        with pytest.raises(InvalidArgumentError):
            open_store(f"kubernetes:{place}")


GOOD = {
    "namespace": ["a", "a-1", "1" * 63],
    "secret": ["a", "a.b", "a" * 63],
    "key": ["A_.-1", "k"],
}
BAD = {
    "namespace": ["A", "a.b", "-a", "a-", "1" * 64, "a_b", "a\n", ""],
    "secret": ["A", "a..b", ".a", "a.", "a_b", ".".join(["a" * 60] * 5), "a\n", ""],
    "key": ["a b", "é", ".", "..", "..a", "k" * 254, "a\n", ""],
}


@pytest.mark.parametrize("which", GOOD)
def test_a_name_that_kubernetes_does_not_allow_is_refused(own, tmp_path, which):
    """Before anything is sent; the sentence does not show it."""
    names = {"namespace": "a", "secret": "b", "key": "c"}
    with using(own.kubeconfig(tmp_path / "config")):
        for good in GOOD[which]:
            KubernetesStore(**{**names, which: good})
        for bad in BAD[which]:
            with pytest.raises(InvalidArgumentError) as raised:
                KubernetesStore(**{**names, which: bad})
            assert len(bad) < 3 or bad not in str(raised.value)


def test_the_names_that_are_refused_are_those_of_the_server(cluster, tmp_path):
    """As far as the server of the test knows them; the real one knows them all."""
    numbers = itertools.count()
    for key, is_good in [*((key, True) for key in GOOD["key"]), *((k, False) for k in BAD["key"])]:
        name = f"{named(tmp_path)}-{next(numbers)}"
        made = cluster.ask(
            "POST",
            f"/api/v1/namespaces/{NAMESPACE}/secrets",
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name},
                "data": {key: "eA=="},
            },
        )
        assert (made["kind"] == "Secret") == is_good, key


def test_a_version_that_was_read_is_no_longer_there(cluster, tmp_path):
    """A conflict names the place and changes nothing."""
    store = store_of(tmp_path)
    old = asyncio.run(store.write(Secret("one")))
    cluster.change(named(tmp_path), {"data": {"key": "dHdv"}})
    with pytest.raises(StoreConflictError, match=f"agents/{named(tmp_path)}"):
        asyncio.run(store.write(made_up(), expected=old))
    assert cluster.data(named(tmp_path)) == {"key": "two"}
