"""Letting old events go while the server serves, when the operator has said for how many days they are kept."""

from datetime import timedelta
from typing import Final

import structlog

from orderd.ports import Clock, Compaction, Journal, JournalBusyError

log = structlog.get_logger("orderd.retention")

INTERVAL_S: Final = 3600.0
"""Between two compactions. Seconds."""
PAUSE_S: Final = 0.05
"""Between two steps of one: the writer and the readers belong to those who trade. Seconds."""


class Retention:
    """One journal's compactions, one after the other."""

    def __init__(self, journal: Journal, clock: Clock, *, keep_days: int) -> None:
        """Keep the events of `keep_days` days, and those of every order that is not over by then."""
        self._journal = journal
        self._clock = clock
        self._keep = timedelta(days=keep_days)

    async def run(self) -> None:
        """Compact now and every hour."""
        while True:
            await self.once()
            await self._clock.sleep(INTERVAL_S)

    async def once(self) -> Compaction | None:
        """One compaction, in small steps; None when the journal was too busy to be read, and it is left for later."""
        try:
            compaction = await self._journal.begin_compaction(self._clock.now() - self._keep)
            while not compaction.is_done:
                compaction = await self._journal.compact(compaction)
                await self._clock.sleep(PAUSE_S)
        except JournalBusyError as error:
            log.warning("compaction_put_off", reason=str(error))
            return None
        if compaction.events or compaction.payloads:
            log.info(
                "compacted", floor=compaction.floor, events_deleted=compaction.events, payloads=compaction.payloads
            )
        return compaction
