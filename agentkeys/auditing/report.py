"""Show the result of an audit: as data, a table, a page, a picture, or SARIF."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import attrs

from agentkeys.auditing import page, sarif
from agentkeys.auditing.findings import Finding
from agentkeys.auditing.policy import Policy  # noqa: F401  # who reads the hints of Report needs it
from agentkeys.auditing.results import Age, Results
from agentkeys.errors import ConfigurationError, InvalidArgumentError

__all__ = ["Report"]


@attrs.frozen
class Report(Results):
    """The result of an audit. It holds no secret, but it holds names of keys and stores.

    Attributes:
        findings: the findings, the worst first.
        ages: all listed keys, the oldest first.
        policy: the policy of the audit.
        at: the time of the audit; the time is aware.
        places: the places whose keys were audited, in words.
        unseen: what could not be checked, one sentence each: nothing is known about it.
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the report with JSON types: durations in seconds, times in ISO 8601 in UTC."""
        return attrs.asdict(self, value_serializer=_plain)

    def to_frame(self, part: Literal["findings", "ages"] = "findings") -> Any:
        """Return the findings, or the ages, as a DataFrame of pandas.

        Raises:
            ConfigurationError: pandas is not installed.
            InvalidArgumentError: *part* is not one of the two.
        """
        if part not in {"findings", "ages"}:
            raise InvalidArgumentError("part must be 'findings' or 'ages'")
        try:
            import pandas as pd  # type: ignore[import-untyped]  # it has no hints
        except ModuleNotFoundError:
            pd = None
        if pd is None:
            raise ConfigurationError("to_frame() needs pandas: pip install pandas")
        kind = Finding if part == "findings" else Age
        columns = [field.name for field in attrs.fields(kind)]
        records = getattr(self, part)
        rows = [[getattr(each, name) for name in columns] for each in records]
        return pd.DataFrame(rows, columns=columns)

    def sarif(self, root: str = "") -> dict[str, Any]:
        """Return the report as a SARIF 2.1.0 document for a CI; write it with `json.dumps`.

        Args:
            root: the folder of the sources, as an absolute path. Files in it are named relative to
                it.
        """
        return sarif.document(self, root)

    def html(self) -> str:
        """Return the report as a page: one file without scripts, which loads nothing."""
        return page.page(self)

    def _repr_html_(self) -> str:
        return page.in_notebook(self)

    def __str__(self) -> str:
        lines = [self.summary(), *map(str, self.findings)]
        lines += [f"{self.bar(each)}  {each.name}" for each in self.ages]
        return "\n".join([*lines, *self.unseen])


def _plain(_: object, __: object, value: Any) -> Any:
    if isinstance(value, datetime):
        utc = value.astimezone(UTC)
        return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
