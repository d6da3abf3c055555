"""What a request to a cluster has in it, and where it goes: to its API server and nowhere else."""

import asyncio
import json
import ssl

import attrs
import pytest
import trustme
from aiohttp import web
from background import Background
from kubernetes_cluster import ADMIN, NAMESPACE, using, written
from kubernetes_server import KubernetesServer, Refusal, Trouble
from leaks import shown
from programs import Program

from agentkeys import StoreError
from agentkeys.stores import ABSENT, KubernetesStore
from agentkeys.testing.store_checks import made_up

pytestmark = pytest.mark.slow  # the laws of every store are in the file of the store

ABSENT_SECRET = {"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "code": 404}


class Hasty(KubernetesStore):
    pause = 0.001


def store(**options):
    return Hasty(NAMESPACE, "bot", "key", **options)


def sentence(call):
    async def awaited():
        await call

    with pytest.raises(StoreError) as raised:
        asyncio.run(awaited())
    assert type(raised.value) is StoreError
    assert ADMIN not in shown(raised.value)
    return str(raised.value)


@attrs.define
class Witness:
    """A server that answers all requests alike, and remembers them."""

    answer: object
    asked: list = attrs.field(factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _serve(self, request):
        self.asked.append((request.method, request.headers.copy(), await request.text()))
        return self.answer(request)


@pytest.fixture
def background():
    with Background() as background:
        yield background


@pytest.fixture
def empty(background):
    """Run a cluster that has no Secret, and remembers what it is asked."""
    return background.enter(Witness(lambda _: web.json_response(ABSENT_SECRET, status=404)))


@pytest.fixture
def own():
    with KubernetesServer() as cluster:
        yield cluster


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("redirected", ["GET", "POST"])
def test_no_redirect_is_followed(background, tmp_path, status, redirected):
    """Another server gets neither the secret nor the token; that nothing is done is certain."""
    elsewhere = background.enter(Witness(lambda _: web.json_response({"kind": "Secret"})))

    def answer(request):
        if request.method == redirected:
            return web.Response(status=status, headers={"Location": f"{elsewhere.url}/stolen"})
        return web.json_response(ABSENT_SECRET, status=404)

    cluster = background.enter(Witness(answer))
    with using(written(tmp_path / "config", "c", {"server": cluster.url}, {"token": ADMIN})):
        said = sentence(store().write(made_up(), expected=ABSENT))
    assert f"the answer is not from a Kubernetes API ({status})" in said
    assert [method for method, *_ in cluster.asked][-1] == redirected
    assert elsewhere.asked == []


@pytest.mark.parametrize("user", [{"token": ADMIN}, {}], ids=["a token", "no token"])
def test_passwords_of_other_programs_stay_at_home(empty, tmp_path, monkeypatch, user):
    """A netrc, whose default counts for every server, is neither sent nor in the way."""
    (tmp_path / "netrc").write_text("default login joe password for-others\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with using(written(tmp_path / "config", "c", {"server": empty.url}, user)):
        assert asyncio.run(store().read()).version == ABSENT
    [(_, headers, _)] = empty.asked
    assert headers.get("Authorization") == (f"Bearer {ADMIN}" if user else None)


def test_a_token_in_a_file_may_end_in_a_line_end(own, tmp_path):
    """As editors and `echo` write it; the path counts from the folder of the kubeconfig."""
    (tmp_path / "token").write_text(f"{ADMIN}\n")
    with using(written(tmp_path / "config", "c", {"server": own.url}, {"tokenFile": "token"})):
        assert asyncio.run(store().read()).version == ABSENT


def test_a_user_can_act_as_another_one(empty, tmp_path):
    """As kubectl does it: with the user, the groups and all else that the kubeconfig names."""
    acting = {
        "token": ADMIN,
        "as": "deployer",
        "as-uid": "4711",
        "as-groups": ["one", "two"],
        "as-user-extra": {"example.com/reason": ["a", "b"]},
    }
    with using(written(tmp_path / "config", "c", {"server": empty.url}, acting)):
        asyncio.run(store().read())
    [(_, headers, _)] = empty.asked
    assert headers["Impersonate-User"] == "deployer"
    assert headers["Impersonate-Uid"] == "4711"
    assert headers.getall("Impersonate-Group") == ["one", "two"]
    assert headers.getall("Impersonate-Extra-example.com%2Freason") == ["a", "b"]
    assert headers["Authorization"] == f"Bearer {ADMIN}"


def test_nobody_is_impersonated_unless_the_kubeconfig_says_so(empty, tmp_path):
    """The agent is named, for the audit log of the cluster."""
    with using(written(tmp_path / "config", "c", {"server": empty.url}, {"token": ADMIN})):
        asyncio.run(store().read())
    [(_, headers, _)] = empty.asked
    assert not [name for name in headers if name.startswith("Impersonate")]
    assert headers["User-Agent"] == "agentkeys"


@pytest.fixture
def secured():
    """Run a cluster with a certificate; return it and what its clients must trust."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with KubernetesServer(context) as cluster:
        yield cluster, authority


@pytest.fixture
def trusted(secured, tmp_path):
    cluster, authority = secured
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return {"server": cluster.url, "certificate-authority": "ca.pem"}


def test_a_context_need_have_no_user(trusted, tmp_path):
    """The cluster decides what anybody may do."""
    path = written(tmp_path / "config", "c", trusted, {})
    config = json.loads(path.read_text())
    del config["contexts"][0]["context"]["user"]
    path.write_text(json.dumps(config))
    with using(path):
        assert "does not accept these credentials" in sentence(store().read())


@pytest.mark.parametrize("name", [None, "localhost"])
def test_the_name_of_the_certificate_can_be_given(secured, trusted, tmp_path, name):
    """In the kubeconfig; one that the certificate does not have is not trusted."""
    cluster, _ = secured
    named = {} if name is None else {"tls-server-name": name}
    with using(written(tmp_path / "config", "c", {**trusted, **named}, {"token": ADMIN})):
        if name is None:
            assert asyncio.run(store().read()).version == ABSENT
        else:
            assert "the TLS connection to the cluster failed" in sentence(store().read())
    assert cluster.asked == ([] if name else ["get"])


def test_a_program_that_is_not_installed_is_named(own, tmp_path):
    """With what kind of failure that is."""
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "no-such-program",
        "interactiveMode": "Never",
    }
    with using(written(tmp_path / "config", "c", {"server": own.url}, {"exec": command})):
        said = sentence(store().read())
    assert "the program no-such-program cannot be run (FileNotFoundError): install it" in said


def test_a_proxy_of_the_environment_is_used(own, tmp_path, monkeypatch):
    """Unless NO_PROXY names the server. Here the proxy answers itself."""
    monkeypatch.setenv("http_proxy", own.url)
    monkeypatch.setenv("no_proxy", "")
    away = {"server": "http://cluster.invalid:6443"}
    with using(written(tmp_path / "config", "c", away, {"token": ADMIN})):
        assert asyncio.run(store().read()).version == ABSENT
        assert own.asked == ["get"]
        monkeypatch.setenv("no_proxy", "cluster.invalid")
        assert "the cluster did not answer (" in sentence(store().read())
        assert own.asked == ["get"]


def test_a_proxy_of_the_kubeconfig_is_used(own, tmp_path, monkeypatch):
    """Whatever the environment says."""
    monkeypatch.setenv("no_proxy", "*")
    away = {"server": "http://cluster.invalid:6443", "proxy-url": own.url}
    with using(written(tmp_path / "config", "c", away, {"token": ADMIN})):
        assert asyncio.run(store().read()).version == ABSENT


def test_a_server_that_stays_busy_is_asked_a_few_times(own, tmp_path):
    """Though it says that it may be asked at once; and that nothing was done is certain."""
    own.troubles = [Trouble("create", refusal=Refusal(429, "TooManyRequests", Retry_After="0"))]
    own.troubles *= 1000
    with using(own.kubeconfig(tmp_path / "config")):
        assert "the cluster is busy (429)" in sentence(store(timeout=2.0).write(made_up()))
    assert own.asked.count("create") < 20
    assert own.data("bot") is None


def test_a_write_is_not_repeated_without_its_share_of_the_time(own, tmp_path):
    """Cut off by the end of the call, it would be a write that may have been made."""
    own.troubles = [Trouble("create", refusal=Refusal(429, "TooManyRequests", Retry_After="1"))] * 2
    with using(own.kubeconfig(tmp_path / "config")):
        assert "try again in 1 s" in sentence(store(timeout=1.2).write(made_up()))
    assert own.asked.count("create") == 1


def test_a_secret_that_somebody_else_must_let_go_is_not_deleted(own, tmp_path):
    """A finalizer would keep it, and the secret in it."""
    with using(own.kubeconfig(tmp_path / "config")):
        version = asyncio.run(store().write(made_up()))
        own.change("bot", {"metadata": {"finalizers": ["example.com/backup"]}})
        asyncio.run(store().remove(expected=version))
    assert own.data("bot") == {}
    assert "deletionTimestamp" not in own.secret("bot")["metadata"]


CANCELLED = """
    import asyncio, gc, sys, warnings
    from agentkeys import Secret
    from agentkeys.stores import open_store

    warnings.simplefilter("error")
    store = open_store("kubernetes:agents/bot#key")

    async def cancelled(turns):
        writing = asyncio.ensure_future(store.write(Secret(str(turns))))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])

    for turns in (0, 1, 3, 8, 20, 50, 100, 200, 400):
        asyncio.run(cancelled(turns))
        gc.collect()
    asyncio.run(store.write(Secret("the last one")))
    gc.collect()
"""


def test_no_connection_is_left_open(secured, trusted, tmp_path, monkeypatch):
    """Over TLS, whenever a call is cancelled, and at once when the loop ends: no warning."""
    cluster, _ = secured
    path = written(tmp_path / "config", "c", trusted, {"token": ADMIN})
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    program = Program(CANCELLED)
    try:
        ended = program.end()
    finally:
        program.kill()
    said = [line for line in ended.err.splitlines() if not line.startswith("Executing <")]
    assert (ended.code, said) == (0, [])
    assert cluster.data("bot") == {"key": "the last one"}
