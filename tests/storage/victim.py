"""The process that the kill tests kill, and the ones they start beside it: `python -m tests.storage.victim JOB FILE`.

`write`: forks a child for every line it reads; each child opens the journal and submits, changes and fills orders, and
keeps records, from many tasks until it is killed, saying on standard output what was acknowledged. `hold`: opens it and
waits.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import structlog

from orderd.core.order import OrderState
from orderd.core.turnstiles import Recorded
from orderd.core.values import AccountId
from orderd.ports import Journal, RecordChange
from orderd.storage import OpenError, open_journal
from orderd.system import SystemClock, SystemIds
from tests.storage.desk_making import later, made
from tests.storage.making import acknowledged, canceled, fill, filled, order, submitted, then
from tests.storage.making import new as create

WRITERS = 16


def _say(recorded: Recorded) -> None:
    """One whole line in one write: a line that is there was acknowledged."""
    one = recorded.order
    os.write(1, f"{one.sequence} {one.order_id} {one.version}\n".encode())


async def _live(journal: Journal, ids: SystemIds) -> None:
    while True:
        first = order(order_id=ids.new(), client_order_id=ids.new(), account_id=AccountId("paper"))
        (a,) = await journal.append([create(first, submitted())])
        _say(a)
        (b,) = await journal.append([then(a.order, acknowledged(ids.new()), filled(fill(ids.new())))])
        _say(b)
        await journal.set_mark("last", b.order.order_id)
        (c,) = await journal.append([then(b.order, filled(fill(ids.new(), "6"), OrderState.FILLED))])
        _say(c)
        (d,) = await journal.append([create(order(order_id=ids.new(), client_order_id=ids.new()), canceled())])
        _say(d)
        trade = made(record_id=ids.new(), client_key=ids.new(), status="PENDING")
        await _record(journal, trade)
        await _record(journal, later(trade), later(later(trade), status="CLOSED", is_open=False))


async def _record(journal: Journal, *changes: RecordChange) -> None:
    """With the mark of where the desk is, which must never be anywhere else than its record."""
    last = changes[-1].record
    marks = [(f"desk:{last.record_id}", str(last.version))]
    sequences = await journal.record(changes, marks)
    for sequence, change in zip(sequences, changes, strict=True):
        os.write(1, f"{sequence} {last.record_id} {change.record.version}\n".encode())


async def _write(path: Path) -> None:
    ids = SystemIds()
    journal = await open_journal(f"sqlite+aiosqlite:///{path}", clock=SystemClock(), ids=ids)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(WRITERS):
            tasks.create_task(_live(journal, ids))


async def _hold(path: Path) -> None:
    try:
        journal = await open_journal(f"sqlite+aiosqlite:///{path}", clock=SystemClock(), ids=SystemIds())
    except OpenError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        raise SystemExit(1) from error
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await journal.close()


def _rounds(path: Path) -> None:
    """Each line asked for: `milliseconds to live`, 0: until the next line. Answer `killed` once the child is gone."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(_write(path))
            os._exit(1)
        if int(line):
            time.sleep(int(line) / 1000)
        else:
            sys.stdin.readline()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.write(1, b"killed\n")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if sys.argv[1] == "write":
        _rounds(Path(sys.argv[2]))
    else:
        asyncio.run(_hold(Path(sys.argv[2])))
