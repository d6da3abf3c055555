"""What is refused before anything is sent, though it holds secrets."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import attrs
from sentinels import ACCESS, EMAIL, PASSWORD, PASTED, PROXY_PASSWORD, REFRESH, TOKEN

from agentkeys import PasswordLogin, Secret, StoredToken, TokenPair, errors
from agentkeys.fleet import manifest


@attrs.frozen
class _Vault:
    """Credentials of a user's own."""

    get: Callable[[], Any]

    def current(self) -> Any:
        return self.get()

    async def renew(self, caller: Any, refused: Any, timeout: float) -> Any:
        return self.get()

    def secrets(self) -> tuple[Secret, ...]:
        return ()


def _asked(module: Any, get: Callable[[], Any]) -> Any:
    return module.AgentryClient(_Vault(get)).api_keys.create("x")


def _with_a_profile(module: Any, field: str, secret: str) -> Any:
    """Use a profile in whose file somebody wrote a secret for something else."""
    folder = Path(os.environ["AGENTKEYS_HOME"])
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "config.toml").write_text(f"[profiles.acme.agentry]\n{field} = {secret!r}\n")
    (folder / "config.toml").chmod(0o600)
    return module.AgentryClient(profile="acme")


def _declared(field: str, secret: str) -> Any:
    """Declare a key, with a secret in the place of something else."""
    path = Path(os.environ["AGENTKEYS_HOME"]).parent / "agentkeys.toml"
    path.write_text(f"[keys.bot]\nservice = 'agentity'\n{field} = {secret!r}\n")
    return manifest.read(path)


@attrs.frozen
class Refusal:
    """Something that is refused when it is made: what it is, with a module's names, and why."""

    error: type[BaseException]
    make: Callable[[Any], Awaitable[Any] | Any]
    in_play: tuple[str, ...]
    environment: dict[str, str] = attrs.field(factory=dict)


