"""``agentkeys serve``: both services on this machine, in the foreground."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.options import with_json
from agentkeys.cli.serving.admin import secret_from
from agentkeys.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

    from agentkeys.cli.ground.options import Options
    from agentkeys.server import Admin, LocalService

__all__ = ["commands"]

_PASSWORD: Final = "AGENTKEYS_SERVE_PASSWORD"  # noqa: S105  # the name of the variable
_ADMIN_TOKEN: Final = "AGENTKEYS_ADMIN_TOKEN"  # noqa: S105
_AGENTRY_KEY: Final = "AGENTKEYS_SERVE_AGENTRY_KEY"
_SECRET: Final = ("AGENTITY_PASSWORD", "AGENTRY_API_KEY", _ADMIN_TOKEN)


# Each option can also come from a variable: a container is configured by its environment.
@click.command("serve", context_settings={"auto_envvar_prefix": "AGENTKEYS_SERVE"})
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="The port to listen on; 0 is any free port.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    metavar="NAME",
    multiple=True,
    help="A host name or address by which others reach this service, without a port; may be given"
    " several times. Requests for any other host than this machine are refused.",
)
@click.option(
    "--database",
    metavar="PATH",
    help="The place of the data, as PATH or sqlite:///PATH; by default in memory, or with"
    " `agentkeys --local serve`, the data of --local.",
)
@click.option("--email", metavar="EMAIL", help="The email of the account to start with.")
@click.option(
    "--account",
    "accounts",
    metavar="EMAIL",
    multiple=True,
    help="One more account to start with, which has the same password; may be given several times.",
)
@click.option(
    "--inbox",
    "inboxes",
    metavar="INBOX",
    multiple=True,
    help="One more inbox to start with; may be given several times.",
)
@click.option(
    "--pod",
    "pods",
    metavar="POD",
    multiple=True,
    help="One more pod to start with; may be given several times.",
)
@click.option(
    "--rate-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="NUMBER",
    help="How many requests a second both services answer, all together; one more is answered 429"
    " with Retry-After. Without it, there is no limit.",
)
@click.option("--cert", metavar="PATH", help="Use TLS, with the certificate in this file (PEM).")
@click.option("--key", metavar="PATH", help="The key of the certificate, if it is in another file.")
@click.option(
    "--admin-port",
    type=click.IntRange(0, 65535),
    help="Let programs control faults, the clock and more over this port, on 127.0.0.1 only; 0 is"
    " any free port. AGENTKEYS_ADMIN_TOKEN holds its token; by default it is random.",
)
@click.option(
    "--record-bodies",
    is_flag=True,
    help="Show bodies, with secrets masked, in the record of requests on the admin port.",
)
@click.option("--quiet", is_flag=True, help="Print no password and no token.")
@with_json
def commands(
    options: Options,
    *,
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    database: str | None,
    email: str | None,
    accounts: tuple[str, ...],
    inboxes: tuple[str, ...],
    pods: tuple[str, ...],
    rate_limit: float | None,
    cert: str | None,
    key: str | None,
    admin_port: int | None,
    record_bodies: bool,
    quiet: bool,
) -> None:
    """Run Agentity and Agentry on this machine until Ctrl-C.

    It prints what a client needs, as shell commands; the password and the token are secrets of this
    local service. --quiet leaves these two out, for a container or a unit whose log is kept. --json
    prints one line {"url", "email", "password", "agentry_token", "inbox_id"} when the service is
    ready.

    AGENTKEYS_SERVE_PASSWORD and AGENTKEYS_SERVE_AGENTRY_KEY hold a password and a token of your
    choice; with _FILE at the end, the variable holds the path of a file. Each option can also be
    set by a variable: AGENTKEYS_SERVE_ and its name.
    """
    import asyncio

    from agentkeys.cli.ground.logs import logged
    from agentkeys.server import Admin, LocalService, serve
    from agentkeys.server.bootstrap import EMAIL

    service = LocalService(
        host=host,
        port=port,
        allowed_hosts=allowed_hosts,
        database=_database(options, database),
        email=email or EMAIL,
        password=secret_from(_PASSWORD),
        agentry_token=secret_from(_AGENTRY_KEY),
        accounts=accounts,
        inboxes=inboxes,
        pods=pods,
        rate_limit=rate_limit,
        ssl=_tls(cert, key),
        # Without an admin port, no program could read them.
        recorded_requests=0 if admin_port is None else 1000,
        recorded_bodies=record_bodies,
    )
    admin = None
    if admin_port is not None:
        admin = Admin(service, port=admin_port, token=secret_from(_ADMIN_TOKEN))

    def ready(service: LocalService) -> None:
        output.write(*_announced(options, service, admin, quiet=quiet))

    with logged(verbose=options.verbose, traceback=options.traceback):
        asyncio.run(serve(service, ready=ready, admin=admin))


def _database(options: Options, given: str | None) -> str | None:
    if given is not None and options.local:
        raise click.UsageError("--local and --database cannot be combined")
    if given is not None:
        return given if "://" in given else f"sqlite:///{given}"
    if not options.local:
        return None
    from agentkeys.cli.ground.local import local_database

    return local_database()


def _tls(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None:
            raise click.UsageError("--key is the key of a certificate: add --cert")
        return None
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # If the key has a password, OpenSSL would ask for it on the terminal.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        reason = error.reason or "they are not a certificate and key in PEM"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return context
    files = cert if key is None else f"{cert} with {key}"
    raise ConfigurationError(f"cannot use TLS with {files}: {reason}")


def _announced(
    options: Options, service: LocalService, admin: Admin | None, *, quiet: bool
) -> list[str]:
    if options.json:
        return [_as_json(service, admin, quiet=quiet)]
    return _as_shell(service, admin, quiet=quiet)


def _as_json(service: LocalService, admin: Admin | None, *, quiet: bool) -> str:
    shown = {"url": service.url, "email": service.email}
    if not quiet:
        shown |= {"password": service.password, "agentry_token": service.agentry_token}
    shown["inbox_id"] = service.inbox_id
    if admin is not None:
        shown["admin_url"] = admin.url
        if not quiet:
            shown["admin_token"] = admin.token
    return output.as_json(shown)


def _as_shell(service: LocalService, admin: Admin | None, *, quiet: bool) -> list[str]:
    """Return shell commands; *quiet* leaves out those that hold a secret."""
    variables = {
        "AGENTITY_BASE_URL": service.url,
        "AGENTITY_EMAIL": service.email,
        "AGENTITY_PASSWORD": service.password,
        "AGENTRY_BASE_URL": service.url,
        "AGENTRY_API_KEY": service.agentry_token,
    }
    if admin is not None:
        variables |= {"AGENTKEYS_ADMIN_URL": admin.url, _ADMIN_TOKEN: admin.token}
    secret = [name for name in _SECRET if quiet and variables.pop(name, None) is not None]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    why = f"# {' and '.join(secret)} are not printed (--quiet)."
    return [
        f"# Agentity and Agentry are on {service.url} until Ctrl-C. For another shell:",
        *exports,
        *([why] if secret else []),
        f"# Agentry's inbox is {service.inbox_id}, its pod is {service.pod_id}.",
    ]
