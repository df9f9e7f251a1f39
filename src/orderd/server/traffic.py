"""What is under way in the server right now: calls, streams, and whether it still takes new ones."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from orderd.engine.errors import EngineError, Kind
from orderd.server.bounds import Bounds
from orderd.server.errors import draining

STREAM_RETRY_S: Final = 5.0
"""Seconds after which a refused subscriber may find a place."""
CALL_RETRY_S: Final = 0.5
"""Seconds after which a refused call may find a place."""


class Traffic:
    """Bounds calls and streams, and ends the streams when the server leaves."""

    def __init__(self, bounds: Bounds) -> None:
        """Start open for everything."""
        self.calls = 0
        """How many single calls are being answered, this one included."""
        self.is_draining = False
        self._bounds = bounds
        self._streams: dict[asyncio.Timeout, None] = {}
        self._streams_of: Counter[str] = Counter()

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def check_open(self) -> None:
        """Raise UNAVAILABLE when nothing new may begin any more."""
        if self.is_draining:
            raise draining()

    def check_room(self) -> None:
        """Raise RESOURCE_EXHAUSTED when more calls are under way than there may be."""
        if self.calls > self._bounds.max_calls:
            raise EngineError(
                Kind.EXHAUSTED,
                "TOO_MANY_CALLS",
                f"{self._bounds.max_calls} calls are being answered, which is the limit",
                retry_after_s=CALL_RETRY_S,
            )

    @asynccontextmanager
    async def stream(self, peer: str) -> AsyncGenerator[None, None]:
        """A place for one stream of the connection `peer`.

        Raises RESOURCE_EXHAUSTED without one, UNAVAILABLE when `end_streams` is called.
        """
        self.check_open()
        if len(self._streams) >= self._bounds.max_streams:
            raise _too_many(f"{self._bounds.max_streams} streams are open, which is the limit")
        most = self._bounds.streams_of_one
        if self._streams_of[peer] >= most:
            raise _too_many(f"{most} streams of this connection are open, which is the limit of one connection")
        # A timeout that nobody set is a stream's off switch: rescheduled to now, it ends whatever the stream awaits.
        switch = asyncio.timeout(None)
        try:
            async with switch:
                self._streams[switch] = None
                self._streams_of[peer] += 1
                yield
        except Exception:
            if switch.when() is not None:
                # However what it awaited took being interrupted: it ended because the server leaves.
                raise draining() from None
            raise
        finally:
            self._streams.pop(switch, None)
            self._leave(peer)

    def _leave(self, peer: str) -> None:
        self._streams_of[peer] -= 1
        if not self._streams_of[peer]:
            del self._streams_of[peer]

    def end_streams(self) -> None:
        """End every stream with UNAVAILABLE, and take no new ones."""
        self.is_draining = True
        now = asyncio.get_running_loop().time()
        for switch in self._streams:
            switch.reschedule(now)
        self._streams.clear()


def _too_many(message: str) -> EngineError:
    return EngineError(Kind.EXHAUSTED, "TOO_MANY_STREAMS", message, retry_after_s=STREAM_RETRY_S)
