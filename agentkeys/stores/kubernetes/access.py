"""Find the cluster and the credentials of a store as kubectl does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import ssl
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from agentkeys.errors import ConfigurationError
from agentkeys.masking import mask
from agentkeys.secret import Secret
from agentkeys.stores.kubernetes.api import Answer, Request

try:
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.config import ConfigException, load_incluster_config
    from kubernetes_asyncio.config.exec_provider import ExecProvider
    from kubernetes_asyncio.config.kube_config import (
        ConfigNode,
        FileOrData,
        KubeConfigLoader,
        KubeConfigMerger,
    )
except ModuleNotFoundError as missing:
    if not str(missing.name).startswith("kubernetes_asyncio"):
        raise
    raise ConfigurationError(
        "the Kubernetes store needs kubernetes_asyncio: pip install 'agentkeys-sdk[kubernetes]'"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiohttp import ClientSession

__all__ = ["Connection", "NoProgramError", "context_of"]

_PAIR: Final = {"clientCertificateData": "cert_file", "clientKeyData": "key_file"}
"""The certificate and key that a program may return instead of a token."""

_PATIENCE: Final = 1.0
"""Seconds that a killed program has to end."""

_ENDED_WELL: Final = {0, 255}
"""The exit codes of a successful program; asyncio reports 255 if the code is lost."""

_IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"
"""The variable that Kubernetes sets in each container."""

_RELEVELLED: Final = ("client", "urllib3")
"""The loggers whose level a `Configuration` overwrites."""


class NoProgramError(Exception):
    """A program in the kubeconfig cannot be run. The text names the program."""


def context_of(named: str | None) -> str | None:
    """Return the context of a store: the named one, or the current one.

    None stands for the service account of the pod that this process runs in.

    Raises:
        ConfigurationError: there is no such context, or no cluster is configured.
    """
    paths = _kubeconfig()
    if paths is None:
        if named is None and _IN_CLUSTER in os.environ:
            return None
        raise ConfigurationError(
            "there is no kubeconfig in KUBECONFIG or ~/.kube/config that names a"
            " cluster: create one, or run in a pod with a service account"
        )
    try:
        config = KubeConfigMerger(paths).config
        context = named or (config and config.safe_get("current-context"))
        is_known = bool(config and context and config["contexts"].get_with_name(context, safe=True))
    except Exception as error:  # noqa: BLE001  # the error shows the file's content, and so tokens
        reason = f"cannot be read ({type(error).__name__})"
    else:
        if is_known:
            return str(context)
        reason = f"has no context {context!r}" if context else "has no current context"
    sentence = f"the kubeconfig {paths} {reason}: run kubectl config get-contexts"
    raise ConfigurationError(mask(sentence))


def _kubeconfig() -> str | None:
    """Return the paths of the kubeconfig, as in KUBECONFIG, if one of them exists."""
    # Not the library's default: the library reads KUBECONFIG only when it is imported.
    paths = os.environ.get("KUBECONFIG") or "~/.kube/config"
    is_there = any(Path(path).expanduser().exists() for path in paths.split(os.pathsep) if path)
    return paths if is_there else None


class Connection:
    """The connection of one call: a session with current credentials, opened when needed.

    Attributes:
        ends: the deadline of the call, by the clock of the event loop.
    """

    def __init__(self, context: str | None, ends: float) -> None:
        self.ends = ends
        self._context = context
        self._session: ClientSession | None = None
        self._server = ""
        self._options: dict[str, Any] = {}

    async def ask(
        self,
        request: Request,
        names: dict[str, str],
        body: object = None,
        query: Mapping[str, str] = MappingProxyType({}),
        *,
        timeout: float | None = None,
    ) -> Answer:
        """Send a request and return its answer, whatever its status.

        Args:
            request: the request.
            names: the values for its path.
            body: its JSON body, or None.
            query: the query.
            timeout: seconds to wait for the answer.
        """
        from aiohttp import ClientTimeout

        session = self._session or await self._opened()
        # A redirect could take the secret to another server, so it is not followed.
        async with session.request(
            request.method,
            f"{self._server}{request.path.format(**names)}",
            params=query,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": request.form},
            allow_redirects=False,
            timeout=ClientTimeout(total=timeout),
            **self._options,
        ) as response:
            return Answer.of(response.status, Secret(await response.text()), response.headers)

    async def _opened(self) -> ClientSession:
        from aiohttp import ClientSession, TCPConnector

        with _levels_kept():
            configuration = Configuration()
        impersonated = []
        if self._context is None:
            load_incluster_config(configuration)  # type: ignore[no-untyped-call]  # it has no types
        else:
            impersonated = await _load(configuration, self._context)
        self._server = str(configuration.host)
        proxy = configuration.proxy or _proxy_for(self._server)
        self._options = {"proxy": proxy, "server_hostname": configuration.tls_server_name}
        is_secure = self._server.startswith("https:")
        secure = await asyncio.to_thread(_ssl_of, configuration) if is_secure else True
        # Not the library's session, which also sends passwords from netrc.
        self._session = ClientSession(
            connector=TCPConnector(ssl=secure), headers=_headers(configuration, impersonated)
        )
        return self._session

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()


def _headers(
    configuration: Configuration, impersonated: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    # Audit logs and field managers show this name.
    headers = [("Accept", "application/json"), ("User-Agent", "agentkeys"), *impersonated]
    # A file with a token ends in a line end.
    token = str(configuration.api_key.get("BearerToken", "")).strip()
    return [*headers, ("Authorization", token)] if token else headers


def _ssl_of(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _proxy_for(server: str) -> str | None:
    """Return the proxy for a server, from the environment."""
    url = urlsplit(server)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


async def _load(configuration: Configuration, context: str) -> list[tuple[str, str]]:
    """Load the kubeconfig, and return the headers for impersonation."""
    files = await asyncio.to_thread(KubeConfigMerger, _kubeconfig() or "")
    loader = _Loader(
        config_dict=files.config,
        active_context=context,
        config_base_path=None,
        # A refreshed token replaces the one in the file, which the issuer no longer accepts.
        config_persister=lambda _: files.save_changes(),
    )
    await loader.load_and_set(configuration)
    return [*loader.impersonated()]


class _Loader(KubeConfigLoader):
    """Reads a kubeconfig. Unlike the library's, its programs end with the call.

    The programs do not get our own credentials either.
    """

    def set_active_context(self, context_name: str | None = None) -> None:
        """Select a context. One without a user is anonymous, which the library lacks."""
        super().set_active_context(context_name)  # type: ignore[no-untyped-call]  # likewise
        self._user = self._user or ConfigNode("user", {})

    def impersonated(self) -> Iterator[tuple[str, str]]:
        """Yield the headers that kubectl sends for a user who impersonates another one."""
        user = cast("ConfigNode", self._user).value
        if name := user.get("as"):
            yield "Impersonate-User", str(name)
            if uid := user.get("as-uid"):
                yield "Impersonate-Uid", str(uid)
            for group in user.get("as-groups") or ():
                yield "Impersonate-Group", str(group)
            for key, values in (user.get("as-user-extra") or {}).items():
                for value in values:
                    yield f"Impersonate-Extra-{quote(key, safe='')}", str(value)

    async def load_from_exec_plugin(self) -> bool:
        status = await _status_of(ExecProvider(self._user["exec"]))  # type: ignore[index]
        if "token" in status:
            self.token = f"Bearer {status['token']}"
        elif status.keys() >= _PAIR.keys():
            for name, attribute in _PAIR.items():
                held = FileOrData(status, None, name, base64_file_content=False)
                setattr(self, attribute, held.as_file())
        else:
            raise ConfigException("the program returned neither a token nor a certificate")
        return True


async def _status_of(plugin: ExecProvider) -> dict[str, Any]:
    """Return the status that a program of a kubeconfig prints; empty if it is not valid."""
    from agentkeys.programs import is_for_programs

    info = {
        "apiVersion": plugin.api_version,
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }
    ours = {name for name in os.environ if not is_for_programs(name)}
    theirs = {k: v for k, v in plugin.env.items() if k not in ours or v != os.environ[k]}
    process = await _started(plugin.args, env={**theirs, "KUBERNETES_EXEC_INFO": json.dumps(info)})
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _PATIENCE)
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return dict(json.loads(said)["status"]) if process.returncode in _ENDED_WELL else {}
    return {}


async def _started(command: list[str], env: dict[str, str]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        reason = type(error).__name__
    raise NoProgramError(f"the program {mask(command[0])} cannot be run ({reason})")


@contextlib.contextmanager
def _levels_kept() -> Iterator[None]:
    levels = [(logging.getLogger(name), logging.getLogger(name).level) for name in _RELEVELLED]
    try:
        yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
