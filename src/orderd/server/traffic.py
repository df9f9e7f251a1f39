"""What is under way in the server right now: calls, streams, and whether it still takes new ones."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from orderd.engine.errors import EngineError, Kind
from orderd.server.errors import draining

MAX_STREAMS: Final = 2_000
STREAM_RETRY_S: Final = 5.0
"""Seconds after which a refused subscriber may find a place."""


class Traffic:
    """Counts calls, bounds streams, and ends them when the server leaves."""

    def __init__(self, *, max_streams: int = MAX_STREAMS) -> None:
        """Start open for everything, with room for `max_streams` streams."""
        self.calls = 0
        self.is_draining = False
        self._max_streams = max_streams
        self._streams: dict[asyncio.Timeout, None] = {}

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def check_open(self) -> None:
        """Raise UNAVAILABLE when nothing new may begin any more."""
        if self.is_draining:
            raise draining()

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[None, None]:
        """A place for one stream. Raises RESOURCE_EXHAUSTED without one, UNAVAILABLE when `end_streams` is called."""
        self.check_open()
        if len(self._streams) >= self._max_streams:
            raise EngineError(
                Kind.EXHAUSTED,
                "TOO_MANY_STREAMS",
                f"{self._max_streams} streams are open, which is the limit",
                retry_after_s=STREAM_RETRY_S,
            )
        # A timeout that nobody set is a stream's off switch: rescheduled to now, it ends whatever the stream awaits.
        switch = asyncio.timeout(None)
        try:
            async with switch:
                self._streams[switch] = None
                yield
        except Exception:
            if switch.when() is not None:
                # However what it awaited took being interrupted: it ended because the server leaves.
                raise draining() from None
            raise
        finally:
            self._streams.pop(switch, None)

    def end_streams(self) -> None:
        """End every stream with UNAVAILABLE, and take no new ones."""
        self.is_draining = True
        now = asyncio.get_running_loop().time()
        for switch in self._streams:
            switch.reschedule(now)
        self._streams.clear()
