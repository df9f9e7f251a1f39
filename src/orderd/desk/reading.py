"""The feed for those who only look for what they have not seen: what is let go meanwhile is passed over."""

import asyncio
from collections.abc import Sequence

from orderd.engine.api import Feed
from orderd.ports import CompactedError, Entry, JournalBusyError

BUSY_S = 0.5


async def kept_after(feed: Feed, after: int, limit: int) -> Sequence[Entry]:
    """The next events that are still kept; empty when there are none yet. A busy journal is asked again."""
    while True:
        try:
            return await feed.read(max(after, feed.oldest), limit)
        except CompactedError:
            continue  # let go between the question and the answer; `oldest` has moved on
        except JournalBusyError:
            await asyncio.sleep(BUSY_S)
