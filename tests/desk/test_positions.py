"""Positions out of a real journal: what is recorded, and that it is the same however often it is worked out."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.v1 import position_service_pb2 as pb
from orderd.core.order import Side
from orderd.core.positions import TAPE
from orderd.core.records import RecordKind
from orderd.desk.positions import CURSOR, PositionBook
from orderd.ports import Journal, RecordFilter
from tests.contracts.journals import ENGINES, opened
from tests.desk.fills import Tail, Tape, random_day

BUY, SELL = Side.BUY, Side.SELL
D = Decimal


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened(ENGINES["sqlite in a simulation"], tmp_path) as journal:
        yield journal


@pytest.fixture
def tape(journal: Journal) -> Tape:
    return Tape(journal)


async def folded(journal: Journal) -> PositionBook:
    book = PositionBook(journal, Tail(journal))
    await book.open()
    await book.catch_up()
    return book


async def rows(journal: Journal) -> list[pb.Position]:
    """Every position, newest first."""
    page = await journal.list_records(RecordFilter(kind=RecordKind.POSITION), after_key=None, limit=1000)
    return [pb.Position.FromString(row.data) for row in page.rows]


async def held(journal: Journal, symbol: str = "AAPL") -> Decimal:
    known = (await folded(journal)).get("paper", symbol)
    return D(0) if known is None else known.holding.quantity


async def test_a_fill_through_zero_closes_one_position_and_opens_the_next(journal: Journal, tape: Tape) -> None:
    await tape.trade("in", BUY, "10", "10", strategy="a")
    await tape.trade("out", SELL, "15", "12", strategy="a")
    await folded(journal)
    short, long = await rows(journal)
    assert (short.fill_quantity, short.average_price, short.HasField("closed_time")) == ("-5", "12", False)
    assert (long.fill_quantity, long.strategies[0].realized_pnl, long.HasField("closed_time")) == ("0", "20", True)
    assert short.sequence > long.sequence > 0
    await tape.bust("out", 1)
    assert await held(journal) == D(10), "it was part of two positions"


async def test_a_correction_is_as_if_it_had_been_so_from_the_beginning(journal: Journal, tape: Tape) -> None:
    await tape.trade("in", BUY, "10", "10")
    await tape.trade("out", SELL, "4", "12")
    await folded(journal)
    await tape.correct("in", 1, price=D("10.5"))
    await folded(journal)
    (row,) = await rows(journal)
    assert (row.fill_quantity, row.average_price, row.strategies[0].realized_pnl) == ("6", "10.5", "6")
    assert row.version == 2


async def test_a_bust_behind_the_tape_comes_to_the_same_quantity(journal: Journal, tape: Tape) -> None:
    for _ in range(TAPE + 2):
        await tape.trade("in", BUY, "1", "10")
    await tape.bust("in", 1)
    assert await held(journal) == D(TAPE + 1)


async def test_a_bust_of_what_was_closed_before_the_open_one(journal: Journal, tape: Tape) -> None:
    await tape.trade("in", BUY, "10", "10")
    await tape.trade("out", SELL, "10", "12")
    await tape.trade("again", BUY, "3", "11")
    await folded(journal)
    await tape.bust("out", 1)
    assert await held(journal) == D(13)
    newest, oldest = await rows(journal)
    assert (newest.fill_quantity, oldest.fill_quantity, oldest.HasField("closed_time")) == ("13", "0", True)


async def test_what_others_trade_is_held_too(journal: Journal, tape: Tape) -> None:
    await tape.trade("mine", BUY, "10", "10", strategy="a")
    await tape.trade("theirs", SELL, "4", "12", is_external=True)
    await folded(journal)
    (row,) = await rows(journal)
    assert (row.fill_quantity, row.average_price) == ("6", "")
    assert [(share.strategy, share.quantity) for share in row.strategies] == [("a", "10"), ("", "-4")]


@pytest.mark.parametrize("seed", range(6))
async def test_a_day_ends_with_the_sum_of_its_fills_wherever_folds_died(
    journal: Journal, tape: Tape, seed: int
) -> None:
    chance = random.Random(seed)
    books = [await folded(journal)]
    for part in range(6):
        await random_day(tape, seed * 10 + part, 25)
        books.append(await folded(journal) if chance.random() < 0.5 else books[-1])
        await books[-1].catch_up()
    for symbol in ("AAPL", "MSFT"):
        sums: dict[str, Decimal] = {}
        for order in tape.orders.values():
            if order.intent.symbol == symbol:
                signed = order.filled_quantity if order.intent.side is BUY else -order.filled_quantity
                strategy = "" if order.is_external else order.intent.strategy
                sums[strategy] = sums.get(strategy, D(0)) + signed
        known = books[-1].get("paper", symbol)
        shares = {} if known is None else {s.strategy: s.quantity for s in known.holding.shares if s.lots}
        assert shares == {name: quantity for name, quantity in sums.items() if quantity}
    found = await rows(journal)
    assert len({row.symbol for row in found if not row.HasField("closed_time")}) == sum(
        1 for row in found if not row.HasField("closed_time")
    ), "at most one is open"
    for row in found:
        page = await journal.list_record_events(row.position_id, after_version=0, limit=1000)
        assert len(page.rows) == row.version


async def test_how_far_it_has_come_is_written_with_what_was_changed(journal: Journal, tape: Tape) -> None:
    await tape.trade("in", BUY, "10", "10")
    book = await folded(journal)
    assert await journal.mark(CURSOR) == str(book.sequence - 1), "its own event comes after"
    again = await folded(journal)
    assert (await rows(journal))[0].version == 1
    assert again.open_of("paper")[0].sequence == (await rows(journal))[0].sequence


@pytest.mark.parametrize("is_known", [False, True])
async def test_events_that_are_no_longer_kept_are_folded_from_the_books(
    journal: Journal, tape: Tape, is_known: bool
) -> None:
    await tape.trade("old", BUY, "10", "10")
    await tape.trade("old", BUY, "5", "12")
    await tape.trade("gone", SELL, "5", "12", symbol="MSFT")
    await tape.trade("back", BUY, "5", "11", symbol="MSFT")
    if is_known:
        await folded(journal)
        await tape.trade("new", SELL, "3", "13")
        await tape.end("new")
    for name in ("old", "gone", "back"):
        await tape.end(name)
    compaction = await journal.begin_compaction(datetime.now(UTC) + timedelta(days=1))
    while not compaction.is_done:
        compaction = await journal.compact(compaction)
    assert await held(journal) == (D(12) if is_known else D(15))
    assert await held(journal, "MSFT") == D(0)
    found = await rows(journal)
    assert [row.symbol for row in found if not row.HasField("closed_time")] == ["AAPL"]
    assert [row.symbol for row in found if row.HasField("closed_time")] == ["MSFT"]
    await tape.trade("next", BUY, "1", "10")
    assert await held(journal) == (D(13) if is_known else D(16))
