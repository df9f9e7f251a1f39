"""Time, ids and randomness: passed in, so that the whole engine runs on a virtual clock with a seed."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall and monotonic time; a virtual one drives the simulation."""

    def now(self) -> datetime:
        """Aware UTC wall time. May jump; never used for a timeout."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back within this process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a duration, so a float is fine here and only here."""
        ...


class Ids(Protocol):
    """The only source of ids and randomness."""

    def new(self) -> str:
        """A UUIDv7."""
        ...

    def jitter(self) -> float:
        """Uniform in [0, 1): spreads retries, never decides anything about an order."""
        ...
