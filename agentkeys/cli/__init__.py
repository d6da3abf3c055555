"""The command line: thin commands around the client.

Each service has one file of commands, which holds everything that is specific to it. Importing this
package imports click and nothing else that is slow; a command imports what it needs when it runs.
"""

from __future__ import annotations

from typing import Final

import click

from agentkeys import __version__
from agentkeys.cli.accounts import auth, profile, whoami
from agentkeys.cli.fleet import apply, plan, worker
from agentkeys.cli.fleet import progress as fleet
from agentkeys.cli.ground.ending import CommandLine
from agentkeys.cli.ground.options import keep, no_cache_option, profile_option
from agentkeys.cli.journal import audit, status, sweep
from agentkeys.cli.journal import moving as journal
from agentkeys.cli.keys import agentity, agentry
from agentkeys.cli.serving import clock, faults, serve

__all__ = ["commands"]

# A new file of commands is registered here.
_MODULES: Final = (
    agentity,
    agentry,
    status,
    audit,
    sweep,
    plan,
    apply,
    worker,
    fleet,
    journal,
    profile,
    whoami,
    auth,
    serve,
    faults,
    clock,
)


@click.group(
    "agentkeys",
    cls=CommandLine,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""Credentials come from the environment: AGENTITY_EMAIL and AGENTITY_PASSWORD, or
    AGENTITY_ACCESS_TOKEN; AGENTRY_API_KEY. To read a secret from a store, add _FROM to the name of
    its variable, as in AGENTRY_API_KEY_FROM=keyring:agentry#ops; from a file, add _FILE, as in
    AGENTRY_API_KEY_FILE=/run/secrets/agentry. Or name them in a profile: agentkeys profile add.
    Exit codes: 0 done, 1 another failure, 2 wrong
    usage or configuration, 3 under way, 4 needs a person, 5 findings, 6 authentication or
    permission, 7 not found, 8 conflict, 9 rate limited, 10 network or service down, 11 may have
    been done, 129 hung up, 130 interrupted, 143 terminated.""",
)
@click.option(
    "--local",
    is_flag=True,
    expose_value=False,
    callback=keep,
    help="Use Agentity and Agentry on this machine, without an account or a server; their"
    " data is in your data directory, or in AGENTKEYS_HOME.",
)
@profile_option
@no_cache_option
@click.version_option(__version__, message="agentkeys %(version)s")
def commands() -> None:
    """Create, store, rotate, list and delete the API keys of AI agents."""


for _module in _MODULES:
    commands.add_command(_module.commands)
