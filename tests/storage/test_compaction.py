"""Letting old events go: what goes, what stays, and that nobody can read past what is gone without being told."""

# ruff: noqa: ASYNC240 - nothing else runs on these loops

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from orderd.core.order import Order
from orderd.ports import Append, Compaction, OrderFilter, RawPayload
from orderd.storage import JournalCorruptError, JournalLockedError, SqliteJournal
from orderd.storage.compaction import ROWS_A_STEP, shrink
from orderd.storage.doctor import Verdict, examine
from tests.contracts.test_discrepancies_contract import difference
from tests.storage.conftest import Opening
from tests.storage.desk_making import change_of, later, made
from tests.storage.integrity import check
from tests.storage.making import START, accepted, acknowledged, canceled, fill, filled, new, order, submitted, then

DAY = timedelta(days=1)


def at(append: Append, day: int) -> Append:
    """The same append, recorded so many days after the start."""
    moment = START + day * DAY
    steps = [
        msgspec.structs.replace(step, event=msgspec.structs.replace(step.event, at=moment)) for step in append.steps
    ]
    return msgspec.structs.replace(append, steps=tuple(steps))


def raw(broker_order_id: str, day: int, kind: str = "trade_update") -> RawPayload:
    """A broker's bytes of a day."""
    first = order()
    return RawPayload(
        account_id=first.intent.account_id,
        broker_order_id=broker_order_id,
        kind=kind,
        body=f"{broker_order_id} of day {day}".encode(),
        recorded_time=START + day * DAY,
    )


async def trade(journal: SqliteJournal, day: int, *, name: str, ends: bool = True) -> Order:
    """An order of a day, with one fill; canceled on that day, or left open. Its events are 1 to 6, or to 5."""
    first = order()
    await journal.append([at(new(first, submitted()), day)])
    present = _loaded(journal, first)
    events = [acknowledged(name), accepted(), filled(fill(f"f-{name}", recorded=START + day * DAY))]
    await journal.append([msgspec.structs.replace(at(then(present, *events), day), raw=(raw(name, day),))])
    if ends:
        await journal.append([at(then(_loaded(journal, first), canceled()), day)])
    return _loaded(journal, first)


def _loaded(journal: SqliteJournal, one: Order) -> Order:
    found = journal.load(one.order_id)
    assert found is not None
    return found


async def compact(journal: SqliteJournal, before: datetime) -> Compaction:
    """All of it at once."""
    done = await journal.begin_compaction(before)
    while not done.is_done:
        done = await journal.compact(done)
    return done


async def sequences(journal: SqliteJournal) -> list[int]:
    """What the table still holds."""
    return [entry.sequence for entry in await journal.events_after(0, limit=100_000)]


async def test_old_events_of_orders_that_are_over_go_and_all_else_stays(opening: Opening, database: Path) -> None:
    journal = await opening()
    over = await trade(journal, 0, name="b-1")
    still_open = await trade(journal, 1, name="b-2", ends=False)
    young = await trade(journal, 9, name="b-3")
    before = {entry.sequence: entry.data for entry in await journal.events_after(0, limit=100)}
    done = await compact(journal, START + 5 * DAY)
    assert (done.floor, done.events, done.payloads) == (11, 6, 1)
    assert journal.floor == 11
    after = {entry.sequence: entry.data for entry in await journal.events_after(0, limit=100)}
    assert after == {number: data for number, data in before.items() if number > 6}, "byte for byte"
    assert [row.key for row in (await journal.list_events(over.order_id, after_version=0, limit=9)).rows] == []
    assert len((await journal.list_events(still_open.order_id, after_version=0, limit=9)).rows) == 5
    for one, name in ((over, "b-1"), (still_open, "b-2"), (young, "b-3")):
        assert journal.load(one.order_id) == one
        assert len(journal.fill_data(one.order_id)) == 1
        assert journal.find_key("paper", one.intent.client_order_id) == one.order_id, "keys never expire"
        assert journal.find_broker_order("paper", name) == one.order_id, "a late report finds its order"
    assert await journal.raw_payload("paper", ["b-1"]) is None
    assert await journal.raw_payload("paper", ["b-2"]) is not None, "its order is still open"
    assert await journal.raw_payload("paper", ["b-3"]) is not None
    assert len((await journal.list_orders(OrderFilter(), after_key=None, limit=10)).rows) == 3
    await journal.close()
    assert check(database).head == 17


async def test_events_of_the_desk_stay_for_ever(opening: Opening, database: Path) -> None:
    """However old; and their times count as those of the orders do, also where the floor falls between them."""
    journal = await opening()
    await trade(journal, 0, name="b-1")
    first = made(record_id="r-1")
    await journal.record([change_of(first.record, at=START)])
    await journal.append([Append(steps=(), discrepancies=(difference("x-1"),))])
    second = later(first, status="CLOSED", is_open=False)
    await journal.record([change_of(second.record, at=START + 9 * DAY)])
    before = [entry for entry in await journal.events_after(0, limit=100) if entry.is_desk]
    done = await compact(journal, START + 5 * DAY)
    assert (done.floor, done.events) == (8, 6)
    assert list(await journal.events_after(0, limit=100)) == before
    assert len((await journal.list_record_events("r-1", after_version=0, limit=9)).rows) == 2
    done = await compact(journal, START + 10 * DAY)
    assert (done.floor, done.events) == (9, 0)
    await journal.close()
    assert check(database).head == 9
    journal = await opening()
    assert list(await journal.events_after(0, limit=100)) == before


