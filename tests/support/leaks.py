"""What anybody would see of an error."""

from __future__ import annotations

from places import PLACES, Specimen, reachable, without_tests


def shown(error: BaseException) -> str:
    """Return all of it: what every place shows that is quickly looked at."""
    specimen = Specimen(without_tests(error))
    assert error.__traceback__, "no frame of ours was looked at"
    # In a loop that a test runs in, the garbage collector reaches the test and what it holds.
    return "".join(look(specimen) for look in PLACES.values() if look is not reachable)
