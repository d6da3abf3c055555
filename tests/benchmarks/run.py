"""Print how fast agentkeys is, beside its targets.

usage: python tests/benchmarks/run.py [PART...]
"""

from __future__ import annotations

import argparse
import platform

import aiohttp
import behaviour
import calls
import deleting
import fleet
import issuing
import logging_in
import memory
import paging
import service
import startup

PARTS = {
    "calls": calls.run,
    "issuing": issuing.run,
    "deleting": deleting.run,
    "logging_in": logging_in.run,
    "paging": paging.run,
    "memory": memory.run,
    "fleet": fleet.run,
    "service": service.run,
    "startup": startup.run,
    "behaviour": behaviour.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them if none")
    chosen = parser.parse_args().parts or list(PARTS)
    print(f"CPython {platform.python_version()}, aiohttp {aiohttp.__version__}")
    for part in chosen:
        PARTS[part]()


if __name__ == "__main__":
    main()