async def test_the_story_of_an_order_goes_when_all_of_it_is_old(opening: Opening) -> None:
    journal = await opening()
    long_lived = await trade(journal, 0, name="b-1", ends=False)
    await trade(journal, 1, name="b-2")
    await journal.append([at(then(long_lived, canceled()), 9)])
    assert (await compact(journal, START + 5 * DAY)).events == 6, "of the other one"
    assert len((await journal.list_events(long_lived.order_id, after_version=0, limit=9)).rows) == 6
    done = await compact(journal, START + 10 * DAY)
    assert (done.floor, done.events) == (12, 6)
    assert await sequences(journal) == []


async def test_the_floor_outlives_the_process_and_never_goes_down(opening: Opening) -> None:
    journal = await opening()
    await trade(journal, 0, name="b-1")
    await trade(journal, 9, name="b-2")
    assert journal.floor == 0
    assert (await compact(journal, START - DAY)).floor == 0, "nothing is that old"
    await compact(journal, START + DAY)
    await journal.close()
    again = await opening()
    assert again.floor == 6
    assert (await compact(again, START - DAY)).floor == 6
    assert again.floor == 6
    await trade(again, 10, name="b-3")
    assert await sequences(again) == list(range(7, 19)), "sequences go on where they were"


async def test_a_compaction_that_died_halfway_is_finished_by_the_next(opening: Opening) -> None:
    journal = await opening()
    count = 2 * ROWS_A_STEP // 6
    for number in range(count):
        await trade(journal, 0, name=f"b-{number}")
    begun = await journal.begin_compaction(START + DAY)
    first = await journal.compact(begun)
    assert (first.is_done, first.events) == (False, ROWS_A_STEP)
    await journal.close()
    again = await opening()
    assert again.floor == journal.head
    done = await compact(again, START - DAY)
    assert done.events == 6 * count - ROWS_A_STEP
    assert await sequences(again) == []


async def test_events_written_meanwhile_are_left_alone(opening: Opening) -> None:
    journal = await opening()
    for number in range(40):
        await trade(journal, 0, name=f"b-{number}")
    now = await journal.begin_compaction(START + DAY)
    while not now.is_done:
        late = await trade(journal, 0, name=f"late-{now.events_at}-{now.payloads_at}")
        now = await journal.compact(now)
    assert min(await sequences(journal)) == now.floor + 1
    assert len((await journal.list_events(late.order_id, after_version=0, limit=9)).rows) == 6


async def test_payloads_without_an_order_go_by_their_age(opening: Opening) -> None:
    journal = await opening()
    over = await trade(journal, 0, name="b-1")
    still_open = await trade(journal, 0, name="b-2", ends=False)
    kept = raw("", 0, f"submit_unclear:{still_open.order_id}")
    gone = [raw("", 0, f"submit_unclear:{over.order_id}"), raw("nobody's", 0), raw("", 0, "frame")]
    await journal.append([Append(steps=(), raw=(kept, *gone, raw("nobody's", 9)))])
    done = await compact(journal, START + DAY)
    assert done.payloads == 4
    assert await journal.raw_payload("paper", [""]) == kept.body
    assert await journal.raw_payload("paper", ["nobody's"]) == b"nobody's of day 9"


async def test_shrinking_gives_the_space_back(opening: Opening, database: Path) -> None:
    journal = await opening()
    for number in range(60):
        await trade(journal, 0, name=f"b-{number}")
    kept = await trade(journal, 9, name="kept")
    with pytest.raises(JournalLockedError):
        shrink(database)
    await compact(journal, START + DAY)
    await journal.close()
    size = database.stat().st_size
    shrink(database)
    assert database.stat().st_size < size * 0.8
    again = await opening()
    assert again.load(kept.order_id) == kept
    assert len(await sequences(again)) == 6
    assert again.journal_id == journal.journal_id


async def test_the_chain_is_verified_from_the_floor_on(opening: Opening, database: Path) -> None:
    journal = await opening()
    await trade(journal, 0, name="b-1")
    await trade(journal, 0, name="open", ends=False)
    await trade(journal, 9, name="b-2")
    await compact(journal, START + 5 * DAY)
    await journal.close()
    check(database)
    await (await opening()).close()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE journal_meta SET verified_sequence = 0")
        connection.execute("UPDATE order_events SET body = zeroblob(9) WHERE sequence = 13")
    with pytest.raises(JournalCorruptError, match="events 12 to 13"):
        await opening()


async def test_the_doctor_finds_nothing_wrong_at_any_step_of_it(opening: Opening, database: Path) -> None:
    journal = await opening()
    for number in range(2 * ROWS_A_STEP // 6):
        await trade(journal, 0, name=f"b-{number}", ends=number % 9 != 0)
    await trade(journal, 9, name="young")
    now = await journal.begin_compaction(START + DAY)
    steps = 0
    while not now.is_done:
        assert wrong(database) == []
        now, steps = await journal.compact(now), steps + 1
    await journal.close()
    assert steps >= 3
    assert wrong(database) == []
    shrink(database)
    assert wrong(database) == []


def wrong(database: Path) -> list[str]:
    """What the doctor complains about, but for space on the disk of whoever runs this."""
    return [f"{one.name}: {one.detail}" for one in examine(database, min_free_bytes=0) if one.verdict is Verdict.FAIL]


async def test_the_floor_is_the_end_of_a_commit(opening: Opening, database: Path) -> None:
    """Half of a commit is old: all of it stays."""
    journal = await opening()
    old, young = new(order(), submitted()), new(order(), submitted())
    await journal.append([at(old, 0)])
    await journal.append([at(new(order(), submitted(), acknowledged("b"), canceled()), 0), at(young, 9)])
    done = await compact(journal, START + DAY)
    assert (done.floor, done.events) == (2, 0)
    await journal.close()
    check(database)


async def test_nothing_is_let_go_unasked(opening: Opening, database: Path) -> None:
    journal = await opening()
    await trade(journal, 0, name="b-1")
    await journal.close()
    assert check(database).head == 6
