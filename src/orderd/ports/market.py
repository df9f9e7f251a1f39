"""The exchange's hours, and what things trade at."""

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from orderd.core.values import Value


class Session(Value, frozen=True, kw_only=True):
    """One regular session of the exchange, [opened, closed) in UTC. A holiday has none, an early close a short one."""

    opened: datetime
    closed: datetime


class Calendar(Protocol):
    """The regular sessions of the exchange. All times are aware UTC; `ready` comes before the other questions."""

    async def ready(self) -> None:
        """Load what the answers need, once, off the loop."""
        ...

    def session(self, moment: datetime) -> Session | None:
        """The regular session this moment is in, None between two."""
        ...

    def is_regular(self, moment: datetime) -> bool:
        """Whether the exchange is in its regular session."""
        ...

    def day_of(self, moment: datetime) -> datetime:
        """The last regular open at or before: it names the day [regular open, next regular open)."""
        ...

    def next_open(self, after: datetime) -> datetime:
        """The first regular open later than this."""
        ...

    def next_close(self, after: datetime) -> datetime:
        """The first regular close later than this."""
        ...


class Quotes(Protocol):
    """What is known of prices, in the quote currency per unit."""

    def last(self, symbol: str) -> Decimal | None:
        """What the symbol traded at lately, None when nobody has told. Synchronous: it asks nobody."""
        ...
