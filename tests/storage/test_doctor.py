"""`orderd doctor` on a journal: fine is fine, whatever was damaged is found, and nothing is changed by looking."""

# ruff: noqa: ASYNC240 - nothing else runs on these loops

import hashlib
import sqlite3
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from orderd.core.events import FillBusted, FillCorrected, OutcomeUnknown
from orderd.core.order import EventSource, OrderState
from orderd.ports import Append
from orderd.storage import SqliteJournal, doctor, migrate
from orderd.storage.doctor import Check, Verdict, examine
from tests.contracts.test_discrepancies_contract import closed, difference
from tests.reach import Reached
from tests.storage.conftest import Opening
from tests.storage.desk_making import later, made
from tests.storage.making import START, acknowledged, fill, filled, order, submitted, submitted_order, then
from tests.storage.making import new as create


async def lived(opening: Opening) -> SqliteJournal:
    """A journal with orders in several states, two fills, and broker ids; still open."""
    journal = await opening()
    (one,) = await journal.append([create(order(order_id="o-1"), submitted())])
    (one,) = await journal.append([then(one.order, acknowledged("b-1"))])
    (one,) = await journal.append([then(one.order, filled(fill("f-1", "4")))])
    await journal.append([then(one.order, filled(fill("f-2", "6", "187.23"), OrderState.FILLED))])
    await journal.append([submitted_order(order_id="o-2"), create(order(order_id="o-3"))])
    return journal


async def with_desk(opening: Opening) -> SqliteJournal:
    """The same, and behind it a record of two versions, another of one, and two discrepancies, one of them closed."""
    journal = await lived(opening)
    first = made(record_id="r-1")
    await journal.record([first, made(record_id="r-2")])
    await journal.record([later(first, status="CLOSED", is_open=False)])
    open_one, over = difference("x-1"), difference("x-2", subject="o-2")
    await journal.append([Append(steps=(), discrepancies=(open_one, over))])
    await journal.append([Append(steps=(), discrepancies=(closed(over),))])
    return journal


def _checks(path: Path) -> dict[str, Check]:
    return {check.name: check for check in examine(path, min_free_bytes=0)}


