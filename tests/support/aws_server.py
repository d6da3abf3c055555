"""A service like AWS Secrets Manager and STS, by their documentation, strict and with switches.

It listens on a port of this machine, in a thread of its own, so that programs of other processes
reach it as well: `environment` is what botocore needs to find it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import ssl
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

import attrs
from aiohttp import web
from background import Background, ended

__all__ = ["AwsServer", "Kept", "environment", "set_environment"]

NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
MOST = 65_536
SUFFIX = "-AbCdEf"
AUTHORITY = Path(__file__).parents[1] / "data" / "authority.pem"
"""Nothing is encrypted, but botocore reads its authorities at each call: 13 ms if they are all."""
CALLER = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetCallerIdentityResult><Arn>arn:aws:iam::{0}:user/tester</Arn><UserId>AIDA</UserId>
<Account>{0}</Account></GetCallerIdentityResult>
<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""


def environment(url: str, region: str = "eu-west-1") -> dict[str, str]:
    """Return what botocore must find in the environment, and nothing of this machine's own."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-real-one",
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": str(AUTHORITY),
        "NO_PROXY": "127.0.0.1",
    }


def set_environment(monkeypatch: Any, variables: dict[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


class Refusal(Exception):  # noqa: N818  # an answer
    """An error of the service: its code and its message."""


@attrs.define
class Entry:
    """A version of a secret."""

    text: str | None = attrs.field(repr=False)
    binary: str | None = attrs.field(repr=False)
    stages: set[str]


@attrs.define
class Kept:
    """A secret, and all else that AWS keeps of it."""

    name: str
    arn: str
    versions: dict[str, Entry] = attrs.field(factory=dict)
    settings: dict[str, Any] = attrs.field(factory=dict)
    is_deleted: bool = False

    def with_stage(self, stage: str) -> str | None:
        """Return the id of the version that has a staging label. At most one has it."""
        having = [each for each, entry in self.versions.items() if stage in entry.stages]
        assert len(having) <= 1
        return having[0] if having else None

    def text(self, stage: str = "AWSCURRENT") -> str | None:
        version = self.with_stage(stage)
        return self.versions[version].text if version else None

    def move(self, stage: str, version: str | None) -> None:
        """Attach a label to one version alone. AWSPREVIOUS follows AWSCURRENT."""
        before = self.with_stage(stage)
        if before == version:
            return
        if before:
            self.versions[before].stages.discard(stage)
        if version:
            self.versions[version].stages.add(stage)
        if stage == "AWSCURRENT" and before:
            self.move("AWSPREVIOUS", before)


@attrs.define
class AwsServer:
    """The service. `troubles` has one word for each request, of what goes wrong with it.

    - ``lost before``, ``lost after``: the connection is reset, before or after the service acts;
    - ``twice``: a proxy has sent it twice, and gives the second answer;
    - ``stale``: a read does not see the last change yet;
    - ``hang``: there is no answer;
    - ``garbage``: the answer is of no such service;
    - another word: an error of this code; or something to call before the service acts.
    """

    account: str = "111122223333"
    region: str = "eu-west-1"
    policy: dict[str, Any] | None = None
    troubles: list[str | Callable[[], object]] = attrs.field(factory=list)
    asked: list[str] = attrs.field(factory=list)
    secrets: dict[str, Kept] = attrs.field(factory=dict)
    certificate: Any = None
    url: str = ""
    _background: Background = attrs.field(factory=Background)
    _runner: Any = None
    _end: asyncio.Event = attrs.field(factory=asyncio.Event)

    def __enter__(self) -> Self:
        self._background.__enter__()
        self._background.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._background.run(self._stop())
        self._background.__exit__()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        secured = None
        if self.certificate is not None:
            secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.certificate.configure_cert(secured)
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=secured)
        await site.start()
        self.url = f"http{'s' if secured else ''}://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        self._end.set()
        await self._runner.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.url, self.region)

    def end_hanging(self) -> None:
        """Answer all requests that hang."""
        self._background.run(self._release())

    async def _release(self) -> None:
        self._end.set()
        self._end = asyncio.Event()

    def make(
        self, name: str, text: str | None = None, binary: str | None = None, **settings: Any
    ) -> Kept:
        """Make a secret as an administrator would; without a text and a binary it has no value."""
        kept = self.secrets[name] = Kept(name, self.arn(name), settings=settings)
        if text is not None or binary is not None:
            self._add(kept, secrets.token_hex(16), text, binary, {"AWSCURRENT"})
        return kept

    def put(self, name: str, text: str) -> None:
        """Write a secret as somebody else would."""
        self._add(self.secrets[name], secrets.token_hex(16), text, None, {"AWSCURRENT"})

    def arn(self, name: str) -> str:
        return f"arn:aws:secretsmanager:{self.region}:{self.account}:secret:{name}{SUFFIX}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        target = request.headers.get("X-Amz-Target", "")
        operation = target.removeprefix("secretsmanager.") or "GetCallerIdentity"
        self.asked.append(operation)
        trouble = self.troubles.pop(0) if self.troubles else ""
        if callable(trouble):
            await ended(trouble())
        elif trouble == "hang":
            await self._end.wait()
        elif trouble == "lost before":
            return self._reset(request)
        elif trouble == "garbage":
            return web.Response(text="<html>no such service</html>")
        elif trouble not in {"", "lost after", "twice", "stale"}:
            status = 500 if trouble == "InternalServiceError" else 400
            return _json({"__type": trouble, "Message": body.decode()}, status)
        signature = request.headers.get("Authorization", "")
        if f"/{self.region}/" not in signature:
            return _json({"__type": "InvalidSignatureException"}, 400)
        if operation == "GetCallerIdentity":
            answer = web.Response(text=CALLER.format(self.account), content_type="text/xml")
        else:
            answer = self._acted(operation, json.loads(body), trouble)
        return self._reset(request) if trouble == "lost after" else answer

    def _acted(self, operation: str, given: dict[str, Any], trouble: Any) -> web.Response:
        if trouble == "stale" and operation == "GetSecretValue":
            given["VersionStage"] = "AWSPREVIOUS"
        try:
            if trouble == "twice":
                self._act(operation, given)
            return _json(self._act(operation, given), 200)
        except Refusal as refusal:
            code, message = refusal.args
            return _json({"__type": code, "Message": message}, 400)

    def _reset(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _act(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        name = given["Name" if operation == "CreateSecret" else "SecretId"]
        kept = next((each for each in self.secrets.values() if name in {each.name, each.arn}), None)
        # Of a secret that does not exist, AWS knows no more than the name.
        known = operation == "CreateSecret" or kept is not None
        arn = self.arn(kept.name if kept else name)
        if not self._permits(operation, arn if known else arn.removesuffix(SUFFIX)):
            raise Refusal("AccessDeniedException", f"not authorized to perform: {operation}")
        if operation == "CreateSecret":
            return self._created(name, given, kept)
        if kept is None:
            raise Refusal("ResourceNotFoundException", "can't find the specified secret.")
        if kept.is_deleted:
            raise Refusal(
                "InvalidRequestException",
                "You can't perform this operation: the secret was marked for deletion.",
            )
        acts = {
            "GetSecretValue": self._got,
            "PutSecretValue": self._written,
            "UpdateSecretVersionStage": self._moved,
        }
        return {"ARN": kept.arn, "Name": kept.name, **acts[operation](kept, given)}

    def _permits(self, operation: str, arn: str) -> bool:
        if self.policy is None:
            return True
        return any(
            each["Effect"] == "Allow"
            and f"secretsmanager:{operation}" in each["Action"]
            and any(fnmatchcase(arn, resource) for resource in each["Resource"])
            for each in self.policy["Statement"]
        )

    def _created(self, name: str, given: dict[str, Any], kept: Kept | None) -> dict[str, Any]:
        if not NAME.fullmatch(name):
            raise Refusal("InvalidParameterException", "Invalid name.")
        if kept is not None and kept.is_deleted:
            raise Refusal(
                "InvalidRequestException",
                "You can't create this secret because a secret with this name is already scheduled"
                " for deletion.",
            )
        token = given["ClientRequestToken"]
        if kept is not None and token not in kept.versions:
            raise Refusal("ResourceExistsException", f"the secret {name} already exists.")
        kept = kept or self.make(name)
        self._add(kept, token, given.get("SecretString"), given.get("SecretBinary"), set())
        return {"ARN": kept.arn, "Name": name, "VersionId": token}

    def _got(self, kept: Kept, given: dict[str, Any]) -> dict[str, Any]:
        stage = given.get("VersionStage", "AWSCURRENT")
        version = kept.with_stage(stage)
        if version is None:
            raise Refusal(
                "ResourceNotFoundException", f"can't find the value for staging label: {stage}"
            )
        entry = kept.versions[version]
        value = {"SecretString": entry.text, "SecretBinary": entry.binary}
        shown = {key: each for key, each in value.items() if each is not None}
        return {"VersionId": version, "VersionStages": sorted(entry.stages), **shown}

    def _written(self, kept: Kept, given: dict[str, Any]) -> dict[str, Any]:
        token = given["ClientRequestToken"]
        stages = set(given.get("VersionStages", ["AWSCURRENT"]))
        self._add(kept, token, given.get("SecretString"), given.get("SecretBinary"), stages)
        return {"VersionId": token, "VersionStages": sorted(kept.versions[token].stages)}

    def _add(
        self, kept: Kept, token: str, text: str | None, binary: str | None, stages: set[str]
    ) -> None:
        """Add a version. The same one does nothing; another one with its token is refused."""
        if not 32 <= len(token) <= 64 or (text is None) == (binary is None):
            raise Refusal("InvalidParameterException", "a parameter is missing, or too long.")
        if not 1 <= len((text or binary or "").encode()) <= MOST:
            raise Refusal("InvalidParameterException", "the value is empty or too large.")
        there = kept.versions.get(token)
        if there is not None:
            if (there.text, there.binary) != (text, binary):
                raise Refusal("ResourceExistsException", "that token is in use for a version.")
            return
        first = not kept.versions
        kept.versions[token] = Entry(text, binary, set())
        for stage in stages | ({"AWSCURRENT"} if first else set()):
            kept.move(stage, token)

    def _moved(self, kept: Kept, given: dict[str, Any]) -> dict[str, Any]:
        stage = given["VersionStage"]
        before, after = given.get("RemoveFromVersionId"), given.get("MoveToVersionId")
        for version in (before, after):
            if version is not None and version not in kept.versions:
                raise Refusal("ResourceNotFoundException", f"can't find the version {version}.")
        if kept.with_stage(stage) != before:
            raise Refusal("InvalidParameterException", f"{stage} is attached to another version.")
        if stage == "AWSCURRENT" and after is None:
            raise Refusal("InvalidParameterException", "AWSCURRENT can't be completely removed.")
        kept.move(stage, after)
        return {}


def _json(content: dict[str, Any], status: int) -> web.Response:
    return web.json_response(content, status=status, content_type="application/x-amz-json-1.1")
