"""How a fleet grows: plans, issues and rotations of many keys, one rate, and a worker that dies.

usage: python tests/benchmarks/fleet.py [PART...] [--keys N] [--sizes N...] ...

The service and each worker run in processes of their own, on loopback. PostgreSQL waits for its
disk at each commit.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from growth import applying, limiting, making, planning, recovering, service  # noqa: E402  # from where these lie

ROLES: Final = {
    "service": service.serve,
    "answers": service.answer,
    "planner": planning.plan,
    "apply": making.apply_plans,
    "worker": making.work,
    "worker_on": making.work_on,
    "idle": making.idle,
    "lister": limiting.lister,
}
PARTS: Final = ("plan", "apply", "rate", "recovery")
SIZES: Final = (1_000, 10_000, 100_000)


def run(
    parts: tuple[str, ...] = PARTS,
    *,
    sizes: tuple[int, ...] = SIZES,
    keys: int = 10_000,
    files: int = 10_000,
    rate: float = 200.0,
    seconds: float = 20.0,
    leases: tuple[int, ...] = (5, 30),
) -> None:
    """Print what was measured, part by part."""
    print(f"\nfleet: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning")
    if "plan" in parts:
        planning.run(sizes)
    if "apply" in parts:
        applying.run(keys, files)
    if "rate" in parts:
        limiting.run(rate, seconds)
    if "recovery" in parts:
        recovering.run(min(keys, 1_000), leases)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them if none")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of the plans")
    parser.add_argument("--keys", type=int, default=10_000, help="issued and rotated")
    parser.add_argument("--files", type=int, default=10_000, help="the same, journal in files")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second, of all")
    parser.add_argument("--seconds", type=float, default=20.0, help="for which the rate is held")
    parser.add_argument("--leases", type=int, nargs="+", default=[5, 30], help="when one is killed")
    given = parser.parse_args()
    run(
        tuple(given.parts) or PARTS,
        sizes=tuple(given.sizes),
        keys=given.keys,
        files=given.files,
        rate=given.rate,
        seconds=given.seconds,
        leases=tuple(given.leases),
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        asyncio.run(ROLES[sys.argv[2]](*sys.argv[3:]))
    else:
        main()
