"""The register of assertions: one for each payload of the reference, by its file name."""

from collections.abc import Callable
from datetime import UTC, datetime

Check = Callable[[bytes], None]
CHECKS: dict[str, Check] = {}


def checks(*names: str) -> Callable[[Check], Check]:
    """Register an assertion for these samples."""

    def register(check: Check) -> Check:
        CHECKS.update(dict.fromkeys(names, check))
        return check

    return register


def at(*parts: int) -> datetime:
    """A UTC time of seven numbers."""
    year, month, day, hour, minute, second, micros = parts
    return datetime(year, month, day, hour, minute, second, micros, tzinfo=UTC)
