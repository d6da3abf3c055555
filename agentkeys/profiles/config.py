"""The file that lists the profiles, read and checked as a whole.

A field may hold a secret by mistake. So no frame that holds the file's values raises an exception
that leaves this module, and no text shows a value.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from agentkeys import filesystem, home
from agentkeys.errors import ConfigurationError, ProfileError
from agentkeys.masking import mask
from agentkeys.secret import Secret

__all__ = [
    "FILE",
    "NAME",
    "TOKEN_CACHES",
    "Config",
    "Profile",
    "TokenCache",
    "file",
    "parsed",
    "read",
]

TokenCache: TypeAlias = Literal["file", "keyring", "none"]

FILE: Final = "config.toml"
NAME: Final = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
TOKEN_CACHES: Final = ("file", "keyring", "none")

_LARGEST: Final = 1 << 20
_PLACES: Final = ("inbox", "pod", "tenant")
_ADDRESSES: Final = ("password_from", "token_from")
_FIELDS: Final = ("base_url", "email", *_ADDRESSES, *_PLACES, "token_cache")
# No user name, password, query or fragment, because each may hold a secret.
_BASE_URL: Final = re.compile(r"https?://[^\s@?#]+")
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+")
_WHERE: Final = re.compile(r"line \d+|end of document")


@dataclass(frozen=True)
class Profile:
    """The settings of a profile for one service.

    Attributes:
        name: the name of the profile.
        service: the service, in lower case.
        base_url: the address of the service; None for the default address.
        email: the email of the login.
        password_from: the address of the store that holds the password.
        token_from: the address of the store that holds the bearer token.
        inbox: the default inbox of a command.
        pod: the default pod of a command.
        tenant: whether the tenant is the default of a command.
        token_cache: where the tokens of a login are kept; None for the default.
    """

    name: str
    service: str
    base_url: str | None = None
    email: str | None = None
    password_from: Secret | None = None
    token_from: Secret | None = None
    inbox: str | None = None
    pod: str | None = None
    tenant: bool = False
    token_cache: TokenCache | None = None


@dataclass(frozen=True)
class Config:
    """The content of the file.

    Attributes:
        file: its path.
        default: the profile that a command uses by default.
        profiles: the profiles by name, and then by service.
    """

    file: Path
    default: str | None = None
    profiles: Mapping[str, Mapping[str, Profile]] = field(default_factory=dict)

    def profile(self, name: str, service: str) -> Profile:
        """Return the settings of a profile for a service, or raise `ProfileError`."""
        services = self.named(name)
        found = services.get(service)
        if found is None:
            raise ProfileError(
                f"the profile {name!r} in {self.file} has no account of {service}, only of"
                f" {_listed(services)}: run agentkeys profile add {name} {service} ..."
            )
        return found

    def named(self, name: str) -> Mapping[str, Profile]:
        """Return a profile, by service, or raise `ProfileError`."""
        services = self.profiles.get(name)
        if services is None:
            shown = f"profile {name!r}" if NAME.fullmatch(name) else "such profile"
            there = (
                f"there are {_listed(self.profiles)}: choose one of these, or add another one"
                if self.profiles
                else "there are none: add one"
            )
            raise ProfileError(
                f"there is no {shown} in {self.file}; {there} with agentkeys profile add"
            )
        return services


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names))


def file() -> Path:
    """Return the path of the profiles, even if the file does not exist.

    Raises:
        ConfigurationError: the folder is not known.
    """
    try:
        return home.config_folder() / FILE
    except ModuleNotFoundError:
        pass
    raise ConfigurationError(
        "profiles need platformdirs: pip install 'agentkeys-sdk[cli]', or set AGENTKEYS_HOME to the"
        f" folder that has {FILE}"
    )


def read() -> Config:
    """Return the content of the file; empty if it does not exist.

    Raises:
        ProfileError: others can change the file, or a value is not valid.
    """
    path = file()
    found = _found(path)
    if isinstance(found, str):
        raise ProfileError(f"the profiles in {path} are not used: {found}")
    return found


def _found(path: Path) -> Config | str:
    try:
        return parsed(Secret(filesystem.read_trusted(path, at_most=_LARGEST).decode()), path)
    except FileNotFoundError:
        return Config(path)
    except UnicodeDecodeError:  # the error holds the bytes
        return "the file is not UTF-8"
    except OSError as error:  # a RefusedError is one
        return str(error.strerror or type(error).__name__)


def parsed(text: Secret, path: Path) -> Config | str:
    """Return the content of a file's text, or what is wrong with it."""
    try:
        return _config(tomllib.loads(text.reveal()), path)
    except ValueError as error:  # a TOMLDecodeError, or a number with too many digits
        found = _WHERE.search(str(error))  # the rest of it may quote the file
        return f"the file is not TOML{f', at {found[0]}' if found else ''}"
    except RecursionError:
        return "the file is nested too deeply"
    except _WrongError as error:
        return mask(str(error))


