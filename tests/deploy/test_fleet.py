"""The compose file of a fleet: what it says, and its containers as processes of this machine."""

from __future__ import annotations

import asyncio
import csv
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from click.testing import CliRunner
from compose import Containers, seconds
from fleets import until
from samples import agentry

from agentkeys import AuthenticationError
from agentkeys.cli import commands
from agentkeys.fleet import manifest
from agentkeys.fleet.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator

yaml = pytest.importorskip("yaml")
psycopg = pytest.importorskip("psycopg")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "fleet"
DECLARED = FOLDER / "declared"
FILE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = FILE["services"]
WORKERS = SERVICES["worker"]["scale"]
ADDED = [f"added{n}@acme.to" for n in range(12)]
OF_IMAGES = {"agentkeys-local": {"agentkeys", "python"}, "postgres": {"pg_isready"}}
"""What a health check may run: programs that the Dockerfile puts there, and PostgreSQL's own."""

each = pytest.mark.parametrize("name", SERVICES)


@each
def test_an_image_is_built_here_or_has_a_version(name):
    """An image without one changes under those who use it."""
    image = SERVICES[name]["image"]
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    assert image in built or re.search(r":\d+\.\d+-\w+$", image)


@each
def test_a_container_may_do_little(name):
    """No writable disk, no capability, no root, and limits of memory and processes."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "pids_limit"} <= service.keys()
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "ports"} & service.keys()
    # test_container.py holds that the image that is built here has a user.
    assert service["image"] == "agentkeys-local" or service["user"] == "postgres"


@each
def test_no_secret_is_in_the_environment_or_in_a_command(name):
    """What holds one is the path of a file, which the container is given."""
    service = SERVICES[name]
    for variable, value in service["environment"].items():
        if re.search("PASSWORD|TOKEN|KEY$|KEY_|JOURNAL", variable.replace("AGENTKEYS_", "")):
            assert variable.endswith("_FILE"), variable
            assert value.removeprefix("/run/secrets/") in service["secrets"]
        assert "@" not in value or variable == "AGENTKEYS_SERVE_INBOXES"
    words = [*service.get("entrypoint", []), *service.get("command", [])]
    assert not [word for word in words if re.search("secret|password|://", word)]


def test_secrets_and_volumes_are_those_that_are_used():
    """And each secret is a file of the folder that git ignores."""
    used = {secret for service in SERVICES.values() for secret in service["secrets"]}
    assert FILE["secrets"] == {secret: {"file": f"secrets/{secret}"} for secret in used}
    mounts = {volume.split(":")[0] for each in SERVICES.values() for volume in each["volumes"]}
    assert mounts == {*FILE["volumes"], "./declared"}
    assert "/deploy/**/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


@each
def test_a_health_check_runs_what_is_in_the_image(name):
    """A check that cannot start is a container that is never healthy."""
    service = SERVICES[name]
    [programs] = [there for image, there in OF_IMAGES.items() if service["image"].startswith(image)]
    check = service.get("healthcheck", {})
    assert check.get("disable") or check.get("test", ["CMD", "python"])[1].split()[0] in programs


@pytest.mark.parametrize("name", ["apply", "worker"])
def test_a_command_has_no_wrong_option(name):
    """The program knows each of them."""
    program, *words = SERVICES[name]["entrypoint"]
    assert program == "agentkeys"
    assert CliRunner().invoke(commands, [*words, "--help"]).exit_code == 0


def test_a_worker_has_the_time_that_it_takes():
    """Docker kills what has not ended by then."""
    assert seconds(SERVICES["worker"]["stop_grace_period"]) >= Pace().patience + 10


def test_the_workers_stay_below_the_limit_of_the_service():
    """With room for apply."""
    limit = float(SERVICES["keys"]["environment"]["AGENTKEYS_SERVE_RATE_LIMIT"])
    [rate] = [word for word in SERVICES["worker"]["entrypoint"] if word.startswith("--rate=")]
    assert float(rate.partition("=")[2]) < limit


def test_what_is_declared_can_be_made():
    """The file has no mistake, and the service has each inbox."""
    with (DECLARED / "inboxes.csv").open() as rows:
        inboxes = [row["inbox"] for row in csv.DictReader(rows)]
    assert inboxes == SERVICES["keys"]["environment"]["AGENTKEYS_SERVE_INBOXES"].split()
    declared = list(manifest.read(str(DECLARED / "agentkeys.toml")).declared())
    assert [each.place[-1] for each in declared] == inboxes


def steps() -> str:
    """Return what the documentation says is to be typed before Docker starts anything."""
    page = (ROOT / "docs" / "containers.md").read_text()
    [block] = re.findall(r"^cd deploy/fleet\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return "".join(line for line in block.splitlines(True) if not line.startswith("docker"))


@pytest.fixture
def containers(tmp_path, postgres) -> Iterator[Containers]:
    """The folder as its reader has it, a database that asks for the password, and no container."""
    subprocess.run(["sh", "-ec", steps()], cwd=tmp_path, check=True)  # noqa: S607
    postgres.protect("agentkeys", (tmp_path / "secrets" / "database").read_text().strip())
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    hosts = {"keys:8080": f"127.0.0.1:{port}", "0.0.0.0": "127.0.0.1"}  # noqa: S104
    # The address of the database is in a secret.
    journal = tmp_path / "secrets" / "journal"
    journal.chmod(0o600)
    journal.write_text(journal.read_text().replace("@database", f"@127.0.0.1:{postgres.port}"))
    journal.chmod(0o444)
    shutil.copytree(DECLARED, tmp_path / "declared")
    toml = tmp_path / "declared" / "agentkeys.toml"
    toml.write_text(toml.read_text().replace("file:/data/", f"file:{tmp_path}/stores/"))
    with Containers(FILE, ROOT / "deploy" / "Dockerfile", tmp_path, hosts) as containers:
        yield containers


class Inboxes:
    """The inboxes of the service, and the stores of the workers."""

    def __init__(self, containers: Containers) -> None:
        self.folder = containers.folder
        self.url = f"http://{containers.hosts['keys:8080']}"
        token = (self.folder / "secrets" / "agentry_key").read_text().strip()
        self.client = agentry(self.url, token)

    def declared(self) -> dict[str, str]:
        with (self.folder / "declared" / "inboxes.csv").open() as rows:
            return {row["inbox"]: row["slug"] for row in csv.DictReader(rows)}

    def stored(self) -> dict[str, str]:
        """Return what is in each store; beside a file lie the marks of who writes it."""
        files = [*(self.folder / "stores").glob("*.key")]
        assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
        return {file.stem: file.read_text() for file in files}

    def declare(self, inboxes: list[str]) -> None:
        """Add rows to the file."""
        with (self.folder / "declared" / "inboxes.csv").open("a") as rows:
            rows.writelines(f"{inbox},{inbox.partition('@')[0]}\n" for inbox in inboxes)

    def have_more_than(self, made: Collection[str]) -> Callable[[], Awaitable[bool]]:
        async def have_more() -> bool:
            return len(self.stored()) > len(made)

        return have_more

    async def are_as_declared(self) -> bool:
        """Whether each declared inbox has one key, whose secret is stored and lives; no other."""
        stored = self.stored()
        if sorted(stored) != sorted(self.declared().values()):
            return False
        keys = [key async for key in self.client.api_keys.list()]
        places = sorted((key.name.partition("~")[0], key.inbox_id) for key in keys if key.inbox_id)
        if places != sorted((f"agent-{slug}", inbox) for inbox, slug in self.declared().items()):
            return False
        declared = self.declared().items()
        return all([await self._is_live(stored[slug], inbox) for inbox, slug in declared])

    async def _is_live(self, secret: str, inbox: str) -> bool:
        async with agentry(self.url, secret) as client:
            try:
                await client.agent.inbox(inbox).api_keys.list().collect()
            except AuthenticationError:
                return False
        return True


@pytest_asyncio.fixture
async def inboxes(containers):
    inboxes = Inboxes(containers)
    async with inboxes.client:
        yield inboxes


async def is_healthy(containers: Containers, name: str, **more: str) -> None:
    """Wait until a container is healthy."""

    async def checked() -> bool:
        return await asyncio.to_thread(containers.is_healthy, name, **more)

    await until(checked)


async def ended(process: subprocess.Popen[bytes], within: float) -> int:
    return await asyncio.to_thread(process.wait, within)


def shows(process: subprocess.Popen[bytes]) -> str:
    """Return what another user of the host may see of a process, and `docker inspect` shows."""
    folder = Path(f"/proc/{process.pid}")
    return "".join((folder / name).read_text() for name in ("cmdline", "environ"))


def most_memory(process: subprocess.Popen[bytes]) -> int:
    """Return how many MiB a process has used at most."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="it looks into /proc")
