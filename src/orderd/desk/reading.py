"""The feed for those who follow all of it, and act on little: what is let go meanwhile is passed over, and what comes
close together is heard together.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Final

from orderd.engine.api import Feed
from orderd.ports import CompactedError, Entry, JournalBusyError

BUSY_S: Final = 0.5
REST_S: Final = 0.02
"""Between two wakings of one follower, at least. Seconds. Under load the circuit breaker hears of a loss twice this
later: by way of the completed trades.
"""


class Paced:
    """A feed of one follower: the first event after a pause is heard at once, the ones close behind it together.

    Each order makes two commits or more, and a handful of followers have nothing to do for most of them: woken for each
    they took a quarter of the processor time of an order.
    """

    def __init__(self, feed: Feed) -> None:
        """Nothing was heard yet."""
        self._feed = feed
        self._heard_at = -math.inf

    @property
    def head(self) -> int:
        """See `Feed.head`."""
        return self._feed.head

    @property
    def oldest(self) -> int:
        """See `Feed.oldest`."""
        return self._feed.oldest

    async def read(self, after: int, limit: int) -> Sequence[Entry]:
        """See `Feed.read`."""
        return await self._feed.read(after, limit)

    async def changed(self, after: int, timeout_s: float) -> bool:
        """See `Feed.changed`; not sooner than `REST_S` after the last time it was so."""
        loop = asyncio.get_running_loop()
        rest_s = self._heard_at + REST_S - loop.time()
        if rest_s > 0:
            await asyncio.sleep(rest_s)
        is_changed = await self._feed.changed(after, timeout_s)
        if is_changed:
            self._heard_at = loop.time()
        return is_changed


class Unattended:
    """Which events were heard of each trade and are not acted on yet.

    A start reads the feed again from before the first of them: acting may take long (the account is not compared yet,
    the broker does not answer), and the process may die meanwhile.
    """

    def __init__(self) -> None:
        """Nothing was heard."""
        self._heard: dict[str, list[int]] = {}
        """The sequences by trade, ascending."""

    def hear(self, trade_id: str, sequence: int) -> None:
        """This event is to be acted on."""
        self._heard.setdefault(trade_id, []).append(sequence)

    def count(self, trade_id: str) -> int:
        """How many there are of a trade: what looks after it from now on acts on so many."""
        return len(self._heard.get(trade_id, ()))

    def attended(self, trade_id: str, count: int) -> None:
        """The first so many of a trade are acted on."""
        left = self._heard.pop(trade_id, [])[count:]
        if left:
            self._heard[trade_id] = left

    def done(self, position: int) -> int:
        """Everything at or below it is acted on, when everything up to `position` was heard."""
        return min((heard[0] - 1 for heard in self._heard.values()), default=position)


async def kept_after(feed: Feed, after: int, limit: int) -> Sequence[Entry]:
    """The next events that are still kept; empty when there are none yet. A busy journal is asked again."""
    while True:
        try:
            return await feed.read(max(after, feed.oldest), limit)
        except CompactedError:
            continue  # let go between the question and the answer; `oldest` has moved on
        except JournalBusyError:
            await asyncio.sleep(BUSY_S)
