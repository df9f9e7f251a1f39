"""How much the gRPC door takes at once. Every number is a setting; docs/security.md has the table."""

from typing import Final

from orderd.core.values import Value

MIB: Final = 1024 * 1024
RESERVE: Final = 1_000
"""Calls taken above `max_calls` and `max_streams`: cancels, health and reflection find room when all else is full."""


class Bounds(Value, frozen=True, kw_only=True):
    """What is refused above. Sizes in bytes, everything else in pieces."""

    max_streams: int = 2_000
    max_streams_per_connection: int = 0
    """0: half of `max_streams`, so that one client cannot take all of them."""
    max_calls: int = 4_000
    """Single calls being answered at the same time."""
    max_request_bytes: int = MIB
    max_answer_bytes: int = 4 * MIB
    max_metadata_bytes: int = 16 * 1024

    @property
    def streams_of_one(self) -> int:
        """How many streams one connection may have open."""
        return self.max_streams_per_connection or max(self.max_streams // 2, 1)

    @property
    def everything(self) -> int:
        """How many calls and streams of any kind there may be, before gRPC itself refuses."""
        return self.max_streams + self.max_calls + RESERVE