def _change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _files(path: Path) -> dict[str, str]:
    """What is in the journal's files; the shared memory is SQLite's own."""
    names = (path.name, path.name + "-wal")
    files = [path.with_name(name) for name in names if path.with_name(name).exists()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


async def test_a_sound_journal_passes_with_a_server_and_without_and_is_not_touched(
    opening: Opening, database: Path
) -> None:
    journal = await lived(opening)
    asked = [sys.executable, "-m", "orderd", "doctor", "--database", str(database), "-o", "json"]
    held = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: ASYNC221 - another process
    assert held.returncode == 0, held.stderr
    rows = {row["check"]: row for row in msgspec.json.decode(held.stdout)}
    assert "open in process" in rows["lock"]["detail"]
    assert rows["orders"]["detail"] == "3 orders and 2 fills are what their events say"
    assert rows["chain"]["detail"] == "8 events up to 8 are what was committed"
    await journal.append([submitted_order()])  # it goes on
    await journal.close()
    before = _files(database)
    found = _checks(database)
    assert {check.verdict for check in found.values()} == {Verdict.OK}
    assert found["lock"].detail == "no server has it open"
    assert {name: digest for name, digest in _files(database).items() if name == database.name} == before


DAMAGE = {
    "an event": ("UPDATE order_events SET body = zeroblob(40) WHERE sequence = 3", "chain", "event 3: not what was"),
    "an event is missing": ("DELETE FROM order_events WHERE sequence = 3", "orders", "version 4 follows version 2"),
    "two events in one's place": (
        "UPDATE order_events SET body = (SELECT body FROM order_events WHERE sequence = 4) WHERE sequence = 3",
        "orders",
        "event 3 calls itself",
    ),
    "an order is missing": ("DELETE FROM orders WHERE order_id = 'o-2'", "strays", "event 6 is of order o-2"),
    "a status": (
        "UPDATE orders SET status = 'CANCELED' WHERE order_id = 'o-1'",
        "orders",
        "order o-1: status is CANCELED in its row and FILLED in its message",
    ),
    "a symbol": ("UPDATE orders SET symbol = 'MSFT' WHERE order_id = 'o-1'", "orders", "symbol is MSFT in its row"),
    "a time": ("UPDATE orders SET created_us = 7 WHERE order_id = 'o-1'", "orders", "created_us is 7 in its row and 1"),
    "a name in a state": (
        "UPDATE orders SET state = CAST(replace(state, CAST('attempts' AS BLOB), CAST('attempta' AS BLOB)) AS BLOB) "
        "WHERE order_id = 'o-1'",
        "orders",
        "o-1: something in its state is not known",
    ),
    "a fill's time": ("UPDATE fills SET recorded_us = 7 WHERE fill_id = 'f-1'", "orders", "f-1 has another row"),
    "a key": (
        "UPDATE orders SET client_order_id = 'other' WHERE order_id = 'o-1'",
        "orders",
        "client_order_id is other in its row",
    ),
    "an order's message": (
        "UPDATE orders SET body = (SELECT body FROM orders WHERE order_id = 'o-2') WHERE order_id = 'o-1'",
        "orders",
        "order_id is o-1 in its row and o-2 in its message",
    ),
    "an order's state is no text": (
        "UPDATE orders SET state = x'81a86f726465725f6964a1ff' WHERE order_id = 'o-1'",
        "orders",
        "o-1: cannot be read",
    ),
    "an order's state": ("UPDATE orders SET state = x'c1' WHERE order_id = 'o-1'", "orders", "o-1: cannot be read"),
    "another order's state": (
        "UPDATE orders SET state = (SELECT state FROM orders WHERE order_id = 'o-2') WHERE order_id = 'o-1'",
        "orders",
        "broker_order_ids of its message is not that of its state",
    ),
    "a fill is missing": ("DELETE FROM fills WHERE fill_id = 'f-1'", "orders", "fills add up to 6"),
    "a fill's column": ("UPDATE fills SET quantity = '5' WHERE fill_id = 'f-1'", "orders", "f-1 has another row"),
    "a fill's message": (
        "UPDATE fills SET body = (SELECT body FROM fills WHERE fill_id = 'f-2') WHERE fill_id = 'f-1'",
        "orders",
        "fill f-1 is not what its last event says",
    ),
    "a fill's order": ("UPDATE fills SET order_id = 'nobody' WHERE fill_id = 'f-1'", "references", "row 1 of fills"),
    "a broker id leads nowhere": ("DELETE FROM broker_links", "orders", "broker order b-1 leads nowhere"),
    "the head": ("UPDATE journal_meta SET head_sequence = 7", "chain", "events 6 to 7: without the hash"),
    "tables of somebody else": (f"DROP TABLE {migrate.VERSION_TABLE}", "schema", "not ours"),
    "a newer release": (f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'", "schema", "9999 is newer than"),
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_damage_is_found_and_named_and_there_is_a_way_out(
    opening: Opening, database: Path, what: str, reached: Reached
) -> None:
    await (await lived(opening)).close()
    statements, name, text = DAMAGE[what]
    _change(database, *statements.split("; "))
    found = _checks(database)
    assert found[name].verdict is Verdict.FAIL
    assert text in found[name].detail
    assert found[name].fix
    reached("P7", "kinds of damage to a journal, each found by orderd doctor", 1)


DESK_DAMAGE = {
    "a record's message": (
        "UPDATE desk_records SET body = x'' WHERE record_id = 'r-1'",
        "desk",
        "TRADE r-1: event 11 left it as another than its row says",
    ),
    "a record's version": (
        "UPDATE desk_records SET version = 3 WHERE record_id = 'r-1'",
        "desk",
        "TRADE r-1: its row is version 3, its events are 1, 2",
    ),
    "a record's sequence": (
        "UPDATE desk_records SET sequence = 9 WHERE record_id = 'r-1'",
        "desk",
        "TRADE r-1: its last event is 11, and its row says 9",
    ),
    "a record's account": (
        "UPDATE desk_records SET account_id = 'b' WHERE record_id = 'r-1'",
        "desk",
        "TRADE r-1: account_id is b in its row and paper in its last event",
    ),
    "a record is another": (
        "UPDATE desk_records SET kind = 'POSITION' WHERE record_id = 'r-1'",
        "desk",
        "POSITION r-1: event 9 is about something else",
    ),
    "a record is missing": ("DELETE FROM desk_records WHERE record_id = 'r-2'", "strays", "event 10 is of order r-2"),
    "an event of a record is missing": (
        "DELETE FROM order_events WHERE sequence = 10",
        "desk",
        "TRADE r-2: its row is version 1, its events are none",
    ),
    "an event of a record is an order's": (
        "UPDATE order_events SET kind = 0 WHERE sequence = 10",
        "desk",
        "TRADE r-2: its row is version 1, its events are none",
    ),
    "an event of a record": ("UPDATE order_events SET body = x'ff' WHERE sequence = 11", "desk", "event 11 cannot be"),
    "an event in another's place": (
        "UPDATE order_events SET body = (SELECT body FROM order_events WHERE sequence = 11) WHERE sequence = 9",
        "desk",
        "event 9 calls itself 11",
    ),
    "a discrepancy is open again": (
        "UPDATE discrepancies SET resolved_us = NULL WHERE discrepancy_id = 'x-2'",
        "desk",
        "discrepancy x-2: its events have versions [1, 2]",
    ),
    "a discrepancy was never closed": (
        "UPDATE discrepancies SET resolved_us = 1 WHERE discrepancy_id = 'x-1'",
        "desk",
        "discrepancy x-1: no event says that it was closed",
    ),
}


@pytest.mark.parametrize("what", DESK_DAMAGE)
async def test_damage_to_what_the_desk_remembers_is_found_and_named(
    opening: Opening, database: Path, what: str, reached: Reached
) -> None:
    await (await with_desk(opening)).close()
    assert {check.verdict for check in _checks(database).values() if check.name != "discrepancies"} == {Verdict.OK}
    statement, name, text = DESK_DAMAGE[what]
    _change(database, statement)
    found = _checks(database)
    assert found[name].verdict is Verdict.FAIL
    assert text in found[name].detail
    reached("P7", "kinds of damage to a journal, each found by orderd doctor", 1)


async def test_discrepancies_from_before_their_events_are_no_damage(opening: Opening, database: Path) -> None:
    await (await with_desk(opening)).close()
    _change(
        database,
        "INSERT INTO discrepancies SELECT 'x-3', 'b', kind, subject, order_id, broker_order_id, symbol, expected, "
        "observed, evidence, source, opened_us, 0, NULL, '', '', '' FROM discrepancies WHERE discrepancy_id = 'x-1'",
    )
    assert _checks(database)["desk"].verdict is Verdict.OK
    journal = await opening()
    (before,) = await journal.open_discrepancies("b")
    await journal.append([Append(steps=(), discrepancies=(closed(before),))])
    await journal.close()
    found = _checks(database)["desk"]
    assert (found.verdict, found.detail) == (Verdict.OK, "2 records of the desk are what their events say")


async def test_an_index_that_does_not_know_a_row_is_found(opening: Opening, database: Path) -> None:
    await (await lived(opening)).close()
    hidden = "name = 'orders_by_symbol'"
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute(f"SELECT * FROM sqlite_schema WHERE {hidden}").fetchone()
    _change(database, "PRAGMA writable_schema=ON", f"DELETE FROM sqlite_schema WHERE {hidden}")
    _change(database, "UPDATE orders SET symbol = 'AAPM' WHERE order_id = 'o-2'")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
    found = _checks(database)
    assert found["pages"].verdict is Verdict.FAIL
    assert "missing from index orders_by_symbol" in found["pages"].detail


async def test_a_number_that_is_off_in_the_last_decimal_is_found(opening: Opening, database: Path) -> None:
    journal = await lived(opening)
    stored = journal.load("o-1")
    assert stored is not None
    await journal.close()
    off = msgspec.structs.replace(stored, fills=(), filled_value=stored.filled_value + Decimal("1e-18"))
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE orders SET state = ? WHERE order_id = 'o-1'", (msgspec.msgpack.encode(off),))
    assert (
        "filled value is 1872.180000000000000001, and its fills add up to 1872.18" in _checks(database)["orders"].detail
    )


async def test_busts_and_corrections_are_no_damage(opening: Opening, database: Path) -> None:
    journal = await lived(opening)
    order_id = "o-1"
    before = journal.load(order_id)
    assert before is not None
    restated = msgspec.structs.replace(fill("f-3", "5", "187.1"), is_restated=True)
    corrected = FillCorrected(
        at=START, source=EventSource.BROKER_STREAM, removed=(before.fills[0].fill_id,), added=(restated,),
        to_state=OrderState.FILLED,
    )  # fmt: skip
    (after,) = await journal.append([then(before, corrected)])
    busted = FillBusted(
        at=START, source=EventSource.BROKER_STREAM, removed=(before.fills[1].fill_id,), to_state=OrderState.ACCEPTED
    )
    await journal.append([then(after.order, busted)])
    await journal.close()
    assert {check.verdict for check in _checks(database).values()} == {Verdict.OK}


async def test_a_journal_whose_old_events_were_removed_passes(opening: Opening, database: Path) -> None:
    await (await lived(opening)).close()
    keep = "(SELECT commit_hash FROM order_events WHERE sequence = 4)"
    _change(
        database,
        f"UPDATE journal_meta SET floor_sequence = 4, floor_hash = {keep}",
        "DELETE FROM order_events WHERE sequence <= 4",
    )
    found = _checks(database)
    assert {check.verdict for check in found.values()} == {Verdict.OK}
    assert found["chain"].detail == "4 events up to 8 are what was committed, those up to 4 were removed"


async def test_warnings(opening: Opening, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await (await lived(opening)).close()
    monkeypatch.setattr(doctor, "REVISION", "9999")
    found = {check.name: check for check in examine(database, min_free_bytes=1 << 62)}
    assert {name for name, check in found.items() if check.verdict is Verdict.WARN} == {"space", "schema"}
    assert "orders" not in found, "a revision that is not this build's is not taken apart"
    assert all(check.fix for check in found.values() if check.verdict is not Verdict.OK)


async def test_what_a_sound_journal_has_to_tell_an_operator(opening: Opening, database: Path) -> None:
    journal = await lived(opening)
    await journal.set_mark("reconciled:paper", "2026-01-05T14:30:00+00:00")
    two = journal.load("o-2")
    assert two is not None
    await journal.append([then(two, OutcomeUnknown(at=START, source=EventSource.ENGINE))])
    await journal.close()
    found = _checks(database)
    assert (found["unknown"].verdict, found["unknown"].detail[:27]) == (Verdict.WARN, "1 outcomes are unknown, the")
    assert found["unknown"].fix
    assert found["reconciled"].detail == "paper 2026-01-05T14:30:00+00:00"


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
def test_what_is_no_journal_fails_and_says_so(database: Path, content: bytes) -> None:
    database.write_bytes(content)
    failed = [check for check in examine(database, min_free_bytes=0) if check.verdict is Verdict.FAIL]
    assert failed
    assert failed[0].fix


async def test_pages_that_are_gone_are_a_finding_and_no_traceback(opening: Opening, database: Path) -> None:
    await (await lived(opening)).close()
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(8192)
        file.write(b"\x00" * (size - 8192))
    failed = {check.name for check in examine(database, min_free_bytes=0) if check.verdict is Verdict.FAIL}
    assert failed
