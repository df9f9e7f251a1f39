"""The figures of docs/storage.md: `python -m tests.storage.measure [ORDERS ...]`, by default 1000 and 100000.

For each number of orders: what an append costs (CPU of the whole process, 64 callers and one), and what SQLite needs
for a point read and for the first page of each list. A million orders take some minutes and 2.5 GB in the temporary
directory; they are removed at the end.
"""

import asyncio
import gc
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from orderd.core.order import OrderState
from orderd.core.values import AccountId, ClientOrderId, OrderId
from orderd.ports import Append, OrderFilter, RecordChange
from orderd.storage import open_journal, queries, statements
from orderd.storage.connect import open_reader
from orderd.system import SystemClock, SystemIds
from tests.storage.desk_making import later, made
from tests.storage.making import START, acknowledged, canceled, fill, filled, new, order, submitted

CALLERS = 64
MEASURED = 6_400
ACCOUNTS = ("a", "b")
_ids = SystemIds()


def _order(chance: random.Random, number: int, *, is_random: bool, is_over: bool) -> Append:
    """One order with everything a bot says; its ids in the order of time, or anywhere."""
    name: Callable[[], str] = (lambda: chance.randbytes(12).hex()) if is_random else _ids.new
    first = order(
        order_id=OrderId(_ids.new()),
        account_id=AccountId(chance.choice(ACCOUNTS)),
        client_order_id=ClientOrderId(name()),
        trace_id=name(),
        decision_id=name(),
        symbol=f"S{chance.randrange(15)}",
        strategy=chance.choice(["momentum", "reversion", "spread", "carry"]),
        created_time=START + timedelta(seconds=number),
    )
    if not is_over:
        return new(first, submitted())
    end = canceled() if chance.random() < 0.3 else filled(fill(_ids.new(), "10"), OrderState.FILLED)
    return new(first, submitted(), acknowledged(name()), end)


def _microseconds(runs: Sequence[float]) -> float:
    return round(statistics.median(runs) * 1e6, 1)


async def _appends(url: str, callers: int, count: int, *, is_random: bool) -> str:
    chance = random.Random(count)
    work = [_order(chance, n, is_random=is_random, is_over=False) for n in range(count)]
    journal = await open_journal(url, clock=SystemClock(), ids=_ids)

    async def caller(mine: Sequence[Append]) -> None:
        for append in mine:
            await journal.append([append])

    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*[caller(work[number::callers]) for number in range(callers)])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await journal.close()
    ids = "random ids " if is_random else "ordered ids"
    return (
        f"append, {callers:2} at a time, {ids}: {cpu / count * 1e6:6.1f} us of CPU, {wall / count * 1e6:6.1f} us each"
    )


async def _records(url: str, callers: int, count: int) -> str:
    """Trades of three versions each, with everything that a trade carries, and the mark that goes with them."""
    journal = await open_journal(url, clock=SystemClock(), ids=_ids)
    work = [
        made(record_id=_ids.new(), client_key=_ids.new(), strategy="s", trace_id=_ids.new(), decision_id=_ids.new())
        for _ in range(count // 3)
    ]

    async def caller(mine: Sequence[RecordChange]) -> None:
        for first in mine:
            second = later(first)
            for change in (first, second, later(second, is_open=False)):
                await journal.record([change], [("desk", str(change.record.version))])

    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*[caller(work[number::callers]) for number in range(callers)])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await journal.close()
    return f"record, {callers:2} at a time: {cpu / count * 1e6:6.1f} us of CPU, {wall / count * 1e6:6.1f} us each"


async def _seed(url: str, count: int) -> None:
    chance = random.Random(1)
    journal = await open_journal(url, clock=SystemClock(), ids=_ids)
    for start in range(0, count, 1_000):
        ends = range(start, min(start + 1_000, count))
        await journal.append([_order(chance, n, is_random=True, is_over=n < count - 300) for n in ends])
    await journal.close()


def _lists(path: Path) -> Iterator[str]:
    connection = open_reader(path)
    some = connection.execute("SELECT order_id, account_id, client_order_id, trace_id, decision_id, symbol FROM orders")
    rows = random.Random(2).sample(some.fetchall(), 300)
    points: dict[str, tuple[str, Callable[[Any], tuple[Any, ...]]]] = {
        "order by id": (statements.ORDER_DATA, lambda row: (row[0],)),
        "load": (statements.LOAD, lambda row: (row[0],)),
        "find key": (statements.FIND_KEY, lambda row: (row[1], row[2])),
    }
    asked: dict[str, Callable[[Any], OrderFilter]] = {
        "everything": lambda _: OrderFilter(),
        "an account": lambda _: OrderFilter(account_ids=("a",)),
        "open only": lambda _: OrderFilter(open_only=True),
        "status FILLED": lambda _: OrderFilter(account_ids=("a",), states=(OrderState.FILLED,)),
        "status CANCELED": lambda _: OrderFilter(states=(OrderState.CANCELED,)),
        "a symbol": lambda row: OrderFilter(symbols=(row[5],)),
        "a strategy": lambda _: OrderFilter(strategies=("spread",)),
        "a trace": lambda row: OrderFilter(trace_ids=(row[3],)),
        "a decision": lambda row: OrderFilter(decision_ids=(row[4],)),
    }
    for name, (text, cells) in points.items():
        yield f"{name:16} {_timed(connection, [(text, cells(row)) for row in rows])}"
    for name, where in asked.items():
        pages = [queries.orders_page(where(row), ACCOUNTS, None, 51) for row in rows]
        yield f"{name:16} {_timed(connection, [(query.text, query.cells(values)) for query, values in pages])}"
    connection.close()


def _timed(connection: Any, asked: Sequence[tuple[str, tuple[Any, ...]]]) -> str:  # noqa: ANN401
    runs: list[float] = []
    count = 0
    for text, cells in asked:
        started = time.perf_counter()
        count = len(connection.execute(text, cells).fetchall())
        runs.append(time.perf_counter() - started)
    return f"{_microseconds(runs):7} us for {count} rows"


def main(sizes: Sequence[int]) -> None:
    """Print the figures for each number of orders."""
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "orderd.db"
            url = f"sqlite+aiosqlite:///{path}"
            asyncio.run(_seed(url, size))
            print(f"{size} orders, {path.stat().st_size / size:.0f} bytes each")
            for line in _lists(path):
                print(f"  {line}", flush=True)
            gc.collect()
            gc.freeze()
            for is_random in (False, True):
                print(f"  {asyncio.run(_appends(url, CALLERS, MEASURED, is_random=is_random))}", flush=True)
            print(f"  {asyncio.run(_appends(url, 1, MEASURED // 10, is_random=False))}", flush=True)
            print(f"  {asyncio.run(_records(url, CALLERS, MEASURED))}", flush=True)


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [1_000, 100_000])