def made(name: str, service: str, **fields: object) -> Profile:
    """Return a profile with these fields, checked like those of a file.

    Raises:
        ProfileError: a field is not valid. Its value is not shown.
    """
    sealed = {each: value for each, value in fields.items() if value is not None}
    del fields
    try:
        return _profile(name, service, sealed)
    except _WrongError as error:
        sentence = mask(str(error))
        sealed = {}  # so that this frame holds no value
    raise ProfileError(sentence)


class _WrongError(Exception):
    """What is wrong with the file, without a value. It does not leave this module."""


def _config(data: Mapping[str, Any], path: Path) -> Config:
    _check_fields("the file", data, ("default", "profiles"))
    default = data.get("default")
    if default is not None and not (isinstance(default, str) and NAME.fullmatch(default)):
        raise _WrongError("default must be the name of a profile, in quotes")
    profiles = {
        _named(name): {
            _named(service): _profile(name, service, fields)
            for service, fields in _table(f"profiles.{name}", services).items()
        }
        for name, services in _table("profiles", data.get("profiles", {})).items()
    }
    return Config(path, default, profiles)


def _named(name: str) -> str:
    if NAME.fullmatch(name):
        return name
    raise _WrongError(
        "the name of a profile or a service has a character that is not allowed, or more than 64:"
        " use letters, digits, - and _"
    )


def _table(name: str, value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    known = all(NAME.fullmatch(part) for part in name.split("."))
    where = f"[{name}]" if known else "a profile"
    raise _WrongError(f"{where} must be a table: each account is one, [profiles.NAME.SERVICE]")


def _check_fields(where: str, data: Mapping[str, object], known: tuple[str, ...]) -> None:
    for name in data:
        if name not in known:
            # A name that is not valid may be a secret.
            shown = f" {name!r}" if NAME.fullmatch(name) else ""
            raise _WrongError(
                f"{where} has an unknown field{shown}; use {', '.join(known)}{_advice(name)}"
            )


def _advice(name: str) -> str:
    if not re.search("password|token|key|secret", name, re.IGNORECASE):
        return ""
    return (
        ". Do not write a secret there: put it into a store, and write the address of the store as"
        " password_from or token_from"
    )


def _profile(name: str, service: str, value: object) -> Profile:
    _named(name), _named(service)
    where = f"[profiles.{name}.{service}]"
    fields = _table(where[1:-1], value)
    _check_fields(where, fields, _FIELDS)
    for each, held in fields.items():
        _check(where, each, held)
    _check_whole(where, fields)
    addresses = {each: Secret(fields[each]) for each in _ADDRESSES if each in fields}
    return Profile(name, service, **{**fields, **addresses})


def _check(where: str, name: str, value: object) -> None:
    wanted = _wanted(name, value)
    if wanted:
        raise _WrongError(f"{name} in {where} must be {wanted}")


def _wanted(name: str, value: object) -> str:
    """Return what a field must be, if it is not valid; the value is not shown."""
    if name == "tenant":
        return "" if isinstance(value, bool) else "true or false"
    if not isinstance(value, str):
        return "a string, in quotes"
    if not value or not value.isprintable():
        return (
            "a string that is not empty, without line ends and other characters that do not print"
        )
    wanted = _WANTED.get(name)
    return wanted(value) if wanted else ""


def _wanted_base_url(value: str) -> str:
    if _BASE_URL.fullmatch(value):
        return ""
    return "an http or https address without a user, a query and a fragment"


def _wanted_cache(value: str) -> str:
    return "" if value in TOKEN_CACHES else f"one of {', '.join(map(repr, TOKEN_CACHES))}"


def _wanted_address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        return (
            "the address of a store, like keyring:SERVICE#NAME (the value is not shown, because"
            " it may be a secret: put a secret into a store)"
        )
    if value.startswith("command:"):
        return "the address of a store that can be read, which a program is not"
    return ""


_WANTED: Final[Mapping[str, Callable[[str], str]]] = {
    "base_url": _wanted_base_url,
    "password_from": _wanted_address,
    "token_from": _wanted_address,
    "token_cache": _wanted_cache,
}


def _check_whole(where: str, fields: Mapping[str, object]) -> None:
    if ("token_from" in fields) == ("email" in fields):
        raise _WrongError(f"{where} needs either token_from, or email and password_from")
    if "password_from" in fields and "email" not in fields:
        raise _WrongError(f"{where} has password_from without email")
    if len([each for each in _PLACES if fields.get(each)]) > 1:
        raise _WrongError(f"{where} may have one of inbox, pod and tenant")
