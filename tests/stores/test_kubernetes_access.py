"""Which cluster a store asks and as whom: kubeconfig, programs, service account, roles."""

import asyncio
import json
import logging
import os
import re
import ssl
import sys
from pathlib import Path

import pytest
import trustme
import yaml
from kubernetes_cluster import ADMIN, AGENT, NAMESPACE, RealCluster, using, written
from kubernetes_server import KubernetesServer
from leaks import shown
from mounts import on_mounts
from programs import Program

from agentkeys import ConfigurationError, Secret, StoreError
from agentkeys.stores import ABSENT, KubernetesStore, open_store
from agentkeys.testing.store_checks import made_up

pytestmark = pytest.mark.slow  # the laws of every store are in the file of the store

PAGE = Path(__file__).parents[2] / "docs" / "stores.md"
ADDRESS = "kubernetes:agents/billing-bot#API_KEY"


class Hasty(KubernetesStore):
    pause = 0.001


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    with RealCluster(tmp_path_factory.mktemp("real")) as cluster:
        yield cluster


@pytest.fixture
def own():
    with KubernetesServer() as cluster:
        yield cluster


@pytest.fixture(params=["own", "real"])
def cluster(request):
    cluster = request.getfixturevalue(request.param)
    yield cluster
    cluster.delete("billing-bot")


def sentence(call):
    async def awaited():
        await call

    with pytest.raises(StoreError) as raised:
        asyncio.run(awaited())
    assert ADMIN not in shown(raised.value)
    assert AGENT not in shown(raised.value)
    return str(raised.value)


def test_the_current_context_becomes_part_of_the_address(own, tmp_path):
    """So a sweep asks the same cluster, whichever is the current one by then."""
    config = own.kubeconfig(tmp_path / "config", context="staging")
    with using(config):
        store, key = open_store(ADDRESS), made_up()
        asyncio.run(store.write(key))
        both = json.loads(config.read_text())
        elsewhere = {"cluster": "elsewhere", "user": "the-user"}
        both["clusters"].append({"name": "elsewhere", "cluster": {"server": "http://127.0.0.1:1"}})
        both["contexts"].append({"name": "production", "context": elsewhere})
        both["current-context"] = "production"
        config.write_text(json.dumps(both))
        assert store.address == f"{ADDRESS}?context=staging"
        assert asyncio.run(open_store(store.address).read()).secret == key
        assert open_store(ADDRESS).address == f"{ADDRESS}?context=production"
        assert "in production" in sentence(open_store(ADDRESS).read())


def test_a_kubeconfig_can_be_several_files(own, tmp_path, monkeypatch):
    """One of them need not be there; a file that is read later adds its contexts."""
    first = own.kubeconfig(tmp_path / "first", context="a")
    second = own.kubeconfig(tmp_path / "second", context="b")
    paths = os.pathsep.join(map(str, (tmp_path / "missing", first, second)))
    monkeypatch.setenv("KUBECONFIG", paths)
    for context in "ab":
        store = open_store(f"{ADDRESS}?context={context}")
        asyncio.run(store.write(made_up()))
    assert own.data("billing-bot")


def test_the_kubeconfig_at_home_is_found(own, tmp_path, monkeypatch):
    """If KUBECONFIG names none, whatever it was when the library was imported."""
    (tmp_path / ".kube").mkdir()
    own.kubeconfig(tmp_path / ".kube" / "config", context="at-home")
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", None):
        monkeypatch.delenv("KUBECONFIG", raising=False)
        if value is not None:
            monkeypatch.setenv("KUBECONFIG", value)
        store = open_store(ADDRESS)
        assert store.address.endswith("?context=at-home")
        assert asyncio.run(store.read()).version == ABSENT


