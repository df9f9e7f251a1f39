"""What was measured: rows of a ratio against its limit, as a table for people and JSON for programs."""

import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing beside its limit. `ratios` has one entry a round; `wanted` says what is to be reached, in words."""

    name: str
    unit: str
    ours: Sequence[float]
    limit: Sequence[float]
    limit_name: str
    wanted: str

    @classmethod
    def alone(cls, name: str, unit: str, figure: float, *, wanted: str) -> Self:
        """A figure that is held against no other."""
        return cls(name=name, unit=unit, ours=[figure], limit=[], limit_name="", wanted=wanted)

    @property
    def ratios(self) -> list[float]:
        """Ours by the limit, round by round: a machine whose speed drifts does it to both."""
        if not self.limit:
            return []
        return [ours / limit for ours, limit in zip(self.ours, self.limit, strict=True) if limit]

    def line(self) -> str:
        """The row of the table."""
        ratios = self.ratios
        span = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else "-"
        ours, limit = statistics.median(self.ours), statistics.median(self.limit) if self.limit else 0.0
        shown_limit = f"{limit:,.4g} {self.limit_name}" if self.limit else self.limit_name
        return f"{self.name:<52} {ours:>12,.4g} {self.unit:<11} {shown_limit:<32} {span:<20} {self.wanted}"


def head(on: Sequence[str]) -> str:
    """What the figures were taken with."""
    cpus = os.cpu_count()
    what = f"Python {platform.python_version()}, {cpus} processors; on: {', '.join(on)}"
    return f"{what}\n{'':<52} {'median':>12} {'':<11} {'beside its limit':<32} {'ratio (min-max)':<20} goal"


def write(rows: Sequence[Row], on: Sequence[str], path: Path | None) -> None:
    """Print the table; write the JSON when a path is given."""
    sys.stdout.write(head(on) + "\n" + "".join(row.line() + "\n" for row in rows))
    if path is None:
        return
    result: Mapping[str, object] = {
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "on": list(on),
        "rows": [asdict(row) | {"ratios": row.ratios} for row in rows],
    }
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"written to {path}\n")
