"""Say what `pip-audit --format=json`, on standard input, found in the set of packages of this name.

Exits 1 if an advisory is published for one of them. An index that knows no advisories is no proof
that there are none: pip-audit then "skips" every package, or prints no JSON, and exits as if all
were well, or as if all were not. Then this says that it did not run.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main(name: str, answer: str) -> int:
    """Print the verdict on the set called *name*, and return the exit status."""
    try:
        packages = json.loads(answer)["dependencies"]
    except ValueError:
        packages = []
    asked = [each for each in packages if "skip_reason" not in each]
    advisories = [line for each in asked for line in advisories_of(each)]
    if advisories:
        print(f"the {name} set has published advisories:", *advisories, sep="\n  ")
        return 1
    if not asked:
        print(f"pip-audit on the {name} set: the index has no answer, did not run")
        return 0
    print(f"pip-audit on the {name} set: {len(asked)} packages, no advisory")
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if skipped:
        print(f"  not known to the index: {', '.join(skipped)}")
    return 0


def advisories_of(package: dict[str, Any]) -> list[str]:
    """Return a line for each advisory of a package, as pip-audit describes it."""
    return [
        f"{package['name']} {package['version']}: {each['id']}"
        f" ({', '.join(each['aliases'])}), fixed in {', '.join(each['fix_versions']) or 'none yet'}"
        for each in package["vulns"]
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.stdin.read()))
