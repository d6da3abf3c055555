"""The workers of a fleet in their image, without Docker: another user, and a read-only disk."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from container import build, run

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "fleet"
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
PASSWORD = "S3NT1NEL-correct-horse"
# What Compose would do for each container: secrets, names, volumes, and a disk of its own.
WITHIN = """
mkdir -p $root/run/secrets
printf '%s\\n' {journal} > $root/run/secrets/journal
printf '%s\\n' ag_{password} > $root/run/secrets/agentry_key
chmod 444 $root/run/secrets/*
cp -r {declared} $root/declared
echo '127.0.0.1 keys database' >> $root/etc/hosts
for volume in service stores; do
    mkdir -m 700 {volumes}/$volume
    chown --reference=$root/data {volumes}/$volume
done
for each in {tmpfs}; do mount -t tmpfs none $root$each; done
mount -t proc none $root/proc
mount -o remount,ro $root
within="chroot $root setpriv --reuid={uid} --regid={gid} --clear-groups --no-new-privs"
within="$within --bounding-set=-all env -i HOME=/data {env}"
contained() {{
    volume={volumes}/$1
    shift
    exec unshare --mount sh -ec 'mount --bind $0 $1/data; shift; exec "$@"' $volume $root \\
        $within "$@"
}}
contained service {of_keys} sh -c 'cd /data && exec {serve}' &
keys=$!
until (contained service {of_keys} {probe}); do sleep 0.2; done
contained stores {of_worker} {work} &
first=$!
contained stores {of_worker} {work} &
second=$!
(contained stores {of_apply} {apply})
tries=0
until [ $(ls {volumes}/stores | grep -c key$) = 3 ]; do
    tries=$((tries + 1))
    test $tries -lt 300
    sleep 0.2
done
(contained stores {of_worker} sh -c {check}) > /dev/null && echo healthy
(contained stores {of_worker} sh -c 'touch /anywhere 2> /dev/null || echo read-only')
(contained stores {of_worker} sh -c "cd /data && stat -c '%n %a %u' *.key")
grep CapEff $root/proc/$first/status
kill $first
wait $first || echo "ended with $?"
kill $second $keys
wait || true
"""


def quoted(words):
    return " ".join(map(shlex.quote, words))


def variables(name):
    return quoted(f"{key}={value}" for key, value in SERVICES[name]["environment"].items())


@pytest.mark.slow
def test_the_workers_need_no_more_than_the_image_and_the_compose_file_give(tmp_path, postgres):
    """They make the keys, and end at SIGTERM; no secret is printed."""
    postgres.protect("of_the_image", PASSWORD)
    steps, settings = build(ROOT / "deploy" / "Dockerfile", ROOT, tmp_path)
    uid, gid = settings["USER"].rest.split(":")
    (tmp_path / "volumes").mkdir()
    [_, check] = SERVICES["worker"]["healthcheck"]["test"]
    within = WITHIN.format(
        journal=f"postgresql://of_the_image:{PASSWORD}@database:{postgres.port}/of_the_image",
        password=PASSWORD,
        declared=FOLDER / "declared",
        volumes=tmp_path / "volumes",
        tmpfs=quoted(SERVICES["worker"]["tmpfs"]),
        uid=uid,
        gid=gid,
        env=quoted(settings["ENV"].words),
        of_keys=variables("keys"),
        serve=quoted(settings["ENTRYPOINT"].words + settings["CMD"].words),
        probe=quoted(settings["HEALTHCHECK"].words) + " 2> /dev/null",
        of_worker=variables("worker"),
        work=quoted(SERVICES["worker"]["entrypoint"]),
        check=shlex.quote(check.replace("$$", "$")),
        of_apply=variables("apply"),
        apply=quoted(SERVICES["apply"]["entrypoint"]),
    )
    said = run(f"{steps}\n{within}", tmp_path)
    assert "S3NT1NEL" not in said
    assert "healthy\nread-only\n" in said
    for slug in ("billing", "sales", "support"):
        assert f"{slug}.key 600 {uid}\n" in said
    assert "CapEff:\t0000000000000000\n" in said
    assert "ended with 143\n" in said
