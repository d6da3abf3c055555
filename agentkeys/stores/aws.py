"""A store in AWS Secrets Manager: a secret, or one field of it, in an account and a region."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.secret import Secret
from agentkeys.stores.contract import Stored
from agentkeys.stores.contract.checks import check_text
from agentkeys.stores.contract.quiet import quiet
from agentkeys.stores.contract.remote import Held, Moved, RemoteStore
from agentkeys.stores.json_field import FieldError, field_in, with_field, without_field

try:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.loaders import create_loader

    from agentkeys.stores.aws_errors import meaning
except ModuleNotFoundError as missing:
    if str(missing.name).partition(".")[0] not in {"aiobotocore", "botocore"}:
        raise
    raise ConfigurationError(
        "the aws store needs aiobotocore: pip install 'agentkeys-sdk[aws]'"
    ) from None

if TYPE_CHECKING:
    from agentkeys.stores.contract.remote import _Changing

__all__ = ["AwsStore"]

T = TypeVar("T")

_NAME: Final = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_ARN: Final = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):secretsmanager:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
    r":secret:[A-Za-z0-9/_+=.@-]{1,519}"
)
_REGION: Final = re.compile(r"[a-z]+(-[a-z0-9]+)+")
_MOST: Final = 65_536
"""The largest secret in bytes, by AWS's documentation of PutSecretValue."""
_ROOM: Final = 1024
"""The bytes that a probe requires to be free for a field beside the others."""
_REMOVED: Final = Secret("{}")
_CURRENT: Final = "AWSCURRENT"
_PENDING: Final = "agentkeys-pending"
"""The staging label of a version that is not current yet.

It is not AWSPENDING: AWS's own rotation fails if its version loses that label, or if another
version that is not current has it.
"""
_PROBE: Final = "agentkeys-probe"
"""The staging label, and as a UUID the version, that a write-only probe writes."""

_ADDRESS: Final = (
    "the address of an AWS store is aws:NAME or aws:NAME#JSON_KEY, and ?region=REGION may follow;"
    " if the key contains a ?, the region must follow"
)
_REFUSED: Final = frozenset(
    {"InvalidParameterException", "InvalidRequestException", "ResourceNotFoundException"}
)
_opened: Final[ContextVar[tuple[contextlib.AsyncExitStack, dict[str, Any]]]] = ContextVar("opened")
"""The exit stack that closes the clients of a call, and the clients by their service."""
_models: Final = functools.cache(create_loader)
"""botocore's data about services: it takes 36 ms to read, and all sessions share it."""

_FIELDS_NEED_READING: Final = (
    "to keep the other fields of the JSON object, the credentials must permit"
    " secretsmanager:GetSecretValue and secretsmanager:UpdateSecretVersionStage"
)