async def test_the_containers_make_the_declared_keys(containers, postgres, inboxes):
    """And what is declared later, though a worker is stopped meanwhile, as `docker stop` does."""
    limit = int(SERVICES["worker"]["mem_limit"].removesuffix("m"))
    patience = seconds(SERVICES["worker"]["stop_grace_period"])
    secrets = [file.read_text().strip() for file in (containers.folder / "secrets").iterdir()]
    named = SERVICES["keys"]["environment"]["AGENTKEYS_SERVE_INBOXES"]
    port = inboxes.url.rpartition(":")[2]
    keys = containers.start(
        "keys", AGENTKEYS_SERVE_PORT=port, AGENTKEYS_SERVE_INBOXES=" ".join([named, *ADDED])
    )
    await is_healthy(containers, "keys", AGENTKEYS_SERVE_PORT=port)
    await is_healthy(containers, "database", PGPORT=str(postgres.port), PATH=str(postgres.programs))
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://agentkeys:x@127.0.0.1:{postgres.port}/agentkeys")

    workers = [containers.start("worker") for _ in range(WORKERS)]
    assert await ended(containers.start("apply"), 60) == 0
    await until(inboxes.are_as_declared)
    await is_healthy(containers, "worker")

    made = inboxes.stored()
    inboxes.declare(ADDED[:6])
    assert await ended(containers.start("apply"), 60) == 0
    await until(inboxes.have_more_than(made))
    running = [keys, *workers]
    shown = "".join(map(shows, running)) + containers.said
    assert not [secret for secret in [*secrets, *inboxes.stored().values()] if secret in shown]
    workers[0].terminate()
    assert await ended(workers[0], patience) == 128 + signal.SIGTERM
    await until(inboxes.are_as_declared)

    inboxes.declare(ADDED[6:])
    assert await ended(containers.start("apply"), 60) == 0
    await until(inboxes.are_as_declared)
    assert max(map(most_memory, [keys, *workers[1:]])) < limit / 2
    for process in (*workers[1:], keys):
        process.terminate()
        await ended(process, patience)
    assert "Traceback" not in containers.said
