"""The Dockerfile and compose.yaml, without Docker: their steps are taken on this machine."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from container import build, instructions_of, run

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
PASSWORD = "S3NT1NEL-correct-horse"
TOKEN = "ag_S3NT1NEL-correct-horse"
# What Docker and Compose would do: secrets, a name, a read-only disk, and no capability.
WITHIN = """
mkdir -p $root/run/secrets
printf '%s\\n' {password} > $root/run/secrets/password
printf '%s\\n' {token} > $root/run/secrets/agentry_key
chmod 444 $root/run/secrets/*
echo '127.0.0.1 keys' >> $root/etc/hosts
cp {application} $root/application.py
mount -t tmpfs -o uid=10001,gid=10001,mode=700 none $root/data
mount -o remount,ro $root
within="chroot $root setpriv --reuid={uid} --regid={gid} --clear-groups --no-new-privs"
within="$within --bounding-set=-all env -i"
$within {env} {keys} sh -c 'cd /data && exec {serve}' &
serving=$!
tries=0
until $within {env} {probe}; do
    tries=$((tries + 1))
    test $tries -lt 50
    sleep 0.2
done
$within {env} {of_application} {run_application}
$within {env} {of_admin} agentkeys faults list
$within {env} sh -c 'touch /anywhere 2> /dev/null || echo read-only; id -u; ls /data'
kill $serving
wait $serving || true
"""


def of_compose(service):
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][service]


def quoted(words):
    return " ".join(map(shlex.quote, words))


def variables(service):
    return quoted(f"{name}={value}" for name, value in of_compose(service)["environment"].items())


@pytest.mark.slow
def test_the_steps_of_the_container_make_a_service_that_an_application_uses(tmp_path):
    """As another user, on a read-only disk, without capabilities; no secret is printed."""
    steps, settings = build(DOCKERFILE, ROOT, tmp_path)
    uid, gid = settings["USER"].rest.split(":")
    admin = {"AGENTKEYS_SERVE_ADMIN_PORT": "8081", "AGENTKEYS_ADMIN_TOKEN": "S3NT1NEL-admin-token"}
    within = WITHIN.format(
        password=PASSWORD,
        token=TOKEN,
        application=DEPLOY / "application.py",
        uid=uid,
        gid=gid,
        env=quoted(settings["ENV"].words),
        keys=f"{variables('keys')} {quoted(f'{k}={v}' for k, v in admin.items())}",
        serve=quoted(settings["ENTRYPOINT"].words + settings["CMD"].words),
        probe=quoted(settings["HEALTHCHECK"].words) + " 2>/dev/null",
        of_application=variables("application"),
        run_application=quoted(of_compose("application")["entrypoint"]),
        of_admin="AGENTKEYS_ADMIN_URL=http://127.0.0.1:8081"
        " AGENTKEYS_ADMIN_TOKEN=S3NT1NEL-admin-token",
    )
    said = run(f"{steps}\n{within}", tmp_path)
    assert "S3NT1NEL" not in said
    assert "Agentity: ['from-a-container']\nAgentry: ['ci']\n" in said
    assert "read-only\n10001\nkeys.db" in said


def test_the_image_holds_no_secret_and_is_not_root():
    """No ARG and no ENV that names one; the last USER is not root, and there is a HEALTHCHECK."""
    steps = list(instructions_of(DOCKERFILE))
    assert not [step for step in steps if step.name == "ARG"]
    words = " ".join(step.rest for step in steps if step.name == "ENV")
    assert not any(word in words for word in ("PASSWORD", "TOKEN", "AGENTRY_KEY"))
    last = {step.name: step for step in steps}
    assert last["USER"].rest == "10001:10001"
    assert "--quiet" in last["CMD"].words
    assert "HEALTHCHECK" in last
    assert (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()[1] == "*"


@pytest.mark.parametrize("file", ["compose.yaml", "fleet/compose.yaml"])
def test_compose_understands_its_file(file):
    """If Compose is there."""
    command = ["docker", "compose", "-f", str(DEPLOY / file), "config", "--quiet"]
    if not shutil.which("docker") or subprocess.call(
        [*command[:2], "version"], stdout=-3, stderr=-3
    ):
        pytest.skip("there is no Compose on this machine")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
