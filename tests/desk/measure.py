"""The figures of docs/performance.md on completed trades: `python -m tests.desk.measure [FILLS]`, by default 100,000.

A journal of so many fills is made in the temporary directory (orders of one to three fills, 3 strategies in 10 symbols,
each fill an event of a commit of its own). Then everything is folded, one old fill of the longest ledger is taken back,
and the performance of the account is worked out.
"""

import asyncio
import random
import resource
import sys
import tempfile
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from oms.v1 import trade_service_pb2 as pb
from orderd.core.events import FillBusted
from orderd.core.order import EventSource, Fill, FillStatus, Order, OrderState, Side
from orderd.core.performance import performance
from orderd.core.records import RecordKind
from orderd.core.values import BrokerOrderId, ExecutionId, FillId
from orderd.desk.completed import CompletedTrades
from orderd.ports import Append, Journal, RecordFilter
from orderd.server.results import PAGE, result_of
from orderd.storage import open_journal
from orderd.system import SystemClock, SystemIds
from tests.desk.fills import STREAM, Tail
from tests.storage.making import START, filled, new, order, submitted, then

_AT_ONCE = 30
"""One order of each ledger: fills of one ledger are told in the order of time."""


def _order(rng: random.Random, number: int) -> tuple[list[Append], Order]:
    """One order, filled in one to three parts, every other one of its ledger on the other side."""
    ledger = number % 30
    side = Side.BUY if number // 30 % 2 == 0 else Side.SELL
    first = order(symbol=f"S{ledger % 10}", strategy=f"s{ledger // 10}", side=side, trace_id=f"t{number}")
    appends = [new(first, submitted())]
    after = appends[0].order
    parts = rng.randrange(1, 4)
    for part in range(parts):
        at = START + timedelta(seconds=number, milliseconds=part)
        booked = Fill(
            fill_id=FillId(f"{first.order_id}-f{part + 1}"),
            broker_order_id=BrokerOrderId(f"b-{first.order_id}"),
            cum_after=Decimal(part + 1),
            quantity=Decimal(rng.randrange(1, 9)),
            price=Decimal(rng.randrange(9_000, 11_000)) / 100,
            status=FillStatus.LIVE,
            source=STREAM,
            occurred_time=at,
            recorded_time=at,
            aliases=(ExecutionId(f"x-{number}-{part}"),),
            fee=Decimal("0.05"),
        )
        appends.append(then(after, filled(booked, OrderState.FILLED)))
        after = appends[-1].order
    return appends, after


async def _filled(journal: Journal, count: int) -> list[Order]:
    rng = random.Random(1)
    orders: list[Order] = []
    fills = number = 0
    while fills < count:
        groups = [_order(rng, number + n) for n in range(_AT_ONCE)]
        number += _AT_ONCE
        for step in range(4):
            await asyncio.gather(*(journal.append([group[0][step]]) for group in groups if step < len(group[0])))
        orders += [group[1] for group in groups]
        fills += sum(len(group[0]) - 1 for group in groups)
    return orders


def _rss_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measure(count: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{Path(folder) / 'orderd.db'}"
        journal = await open_journal(url, clock=SystemClock(), ids=SystemIds())
        orders = await _filled(journal, count)
        fold = CompletedTrades(journal, Tail(journal))
        events, before = journal.head, _rss_mib()
        wall, cpu = time.perf_counter(), time.process_time()
        await fold.catch_up()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{count} fills among {events} events folded in {wall:.1f} s, {cpu / count * 1e6:.0f} us of CPU a fill")
        print(f"  {journal.head - events} versions of completed trades, {_rss_mib() - before:.0f} MiB more at the peak")
        old = orders[0]
        bust = FillBusted(
            at=START, source=EventSource.BROKER_STREAM, removed=(old.fills[0].fill_id,), to_state=old.state
        )
        await journal.append([then(old, bust)])
        head, wall = journal.head, time.perf_counter()
        await fold.catch_up()
        print(f"an old fill taken back: {time.perf_counter() - wall:.2f} s, {journal.head - head} slices restated")
        wall = time.perf_counter()
        results = []
        after_key: tuple[int | str, ...] | None = None
        where = RecordFilter(kind=RecordKind.COMPLETED_TRADE, account_ids=("paper",))
        while True:
            page = await journal.list_records(where, after_key=after_key, limit=PAGE)
            results += [r for row in page.rows if (r := result_of(pb.CompletedTrade.FromString(row.data)))]
            if not page.has_more:
                break
            after_key = page.rows[-1].key
        read = time.perf_counter() - wall
        wall = time.perf_counter()
        worked = performance(results)
        print(
            f"performance of {worked.summary.count}: read {read:.2f} s, worked out {time.perf_counter() - wall:.2f} s"
        )
        await journal.close()


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
