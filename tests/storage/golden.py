"""Journals of every release, kept for good: `make golden NAME=0.1.0`, as a part of that release.

A golden journal is a seeded day of trading with everything in it (fills, busts, corrections, replaces, cancels, legs,
unknown outcomes, kills), left by the code of its time. Beside it stands what must be in it for ever, read without any
of our code. `test_golden.py` opens each of them with the code of today.
"""

import asyncio
import gzip
import hashlib
import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from orderd.core.records import RecordKind
from orderd.storage import open_journal
from orderd.system import SystemClock, SystemIds
from tests.faults.chaos import live
from tests.storage.desk_making import later, made
from tests.storage.making import accepted, acknowledged, fill, filled, new, order, submitted

FOLDER = Path(__file__).with_name("golden")
SEED = 2026
ORDERS = 40


def contents(path: Path) -> dict[str, Any]:
    """What of a journal never changes, whatever its tables look like."""
    with closing(sqlite3.connect(path)) as connection:

        def rows(question: str) -> list[tuple[Any, ...]]:
            return connection.execute(question).fetchall()

        is_with_desk = bool(rows("SELECT 1 FROM sqlite_master WHERE name = 'desk_records'"))
        ((journal_id, head),) = rows("SELECT journal_id, head_sequence FROM journal_meta")
        desk = "SELECT record_id, kind, account_id, client_key, version, sequence, body, state FROM desk_records"
        records = rows(f"{desk} ORDER BY record_id") if is_with_desk else []
        return {
            "records": _digest(records),
            "record_count": len(records),
            "journal_id": journal_id,
            "head": head,
            "events": _digest(rows("SELECT sequence, order_id, version, body FROM order_events ORDER BY sequence")),
            "orders": _digest(rows("SELECT order_id, account_id, client_order_id, body FROM orders ORDER BY order_id")),
            "order_count": rows("SELECT count(*) FROM orders")[0][0],
            "fills": _digest(
                rows("SELECT fill_id, order_id, status, quantity, price, body FROM fills ORDER BY fill_id")
            ),
            "fill_count": rows("SELECT count(*) FROM fills")[0][0],
            "links": _digest(rows("SELECT * FROM broker_links ORDER BY account_id, broker_order_id")),
            "marks": _digest(rows("SELECT name, value FROM marks ORDER BY name")),
            "raw": _digest(
                rows("SELECT account_id, broker_order_id, kind, body FROM raw_payloads ORDER BY payload_number")
            ),
        }


def _digest(rows: Iterable[tuple[Any, ...]]) -> str:
    total = hashlib.sha256()
    for row in rows:
        for cell in row:
            data = cell if isinstance(cell, bytes) else str(cell).encode()
            total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()


def unpack(name: str, to: Path) -> dict[str, Any]:
    """Write a golden journal to a file; what must be in it."""
    to.write_bytes(gzip.decompress((FOLDER / f"{name}.db.gz").read_bytes()))
    expected: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return expected


def pack(journal: Path, name: str) -> None:
    """Keep a journal that nobody has open. Refuses to change one that is kept already."""
    target = FOLDER / f"{name}.db.gz"
    if target.exists():
        raise SystemExit(f"{target} is kept already: it stands for what that release wrote")
    FOLDER.mkdir(exist_ok=True)
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("VACUUM")
    target.write_bytes(gzip.compress(journal.read_bytes(), mtime=0))
    text = json.dumps(contents(journal), indent=2)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


async def _leave_open(path: Path) -> None:
    """Orders in every state that a start has to go on from: a day ends with nothing open."""
    journal = await open_journal(f"sqlite+aiosqlite:///{path}", clock=SystemClock(), ids=SystemIds())
    for number, events in enumerate(
        [(), (submitted(),), (submitted(), acknowledged("open-2")), (submitted(), acknowledged("open-3"), accepted())]
    ):
        await journal.append([new(order(order_id=f"open-{number}"), *events)])
    part = (submitted(), acknowledged("open-4"), accepted(), filled(fill("open-f-1")))
    await journal.append([new(order(order_id="open-4"), *part)])
    for kind in (kind for kind in RecordKind if kind is not RecordKind.DISCREPANCY):
        first = made(kind, record_id=f"open-{kind}", client_key=f"open-{kind}")
        over = made(kind, record_id=f"over-{kind}", client_key=f"over-{kind}")
        await journal.record([first, over, later(over, status="CLOSED", is_open=False)], [(f"golden:{kind}", "1")])
    await journal.close()


def main(name: str) -> None:
    """Live a day with the code of today, and keep its journal."""
    with tempfile.TemporaryDirectory() as directory:
        live(SEED, Path(directory), orders=ORDERS)
        asyncio.run(_leave_open(Path(directory) / "orderd.db"))
        pack(Path(directory) / "orderd.db", name)


if __name__ == "__main__":
    main(sys.argv[1])