_URL: Final = f"https://user:{PASTED}@agentity.test"
_SOCKS: Final = f"socks5://user:{PROXY_PASSWORD}@127.0.0.1"
_ELSEWHERE: Final = "http://agentity.test"
_WRONG: Final = errors.InvalidArgumentError
_UNSET: Final = errors.ConfigurationError
_BOTH: Final = ("password", "bearer token")
REFUSALS: Final[dict[str, Refusal]] = {
    "a token with a space": Refusal(
        _UNSET, lambda m: m.AgentryClient(f"{TOKEN} "), ("bearer token",)
    ),
    "a token with a line end": Refusal(
        _UNSET, lambda m: m.AgentryClient(f"{TOKEN}\n"), ("bearer token",)
    ),
    "a token with an accent": Refusal(
        _UNSET, lambda m: m.AgentityClient(f"{TOKEN}é"), ("bearer token",)
    ),
    "a token of bytes": Refusal(
        _WRONG, lambda m: m.AgentryClient(TOKEN.encode()), ("bearer token",)
    ),
    "a tuple for credentials": Refusal(
        _WRONG, lambda m: m.AgentityClient((EMAIL, PASSWORD)), ("password",)
    ),
    "a dict for credentials": Refusal(
        _WRONG, lambda m: m.AgentityClient({"password": PASSWORD}), ("password",)
    ),
    "credentials that give what is no token": Refusal(
        _UNSET,
        lambda m: _asked(m, lambda: Secret(f"{TOKEN} ")),
        ("bearer token",),
    ),
    "credentials that give a str": Refusal(
        _UNSET,
        lambda m: m.AgentryClient(_Vault(lambda: TOKEN)).api_keys.create("x"),
        ("bearer token",),
    ),
    "credentials that give bytes": Refusal(
        _UNSET,
        lambda m: m.AgentryClient(_Vault(TOKEN.encode)).api_keys.create("x"),
        ("bearer token",),
    ),
    "no time": Refusal(_WRONG, lambda m: m.AgentryClient(TOKEN, timeout=0), ("bearer token",)),
    "no policy": Refusal(_WRONG, lambda m: m.AgentryClient(TOKEN, retry=3), ("bearer token",)),
    "an address with a password": Refusal(
        _UNSET,
        lambda m: m.AgentryClient(TOKEN, base_url=_URL),
        ("bearer token", "password in a base URL"),
    ),
    "an address of bytes": Refusal(
        _WRONG,
        lambda m: m.AgentryClient(TOKEN, base_url=_URL.encode()),
        ("bearer token", "password in a base URL"),
    ),
    "an address with a password in the environment": Refusal(
        _UNSET,
        lambda m: m.AgentityClient(PasswordLogin(EMAIL, PASSWORD)),
        ("password", "Basic header", "password in a base URL"),
        {"AGENTITY_BASE_URL": _URL},
    ),
    "http to another host": Refusal(
        _UNSET,
        lambda m: m.AgentityClient(PasswordLogin(EMAIL, PASSWORD), base_url=_ELSEWHERE),
        ("password", "Basic header"),
    ),
    "a proxy of another kind": Refusal(
        _UNSET,
        lambda m: m.AgentryClient(TOKEN, proxy=_SOCKS),
        ("bearer token", "password of the proxy"),
    ),
    "a proxy of bytes": Refusal(
        _WRONG,
        lambda m: m.AgentryClient(TOKEN, proxy=_SOCKS.encode()),
        ("bearer token", "password of the proxy"),
    ),
    "a proxy of another kind in the environment": Refusal(
        _UNSET,
        lambda m: m.AgentryClient(TOKEN, base_url=_ELSEWHERE, allow_http=True),
        ("bearer token", "password of the proxy"),
        {"HTTP_PROXY": _SOCKS},
    ),
    "a colon in the email": Refusal(
        _WRONG, lambda _: PasswordLogin("a:b", PASSWORD), ("password",)
    ),
    "no email": Refusal(_WRONG, lambda _: PasswordLogin("", PASSWORD), ("password",)),
    "a password that no one can send": Refusal(
        _WRONG, lambda _: PasswordLogin(EMAIL, f"{PASSWORD}\ud800"), ("password",)
    ),
    "a password of bytes": Refusal(
        _WRONG, lambda _: PasswordLogin(EMAIL, PASSWORD.encode()), ("password",)
    ),
    "tokens of bytes": Refusal(
        _WRONG,
        lambda _: TokenPair(ACCESS.encode(), bytearray(REFRESH.encode())),
        ("access token", "refresh token"),
    ),
    "a refresh token of bytes": Refusal(
        _WRONG,
        lambda _: TokenPair(ACCESS, memoryview(REFRESH.encode())),
        ("access token", "refresh token"),
    ),
    "a refresh token with a space": Refusal(
        _UNSET, lambda _: TokenPair(ACCESS, f"{REFRESH} "), ("access token", "refresh token")
    ),
    "a login with bytes": Refusal(
        _WRONG, lambda m: m.login(EMAIL, PASSWORD.encode()), ("password",)
    ),
    "a login through such a proxy": Refusal(
        _UNSET,
        lambda m: m.login(EMAIL, PASSWORD, proxy=_SOCKS),
        ("password", "Basic header", "password of the proxy"),
    ),
    "a login at such an address": Refusal(
        _UNSET,
        lambda m: m.login(EMAIL, PASSWORD, base_url=_URL),
        ("password", "Basic header", "password in a base URL"),
    ),
    "a registration with bytes": Refusal(
        _WRONG, lambda m: m.register(EMAIL, PASSWORD.encode(), name="Me"), ("password",)
    ),
    "a registration of nobody": Refusal(
        _WRONG,
        lambda m: m.register(EMAIL, PASSWORD, name="", base_url=_URL, proxy=_SOCKS),
        ("password", "Basic header", "password in a base URL", "password of the proxy"),
    ),
    "a registration through such a proxy": Refusal(
        _UNSET,
        lambda m: m.register(EMAIL, PASSWORD, name="Me", proxy=_SOCKS),
        ("password", "Basic header", "password of the proxy"),
    ),
    "a registration at such an address": Refusal(
        _UNSET,
        lambda m: m.register(EMAIL, PASSWORD, name="Me", base_url=_URL),
        ("password", "Basic header", "password in a base URL"),
    ),
    "a registration at an address of bytes": Refusal(
        _WRONG,
        lambda m: m.register(EMAIL, PASSWORD, name="Me", base_url=_URL.encode()),
        ("password", "Basic header", "password in a base URL"),
    ),
    "a password for an address": Refusal(
        _WRONG, lambda _: PasswordLogin(EMAIL, password_from=PASSWORD), ("password",)
    ),
    "a password for an address of bytes": Refusal(
        _WRONG, lambda _: PasswordLogin(EMAIL, password_from=PASSWORD.encode()), ("password",)
    ),
    "a password and a store": Refusal(
        _WRONG, lambda _: PasswordLogin(EMAIL, PASSWORD, password_from=TOKEN), _BOTH
    ),
    "a token for an address": Refusal(_WRONG, lambda _: StoredToken(TOKEN), ("bearer token",)),
    "a token for an entry": Refusal(
        _WRONG, lambda _: StoredToken(f"dotenv:.env#{TOKEN} "), ("bearer token",)
    ),
    "a token for a program": Refusal(
        _UNSET, lambda _: StoredToken(f"command:{TOKEN}"), ("bearer token",)
    ),
    "a token for a program in the environment": Refusal(
        _UNSET,
        lambda m: m.AgentryClient(),
        ("bearer token",),
        {"AGENTRY_API_KEY_FROM": f"command:{TOKEN}"},
    ),
    "a token for an address in the environment": Refusal(
        _UNSET,
        lambda m: m.AgentryClient(),
        ("bearer token",),
        {"AGENTRY_API_KEY_FROM": TOKEN},
    ),
    "a token and an address in the environment": Refusal(
        _UNSET,
        lambda m: m.AgentryClient(),
        ("bearer token",),
        {"AGENTRY_API_KEY": TOKEN, "AGENTRY_API_KEY_FROM": TOKEN},
    ),
    "a password for an entry in the environment": Refusal(
        _UNSET,
        lambda m: m.AgentityClient(),
        ("password",),
        {"AGENTITY_EMAIL": EMAIL, "AGENTITY_PASSWORD_FROM": f"keyring:{PASSWORD}"},
    ),
    "an email alone in the environment": Refusal(
        _UNSET,
        lambda m: m.AgentityClient(),
        ("password",),
        {"AGENTITY_PASSWORD": PASSWORD},
    ),
    "a token with a space in the environment": Refusal(
        _UNSET,
        lambda m: m.AgentityClient(),
        ("access token",),
        {"AGENTITY_ACCESS_TOKEN": f"{ACCESS} {ACCESS}"},
    ),
    "a token with a tab in the environment": Refusal(
        _UNSET,
        lambda m: m.AgentryClient(),
        ("bearer token",),
        {"AGENTRY_API_KEY": f"{TOKEN}\t"},
    ),
    **{
        f"a profile with a token for its {field}": Refusal(
            errors.ProfileError,
            lambda m, field=field: _with_a_profile(m, field, TOKEN),
            ("bearer token",),
        )
        for field in ("token_from", "base_url", "inbox", "token")
    },
    **{
        f"a declared key with a token for its {field}": Refusal(
            errors.ManifestError,
            lambda _, field=field: _declared(field, TOKEN),
            ("bearer token",),
        )
        for field in ("grace", "inbox", "token")
    },
}
"""What cannot be made, and holds secrets."""