@pytest.mark.parametrize(
    ("content", "context", "said"),
    [
        (None, None, "there is no kubeconfig"),
        (None, "a", "there is no kubeconfig"),
        (f"users: [{{token: {ADMIN}", None, r"cannot be read \(ParserError\)"),
        ("", None, r"cannot be read \(\w+\)"),
        ("[]", None, r"cannot be read \(\w+\)"),
        ('{"contexts": []}', None, "has no current context"),
        ('{"contexts": [], "current-context": "b"}', None, "has no context 'b'"),
        ('{"contexts": [], "current-context": "b"}', "a", "has no context 'a'"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_so(tmp_path, monkeypatch, content, context, said):
    """When the store is made, and without a word of what stands in the file."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    if content is not None:
        (tmp_path / "config").write_text(content)
    with pytest.raises(ConfigurationError, match=said) as raised:
        KubernetesStore(NAMESPACE, "bot", "key", context=context)
    assert ADMIN not in shown(raised.value)


PLUGIN = """
import json, os, sys
with open(sys.argv[1], "w") as file:
    json.dump(dict(os.environ), file)
status = {{"token": "{token}", "expirationTimestamp": "2099-01-01T00:00:00Z"}}
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": status}}))
"""


def with_plugin(cluster, folder, program, env=None):
    """Write a kubeconfig whose token comes from a program."""
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", program, str(folder / "environment")],
        "env": env,
        "interactiveMode": "Never",
    }
    return written(folder / "config", "tests", {"server": cluster.url}, {"exec": command})


def test_a_program_of_the_kubeconfig_gives_the_token(own, tmp_path, monkeypatch):
    """It has the environment without our own credentials, and with what the file says."""
    monkeypatch.setenv("AGENTRY_API_KEY", "ag_a_key_of_ours")
    monkeypatch.setenv("AGENTITY_PASSWORD", "a password of ours")
    monkeypatch.setenv("AWS_PROFILE", "theirs")
    env = [{"name": "FROM_THE_FILE", "value": "yes"}, {"name": "AGENTRY_X", "value": "theirs"}]
    monkeypatch.setenv("AGENTRY_X", "ours")
    config = with_plugin(own, tmp_path, PLUGIN.format(token=ADMIN), env)
    before = config.read_text()
    with using(config):
        store, key = open_store(ADDRESS), made_up()
        asyncio.run(store.write(key))
    assert own.data("billing-bot") == {"API_KEY": key.reveal()}
    environment = json.loads((tmp_path / "environment").read_text())
    assert environment["AWS_PROFILE"] == "theirs"
    assert environment["FROM_THE_FILE"] == "yes"
    ours = {k: v for k, v in environment.items() if k.startswith(("AGENTRY_", "AGENTITY_"))}
    assert ours == {"AGENTRY_X": "theirs"}
    assert json.loads(environment["KUBERNETES_EXEC_INFO"])["kind"] == "ExecCredential"
    assert config.read_text() == before


PAIRED = """
import json, sys
status = dict(zip(("clientCertificateData", "clientKeyData"), open(sys.argv[1]).read().split("|")))
print(json.dumps({"kind": "ExecCredential", "status": status}))
"""


def test_a_program_of_the_kubeconfig_can_give_a_certificate(tmp_path):
    """The server, which accepts no connection without one, gets as far as to ask for a token."""
    authority = trustme.CA()
    context, pair = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), authority.issue_cert("agent")
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    certificates = "".join(each.bytes().decode() for each in pair.cert_chain_pems)
    given = f"{certificates}|{pair.private_key_pem.bytes().decode()}"
    with KubernetesServer(context) as cluster:
        for content, said in ((given, "(401 Unauthorized)"), ("|", "did not answer (")):
            config = json.loads(with_plugin(cluster, tmp_path, PAIRED).read_text())
            config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
            (tmp_path / "config").write_text(json.dumps(config))
            (tmp_path / "environment").write_text(content)
            with using(tmp_path / "config"):
                assert said in sentence(Hasty(NAMESPACE, "bot", "key").read())


def test_a_server_with_a_certificate_of_nobody_is_not_trusted(tmp_path):
    """Nothing is sent to it, and it is not asked again."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with KubernetesServer(context) as cluster:
        config = written(tmp_path / "config", "tests", {"server": cluster.url}, {"token": ADMIN})
        with using(config):
            said = sentence(KubernetesStore(NAMESPACE, "bot", "key").read())
        assert "the TLS connection to the cluster failed (ClientConnectorCertificate" in said
        assert cluster.asked == []


@pytest.mark.parametrize(
    "program",
    [f"import sys; sys.exit('the token {ADMIN} has expired')", f"print('{ADMIN}')", "print('{}')"],
    ids=["fails", "says no JSON", "says something else"],
)
def test_a_program_that_gives_no_token_says_so(own, tmp_path, caplog, program):
    """What it prints is not shown, for it may be a token; the library logs it, but not for us."""
    caplog.set_level(logging.DEBUG)
    with using(with_plugin(own, tmp_path, program)):
        said = sentence(open_store(ADDRESS).read())
    assert "the kubeconfig, its program or the service account provides no" in said
    assert ADMIN not in caplog.text
    assert own.asked == []


IGNORING = """
    import asyncio, signal
    from agentkeys.stores import ABSENT, open_store

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    store = open_store("kubernetes:agents/bot#key")
    print(asyncio.run(store.read()).version == ABSENT)
"""


def test_a_program_is_believed_though_its_exit_code_is_lost(own, tmp_path, monkeypatch):
    """As it is where SIGCHLD is ignored, which a shell or a service manager may do."""
    config = with_plugin(own, tmp_path, PLUGIN.format(token=ADMIN))
    monkeypatch.setenv("KUBECONFIG", str(config))
    program = Program(IGNORING)
    try:
        ended = program.end()
    finally:
        program.kill()
    assert ended.out == ["True"], ended.err


HANGING = """
    import asyncio
    from agentkeys import StoreError
    from agentkeys.stores import KubernetesStore

    store = KubernetesStore("agents", "bot", "key", timeout=0.5)
    try:
        asyncio.run(store.read())
    except StoreError as error:
        print(error)
"""


def test_a_program_that_hangs_is_given_up(own, tmp_path, monkeypatch):
    """In time; it ends with the call, and no warning says that it was forgotten."""
    program = (
        "import os, signal, sys; open(sys.argv[1], 'w').write(str(os.getpid())); signal.pause()"
    )
    monkeypatch.setenv("KUBECONFIG", str(with_plugin(own, tmp_path, program)))
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    running = Program(HANGING)
    try:
        ended = running.end()
    finally:
        running.kill()
    assert ended.code == 0, ended.err
    assert "did not answer within 0.5 s" in ended.out[0]
    assert "Warning" not in ended.err, ended.err
    pid = (tmp_path / "environment").read_text()
    assert not pid or not Path(f"/proc/{pid}").exists()


IN_A_POD = """
    import asyncio, sys
    from agentkeys import Secret
    from agentkeys.stores import open_store

    store = open_store("kubernetes:agents/billing-bot#API_KEY")
    asyncio.run(store.write(Secret("of a pod")))
    print(store.address, store.describe(), sep="\\n")
"""


def test_in_a_pod_its_service_account_is_used(tmp_path, monkeypatch):
    """If there is no kubeconfig; its token, and its certificate for the server."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(ADMIN)
    authority.cert_pem.write_to_path(account / "ca.crt")
    for name in ("KUBECONFIG", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with KubernetesServer(context) as cluster:
        host, _, port = cluster.url.removeprefix("https://").rpartition(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        place = "/var/run/secrets/kubernetes.io/serviceaccount"
        mount = f"""
            mount -t tmpfs none /var
            mkdir -p {place}
            cp account/* {place}
        """
        said = on_mounts(tmp_path, mount, IN_A_POD)
        assert said == [ADDRESS, "API_KEY of the Secret agents/billing-bot"]
        assert cluster.data("billing-bot") == {"API_KEY": "of a pod"}


NO_EXTRA = """
    import sys
    sys.modules["kubernetes_asyncio"] = None
    from agentkeys import ConfigurationError
    from agentkeys.stores import open_store
    try:
        open_store("kubernetes:a/b#c")
    except ConfigurationError as error:
        print(error)
"""


def test_a_missing_extra_says_what_to_install():
    """When the store is made, and so before anything is sent."""
    program = Program(NO_EXTRA)
    try:
        ended = program.end()
    finally:
        program.kill()
    assert ended.out == [
        "the Kubernetes store needs kubernetes_asyncio: pip install 'agentkeys-sdk[kubernetes]'"
    ]


def test_the_levels_of_other_loggers_stay(own, tmp_path):
    """The library sets those of two loggers, of which one may be the program's own."""
    names = ("client", "urllib3")
    for name in names:
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        with using(own.kubeconfig(tmp_path / "config")):
            asyncio.run(open_store(ADDRESS).read())
        assert {logging.getLogger(name).level for name in names} == {logging.INFO}
    finally:
        for name in names:
            logging.getLogger(name).setLevel(logging.NOTSET)


def rules_of_the_page():
    """Return the rules of the Role of the documentation."""
    text = PAGE.read_text().partition("### The smallest role")[2]
    role, binding = yaml.safe_load_all(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    return role["rules"]


def without(rules, resource, verb):
    """Return rules that do not permit something, and no rule that permits nothing."""
    left = [
        {**rule, "verbs": [each for each in rule["verbs"] if each != verb]}
        if rule["resources"] == [resource]
        else rule
        for rule in rules
    ]
    return [rule for rule in left if rule["verbs"]]


async def use_all_of(store):
    """Do all that the contract of a store names."""
    await store.probe()
    assert await store.identity()
    version = await store.write(Secret("one"), expected=ABSENT)
    await store.probe()
    version = await store.write(Secret("two"), expected=version)
    assert (await store.read()).version == version
    await store.remove(expected=version)
    assert (await store.read()).version == ABSENT


def test_the_role_of_the_documentation_is_enough(cluster, tmp_path):
    """For all that a store does; an empty Secret stays, and is used again."""
    cluster.bind(rules_of_the_page())
    with using(cluster.kubeconfig(tmp_path / "config", token=AGENT)):
        for _ in range(2):
            asyncio.run(use_all_of(open_store(ADDRESS)))
            assert cluster.data("billing-bot") == {}
    made = cluster.secret("billing-bot")["metadata"]["labels"]
    assert made == {"app.kubernetes.io/managed-by": "agentkeys"}


@pytest.mark.parametrize(
    ("resource", "verb", "said"),
    [
        ("secrets", "get", "the store is write-only with these credentials"),
        ("secrets", "patch", "the credentials do not permit to patch it"),
        ("secrets", "create", "the credentials do not permit to create it"),
        ("namespaces", "get", "the role does not permit to get the namespace"),
    ],
)
def test_no_smaller_role_is_enough(cluster, tmp_path, resource, verb, said):
    """Each verb of it is needed, and what is missing is said."""
    cluster.bind(without(rules_of_the_page(), resource, verb))
    with using(cluster.kubeconfig(tmp_path / "config", token=AGENT)):
        assert said in sentence(use_all_of(open_store(ADDRESS)))


def test_all_rights_that_are_missing_are_named(cluster, tmp_path):
    """At once, so that the role is changed once."""
    rules = without(rules_of_the_page(), "secrets", "create")
    cluster.bind(without(rules, "secrets", "patch"))
    with using(cluster.kubeconfig(tmp_path / "config", token=AGENT)):
        said = sentence(open_store(ADDRESS).probe())
    assert "the credentials do not permit to patch and create it" in said


def test_another_secret_is_out_of_reach(cluster, tmp_path):
    """The role is for one Secret; another one may be made, for RBAC cannot forbid that."""
    cluster.bind(rules_of_the_page())
    with using(cluster.kubeconfig(tmp_path / "config", token=AGENT)):
        said = sentence(KubernetesStore(NAMESPACE, "another", "key").probe())
    assert "the credentials do not permit to patch it (403 Forbidden)" in said


def test_without_the_right_to_create_an_existing_secret_is_used(cluster, tmp_path):
    """As the documentation says."""
    cluster.put("billing-bot", {"other": "x"})
    cluster.bind(without(rules_of_the_page(), "secrets", "create"))
    with using(cluster.kubeconfig(tmp_path / "config", token=AGENT)):
        asyncio.run(use_all_of(open_store(ADDRESS)))
    assert cluster.data("billing-bot") == {"other": "x"}


def test_with_the_right_to_delete_nothing_is_left(cluster, tmp_path):
    """As the documentation says."""
    rules = rules_of_the_page()
    rules[0]["verbs"].append("delete")
    cluster.bind(rules)
    with using(cluster.kubeconfig(tmp_path / "config", token=AGENT)):
        asyncio.run(use_all_of(open_store(ADDRESS)))
    assert cluster.data("billing-bot") is None


def test_who_may_patch_can_read(cluster, tmp_path):
    """As the documentation says: the answer to a patch is the whole Secret."""
    cluster.put("billing-bot", {"other": "x"})
    cluster.bind(without(rules_of_the_page(), "secrets", "get"))
    form = "application/merge-patch+json"
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets/billing-bot"
    assert cluster.ask("GET", path, token=AGENT)["code"] == 403
    assert cluster.ask("PATCH", path, {}, form, token=AGENT)["data"] == {"other": "eA=="}