class AwsStore(RemoteStore):
    """A secret in AWS Secrets Manager, or one field of a secret that is a JSON object.

    A write adds a version with a staging label of its own, and then moves AWSCURRENT from exactly
    the version that was read to the new one. AWS moves AWSPREVIOUS, which `previous` reads. Tags,
    description, rotation, KMS key and all other fields of a JSON object stay. If the secret does
    not exist, it is created.

    `remove` of a field keeps the rest of the object. `remove` of a whole secret writes ``{}``,
    because AWS has no conditional deletion: the secret can be written again without a further
    permission, and the removed value is AWSPREVIOUS.

    Credentials, the profile, the endpoint and the proxy are those of botocore.

    Args:
        name: the name or the ARN of the secret.
        key: the field of the JSON object; None if the whole value is the secret.
        region: the region of the secret; defaults to the region of the ARN, or to botocore's
            configuration (``AWS_DEFAULT_REGION``, or the profile).
        timeout: seconds for each call; `math.inf` means no limit.

    Raises:
        InvalidArgumentError: an argument is invalid.
        ConfigurationError: aiobotocore is not installed, or no region is known.
    """

    quiet = ("aiobotocore", "botocore", "aiohttp", "urllib3")

    def __init__(
        self,
        name: str,
        key: str | None = None,
        *,
        region: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        super().__init__(timeout=timeout)
        self._name = check_text("the name of a secret", name)
        self._arn = _ARN.fullmatch(self._name)
        if self._arn is None and not _NAME.fullmatch(self._name):
            raise InvalidArgumentError(
                "the name of a secret in AWS is an ARN, or up to 512 of the characters A-Z a-z 0-9"
                " / _ + = . @ -"
            )
        self._key = None if key is None else check_text("the key of a field", key)
        if len((self._key or "-").splitlines()) != 1:
            raise InvalidArgumentError("the key of a field must be one line")
        self._region = _region_of(self._arn, region)
        field = "" if self._key is None else f"#{self._key}"
        self.address = f"aws:{self._name}{field}?region={self._region}"
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    @classmethod
    def at(cls, place: str) -> AwsStore:
        """Return the store of an address without its ``aws:``.

        Raises:
            InvalidArgumentError: *place* is not such an address.
            ConfigurationError: aiobotocore is not installed, or no region is known.
        """
        where, mark, option = place.rpartition("?")
        if not mark:
            where = option
        elif not option.startswith("region="):
            raise InvalidArgumentError(_ADDRESS)
        name, sign, key = where.partition("#")
        region = option.removeprefix("region=") if mark else None
        return cls(name, key if sign else None, region=region)

    def describe(self) -> str:
        """Return the place of the secret."""
        field = "" if self._key is None else f"{self._key} of "
        return f"{field}{self._name} in AWS Secrets Manager, {self._region}"

    def __repr__(self) -> str:
        field = "" if self._key is None else f", {self._key!r}"
        return f"AwsStore({self._name!r}{field}, region={self._region!r})"

    async def previous(self) -> Stored:
        """Return the previous secret, which AWS labels AWSPREVIOUS.

        If only another field has changed since then, the result is empty.

        Raises:
            StoreError: it cannot be read.
        """
        return Stored.of(await self._bounded(lambda: self._asked_again(self._before)))

    async def _before(self) -> Secret | None:
        client = await self._client()
        before = (await self._version(client, "AWSPREVIOUS")).secret
        current = (await self._version(client, _CURRENT)).secret
        return None if before == current else before

    async def _bounded(
        self, work: Callable[[], Awaitable[T]], changing: _Changing | None = None
    ) -> T:
        """Like the base class, but *work* shares one connection, which is closed at the end."""
        async with contextlib.AsyncExitStack() as exits:
            token = _opened.set((exits, {}))
            try:
                return await super()._bounded(work, changing)
            finally:
                _opened.reset(token)

    async def _client(self, service: str = "secretsmanager") -> Any:
        """Return the client of this call. It sends each request once: this store retries itself."""
        exits, clients = _opened.get()
        if service not in clients:
            # A third: after a request without an answer there is time to read and to repeat it.
            most = None if self._timeout == math.inf else self._timeout / 3
            config = AioConfig(
                connect_timeout=most, read_timeout=most, retries={"total_max_attempts": 1}
            )
            made = self._session().create_client(service, region_name=self._region, config=config)
            clients[service] = await exits.enter_async_context(made)
        return clients[service]

    def _session(self) -> Any:
        """Return the session of the running loop: a session caches credentials, and locks them."""
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            session = get_session()
            models = _models(session.get_config_variable("data_path"))
            session.register_component("data_loader", models)
            self._sessions[loop] = session
        return self._sessions[loop]

    async def _held(self) -> Held:
        client = await self._client()
        return await self._version(client, _CURRENT)

    async def _version(self, client: Any, stage: str) -> Held:
        """Return the version with a staging label; its `rest` is its whole text."""
        try:
            answer = await client.get_secret_value(SecretId=self._name, VersionStage=stage)
        except client.exceptions.ResourceNotFoundException:
            return Held(None, None)
        if "SecretString" not in answer:
            raise self._error("it is binary, but agentkeys stores text: use another secret")
        text = Secret(answer.pop("SecretString"))
        return Held(self._secret_in(text), answer["VersionId"], text)

    def _secret_in(self, text: Secret) -> Secret | None:
        if self._key is None:
            return None if text == _REMOVED else text
        try:
            return field_in(text, self._key)
        except FieldError as error:
            reason = str(error)
        raise self._error(f"{reason}: it was not changed")

    def _objection(self, secret: Secret) -> str | None:
        if self._key is None and secret == _REMOVED:
            return "the secret is {}, which stands for a removed secret"
        return self._objection_to_size(secret, 0)

    def _objection_to_size(self, text: Secret, more: int) -> str | None:
        if len(text.reveal().encode()) + more <= _MOST:
            return None
        return f"AWS keeps at most {_MOST} bytes, with all fields of the secret"

    def _text_with(self, secret: Secret | None, held: Held) -> Secret:
        """Return the new whole text."""
        if self._key is None:
            return secret or _REMOVED
        before = held.rest or Secret("{}")
        if secret is None:
            return without_field(before, self._key)
        text = with_field(before, self._key, secret)
        objection = self._objection_to_size(text, 0)
        if objection is not None:
            raise self._error(objection)
        return text

    async def _put(self, secret: Secret | None, held: Held) -> None:
        text, version = self._text_with(secret, held), str(uuid.uuid4())
        client = await self._client()
        labels = await self._added(client, version, text, _PENDING)
        if labels is None:
            if held.token is not None:
                raise Moved("it was deleted")
            await self._created(client, version, text)
            return
        # The first version of a secret is current at once. Reading would not be enough, because a
        # read may return an old value for a while.
        is_ours = _CURRENT in labels or await self._labelled(client, _CURRENT, held.token, version)
        # AWS may delete a version without a label. If this fails, the next write does it.
        with contextlib.suppress(BotoCoreError, ClientError):
            await self._labelled(client, _PENDING, version, None)
        # AWS also refuses a move that is already done: a proxy may repeat a request.
        if not is_ours and (await self._version(client, _CURRENT)).token != version:
            raise Moved("it holds another version")

    async def _put_unread(self, secret: Secret) -> None:
        if self._key is not None:
            raise self._error(_FIELDS_NEED_READING)
        version = str(uuid.uuid4())
        client = await self._client()
        if await self._added(client, version, secret, _CURRENT) is None:
            await self._created(client, version, secret)

    async def _rehearse(self, held: Held | None) -> None:
        if held is None:
            await self._rehearse_unread()
            return
        client = await self._client()
        if held.token is None:
            # No request shows whether the secret may be created. AWS always refuses this request.
            await self._labelled(client, _PENDING, str(uuid.uuid4()), None)
            return
        objection = self._objection_to_size(held.rest, _ROOM) if self._key else None
        if objection is not None:
            raise self._error(objection)
        # The existing version, with its own text: AWS does nothing.
        await self._added(client, held.token, held.rest, _PENDING)
        await self._labelled(client, _PENDING, held.token, None)

    async def _rehearse_unread(self) -> None:
        """Write one version that is not current; every probe writes the same version."""
        if self._key is not None:
            raise self._error(_FIELDS_NEED_READING)
        version = str(uuid.uuid5(uuid.NAMESPACE_OID, _PROBE))
        client = await self._client()
        await self._added(client, version, _REMOVED, _PROBE)

    async def _added(
        self, client: Any, version: str, text: Secret, stage: str
    ) -> Sequence[str] | None:
        """Add a version with a staging label; return its labels, or None if there is no secret."""
        try:
            answer = await client.put_secret_value(
                SecretId=self._name,
                ClientRequestToken=version,
                SecretString=text.reveal(),
                VersionStages=[stage],
            )
        except client.exceptions.ResourceNotFoundException:
            return None
        return answer["VersionStages"]  # type: ignore[no-any-return]  # botocore is not typed

    async def _created(self, client: Any, version: str, text: Secret) -> None:
        if self._arn is not None:
            raise self._error("there is no secret with this ARN: create it, or use its name")
        try:
            await client.create_secret(
                Name=self._name, ClientRequestToken=version, SecretString=text.reveal()
            )
        except client.exceptions.ResourceExistsException:
            raise Moved("another program created it") from None

    async def _labelled(
        self, client: Any, stage: str, before: str | None, version: str | None
    ) -> bool:
        """Move a staging label from one version to another; return whether the first one had it."""
        moves = {"RemoveFromVersionId": before, "MoveToVersionId": version}
        try:
            await client.update_secret_version_stage(
                SecretId=self._name,
                VersionStage=stage,
                **{name: value for name, value in moves.items() if value},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _REFUSED:
                raise
            return False
        return True

    async def _place(self) -> str:
        client = await self._client()
        endpoint = client.meta.endpoint_url
        if self._arn is not None:
            partition, account = self._arn["partition"], self._arn["account"]
        else:
            client = await self._client("sts")  # no policy can forbid this request
            caller = await client.get_caller_identity()
            partition, account = caller["Arn"].split(":")[1], caller["Account"]
        return f"arn:{partition}:secretsmanager:{self._region}:{account} at {endpoint}"

    def _told(self, error: Exception) -> Exception:
        which = f"--region {self._region} --secret-id {self._name}"
        meant = meaning(error, which)
        return self._error(meant) if isinstance(meant, str) else meant


def _region_of(arn: re.Match[str] | None, given: str | None) -> str:
    """Return the region of a store, for its address: cron may have another region."""
    region = given if given is not None else arn and arn["region"]
    if region is None:
        region = _configured_region()
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise InvalidArgumentError("the region is not one of AWS: use one like eu-west-1")
    if arn is not None and arn["region"] != region:
        raise InvalidArgumentError(
            f"the ARN is in {arn['region']}, not in {region}: use one region"
        )
    return region


def _configured_region() -> object:
    try:
        with quiet(AwsStore.quiet):
            region = get_session().get_config_variable("region")
    except BotoCoreError as error:
        kind = type(error).__name__
    else:
        if region is not None:
            return region
        kind = ""
    if kind:
        raise ConfigurationError(
            f"botocore cannot read its configuration ({kind}): check AWS_PROFILE and ~/.aws/config"
        )
    raise ConfigurationError(
        "no region of AWS is configured: add ?region=REGION to the address, or set"
        " AWS_DEFAULT_REGION"
    )
