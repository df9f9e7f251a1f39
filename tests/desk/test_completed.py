"""Completed trades out of a real journal: what is recorded, and that it is the same however often it is worked out."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.v1 import trade_service_pb2 as pb
from orderd.core.order import AssetClass, OrderRole, PositionIntent, Side
from orderd.core.records import RecordKind
from orderd.desk.completed import CURSOR, CompletedTrades
from orderd.engine.feed import JournalFeed
from orderd.ports import Journal, JournalBusyError, Record, RecordChange, RecordFilter
from tests.contracts.journals import ENGINES, opened
from tests.desk.fills import MemoryRecords, Tail, Tape, random_day
from tests.storage.making import START

BUY, SELL = Side.BUY, Side.SELL
WHERE = RecordFilter(kind=RecordKind.COMPLETED_TRADE)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened(ENGINES["sqlite in a simulation"], tmp_path) as journal:
        yield journal


@pytest.fixture
def tape(journal: Journal) -> Tape:
    return Tape(journal)


async def folded(journal: Journal) -> list[pb.CompletedTrade]:
    """Everything folded as far as the journal goes; the results as lists show them, newest first."""
    fold = CompletedTrades(journal, JournalFeed(journal))
    await fold.open()
    await fold.catch_up()
    return await recorded(journal)


async def recorded(journal: Journal) -> list[pb.CompletedTrade]:
    page = await journal.list_records(WHERE, after_key=None, limit=1000)
    return [pb.CompletedTrade.FromString(row.data) for row in page.rows]


async def story(journal: Journal, completed_trade_id: str) -> list[pb.DeskEvent]:
    page = await journal.list_record_events(completed_trade_id, after_version=0, limit=100)
    return [pb.DeskEvent.FromString(row.data) for row in page.rows]


async def test_a_completed_trade_says_all_of_it(journal: Journal, tape: Tape) -> None:
    about = {"strategy": "momentum", "trade_id": "t-1", "decision_id": "d-1", "trace_id": "tr-1"}
    await tape.trade("in", BUY, "500", "49.50", fee="1.25", role=OrderRole.ENTRY, **about)
    await tape.trade("out", SELL, "500", "50.10", fee="2.75", role=OrderRole.STOP_LOSS, **about)
    (trade,) = await folded(journal)
    assert trade.account_id == "paper"
    assert (trade.trade_id, trade.decision_id, trade.trace_id, trade.strategy) == ("t-1", "d-1", "tr-1", "momentum")
    assert (trade.symbol, trade.quantity, trade.entry_price, trade.exit_price) == ("AAPL", "500", "49.5", "50.1")
    assert (trade.gross_pnl, trade.fees, trade.pnl, trade.pnl_pct) == ("300", "4", "296", "0.01195959595959596")
    assert trade.exit_reason == pb.EXIT_REASON_STOP_LOSS
    assert (trade.duration.ToTimedelta(), trade.multiplier) == (timedelta(seconds=1), "1")
    assert list(trade.entry_order_ids) == [tape.orders["in"].order_id]
    assert list(trade.exit_order_ids) == [tape.orders["out"].order_id]
    assert list(trade.entry_fill_ids) == [tape.orders["in"].fills[0].fill_id]
    assert list(trade.exit_fill_ids) == [tape.orders["out"].fills[0].fill_id]
    assert (trade.version, trade.is_restated) == (1, False)
    (event,) = await story(journal, trade.completed_trade_id)
    assert event.type == pb.DESK_EVENT_TYPE_COMPLETED_TRADE_RECORDED
    assert (event.order_id, event.trade_id, event.decision_id) == (tape.orders["out"].order_id, "t-1", "d-1")
    assert event.completed_trade == trade
    assert event.sequence == trade.sequence == journal.head


async def test_another_fill_of_the_exit_is_the_next_version_and_no_restatement(journal: Journal, tape: Tape) -> None:
    await tape.trade("in", BUY, "10", "10")
    await tape.trade("out", SELL, "4", "11")
    await folded(journal)
    await tape.trade("out", SELL, "6", "12")
    (trade,) = await folded(journal)
    assert (trade.version, trade.quantity, trade.pnl, trade.is_restated) == (2, "10", "16", False)
    types = [event.type for event in await story(journal, trade.completed_trade_id)]
    assert types == [pb.DESK_EVENT_TYPE_COMPLETED_TRADE_RECORDED] * 2


async def test_a_bust_restates_a_closed_trade_and_says_why(journal: Journal, tape: Tape) -> None:
    await tape.trade("in", BUY, "10", "10")
    await tape.trade("out", SELL, "4", "11")
    await tape.trade("out", SELL, "6", "12")
    await folded(journal)
    await tape.bust("out", 1)
    (trade,) = await folded(journal)
    assert (trade.version, trade.quantity, trade.pnl, trade.is_restated) == (3, "6", "12", True)
    event = (await story(journal, trade.completed_trade_id))[-1]
    assert (event.type, event.reason.code) == (pb.DESK_EVENT_TYPE_COMPLETED_TRADE_RESTATED, "FILL_BUSTED")
    await tape.bust("out", 2)
    (trade,) = await folded(journal)
    assert (trade.version, trade.quantity, trade.pnl) == (4, "0", "0")
    assert not trade.HasField("exit_time")


async def test_a_commission_that_comes_late_restates_what_it_is_for(journal: Journal, tape: Tape) -> None:
    await tape.trade("in", BUY, "10", "10")
    await tape.trade("out", SELL, "10", "11")
    await folded(journal)
    await tape.correct("out", 1, fee=Decimal("0.37"))
    (trade,) = await folded(journal)
    assert (trade.version, trade.gross_pnl, trade.fees, trade.pnl) == (2, "10", "0.37", "9.63")


async def test_strategies_in_one_symbol_close_their_own_and_strangers_close_nothing(
    journal: Journal, tape: Tape
) -> None:
    await tape.trade("a in", BUY, "10", "10", strategy="a")
    await tape.trade("b in", BUY, "10", "20", strategy="b")
    await tape.trade("a person", SELL, "10", "30", is_external=True)
    await tape.trade("b out", SELL, "10", "21", strategy="b")
    (trade,) = await folded(journal)
    assert (trade.strategy, trade.pnl) == ("b", "10")


async def test_an_imported_order_that_is_linked_to_a_trade_counts(journal: Journal, tape: Tape) -> None:
    await tape.trade("in", BUY, "10", "10", is_external=True, trade_id="t-1")
    await tape.trade("out", SELL, "10", "11", trade_id="t-1")
    (trade,) = await folded(journal)
    assert trade.pnl == "10"


async def test_an_exit_without_a_lot_opens_nothing(journal: Journal, tape: Tape) -> None:
    await tape.trade("out", SELL, "10", "11", position_intent=PositionIntent.SELL_TO_CLOSE)
    await tape.trade("in", BUY, "10", "10")
    assert await folded(journal) == []


@pytest.mark.parametrize(
    ("symbol", "multiplier", "pnl"), [("AAPL260117C00150000", "100", "100"), ("AAPL1260117C00150000", "", "")]
)
async def test_an_adjusted_contract_has_no_result(
    journal: Journal, tape: Tape, symbol: str, multiplier: str, pnl: str
) -> None:
    about = {"symbol": symbol, "asset_class": AssetClass.US_OPTION, "multiplier": Decimal(100)}
    await tape.trade("in", BUY, "1", "2", **about)
    await tape.trade("out", SELL, "1", "3", **about)
    (trade,) = await folded(journal)
    assert (trade.multiplier, trade.pnl, trade.gross_pnl, trade.pnl_pct) == (multiplier, pnl, pnl, "0.5" if pnl else "")
    where = RecordFilter(kind=RecordKind.COMPLETED_TRADE, expires_on_or_after="2026-01-17")
    assert len((await journal.list_records(where, after_key=None, limit=5)).rows) == 1


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"role": OrderRole.TAKE_PROFIT}, pb.EXIT_REASON_TAKE_PROFIT),
        ({"role": OrderRole.EXIT}, pb.EXIT_REASON_REQUESTED),
        ({"role": OrderRole.EXIT, "tags": (("exit_reason", "STOP_FALLBACK"),)}, pb.EXIT_REASON_STOP_FALLBACK),
        ({"tags": (("exit_reason", "because"),)}, pb.EXIT_REASON_REQUESTED),
    ],
)
async def test_it_says_what_closed_it(journal: Journal, tape: Tape, about: dict[str, object], reason: int) -> None:
    await tape.trade("in", BUY, "1", "2")
    await tape.trade("out", SELL, "1", "3", **about)
    (trade,) = await folded(journal)
    assert trade.exit_reason == reason


async def test_what_went_away_outside_orderd_is_closed_at_an_unknown_price(journal: Journal, tape: Tape) -> None:
    await tape.trade("in", BUY, "10", "10", trade_id="t-1", strategy="a")
    await tape.trade("out", SELL, "4", "11", trade_id="t-1", strategy="a")
    await close_trade(journal, "t-1", pb.EXIT_REASON_REQUESTED)
    await close_trade(journal, "t-2", pb.EXIT_REASON_EXTERNAL)
    assert len(await folded(journal)) == 1
    await close_trade(journal, "t-1", pb.EXIT_REASON_EXTERNAL)
    gone, sold = await folded(journal)
    assert (gone.quantity, gone.exit_price, gone.pnl, gone.exit_reason) == ("6", "", "", pb.EXIT_REASON_EXTERNAL)
    assert (list(gone.exit_order_ids), sold.pnl) == ([], "4")
    await tape.trade("in 2", BUY, "5", "20", strategy="a")
    await tape.trade("out 2", SELL, "5", "21", strategy="a")
    assert [trade.pnl for trade in await folded(journal) if trade.entry_price == "20"] == ["5"]


async def close_trade(journal: Journal, trade_id: str, reason: pb.ExitReason.ValueType) -> None:
    """What the desk records when a trade is over."""
    known = journal.load_record(trade_id)
    version = known.version + 1 if known else 1
    trade = pb.Trade(trade_id=trade_id, account_id="paper", exit_reason=reason, version=version)
    trade.closed_time.FromDatetime(START + timedelta(seconds=2, milliseconds=500))
    event = pb.DeskEvent(
        type=pb.DESK_EVENT_TYPE_TRADE_CLOSED, account_id="paper", symbol="AAPL", strategy="a", trade_id=trade_id
    )
    record = Record(
        record_id=trade_id,
        kind=RecordKind.TRADE,
        account_id="paper",
        created_time=START,
        version=version,
        body=trade.SerializeToString(),
    )
    await journal.record([RecordChange(record=record, event=event.SerializeToString())])


# ------------------------------------------------------------------------------------------------ again, and once more


async def versions(journal: Journal) -> dict[tuple[str, int], bytes]:
    """Every version of every result there ever was, without its place in the journal."""
    found: dict[tuple[str, int], bytes] = {}
    for trade in await recorded(journal):
        for event in await story(journal, trade.completed_trade_id):
            event.ClearField("sequence")
            event.completed_trade.ClearField("sequence")
            version = event.completed_trade.version
            found[trade.completed_trade_id, version] = event.SerializeToString(deterministic=True)
    return found


async def anew(journal: Journal) -> dict[tuple[str, int], bytes]:
    """The same, folded from the beginning by somebody who keeps nothing."""
    memory = MemoryRecords()
    fold = CompletedTrades(memory, Tail(journal))
    await fold.open()
    await fold.catch_up()
    found: dict[tuple[str, int], bytes] = {}
    for change in memory.changes:
        event = pb.DeskEvent.FromString(change.event)
        event.completed_trade.ParseFromString(change.record.body)
        found[change.record.record_id, change.record.version] = event.SerializeToString(deterministic=True)
    return found


@pytest.mark.parametrize("lots_per_event", [1, 10])
@pytest.mark.parametrize("seed", range(4))
async def test_dying_anywhere_and_going_on_gives_what_a_fold_from_the_beginning_gives(
    journal: Journal, tape: Tape, monkeypatch: pytest.MonkeyPatch, seed: int, lots_per_event: int
) -> None:
    monkeypatch.setattr("orderd.desk.completed.LOTS_PER_EVENT", lots_per_event)
    rng = random.Random(seed)
    feed = JournalFeed(journal)
    for _ in range(12):
        await random_day(tape, rng.randrange(1 << 30), 6)
        fold = CompletedTrades(journal, feed, page=rng.randrange(1, 9), flush_events=rng.randrange(1, 30))
        await fold.open()
        for _ in range(rng.randrange(6)):
            await fold.step()
        # And here it dies: what it has in memory only is lost.
    last = CompletedTrades(journal, feed)
    await last.open()
    await last.catch_up()
    kept = await versions(journal)
    assert len(kept) > 20
    assert kept == await anew(journal)
    assert any(pb.DeskEvent.FromString(event).completed_trade.is_restated for event in kept.values())


async def test_a_journal_whose_events_are_gone_is_folded_from_its_fills(journal: Journal, tape: Tape) -> None:
    await random_day(tape, 3, 40)
    for name in tape.orders:
        await tape.end(name)
    expected = {trade: body for (trade, _), body in (await anew(journal)).items()}
    compaction = await journal.begin_compaction(datetime.now(UTC) + timedelta(days=1))
    while not compaction.is_done:
        compaction = await journal.compact(compaction)
    assert journal.floor > 0
    await folded(journal)
    assert await content(journal) == {trade: figures(body) for trade, body in expected.items() if figures(body)}
    head = journal.head
    await journal.set_mark(CURSOR, "0")  # as if it had died before it was done
    await folded(journal)
    assert journal.head == head
    await tape.trade("new in", BUY, "5", "10", symbol="TSLA")
    await tape.trade("new out", SELL, "5", "11", symbol="TSLA")
    assert any(trade.symbol == "TSLA" for trade in await folded(journal))


def figures(event: bytes) -> tuple[str, ...]:
    """What a result comes to; empty when busts took all of it back."""
    trade = pb.DeskEvent.FromString(event).completed_trade
    said = (trade.quantity, trade.entry_price, trade.exit_price, trade.fees, trade.pnl)
    return said if trade.quantity != "0" else ()


async def content(journal: Journal) -> dict[str, tuple[str, ...]]:
    found = {trade.completed_trade_id: trade for trade in await recorded(journal)}
    events = {k: pb.DeskEvent(completed_trade=trade).SerializeToString() for k, trade in found.items()}
    return {trade: figures(event) for trade, event in events.items() if figures(event)}


async def test_nothing_new_writes_nothing(journal: Journal, tape: Tape) -> None:
    await random_day(tape, 7, 30)
    await folded(journal)
    head = journal.head
    await folded(journal)
    assert journal.head == head
    assert int(await journal.mark(CURSOR) or 0) == head


async def test_what_is_open_is_not_written_down_again_and_again_because_there_is_much_of_it(
    journal: Journal, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A strategy that hoards costs what its events cost, not the square of it; nothing is said before it is written."""
    monkeypatch.setattr("orderd.desk.completed.LOTS_PER_EVENT", 2)
    for number in range(40):
        await tape.trade(f"lot-{number}", BUY, "1", "10", strategy="hoarder")
    for number in range(10):
        await tape.trade(f"exit-{number}", SELL, "1", "11", strategy="hoarder")
    written: list[tuple[int, int]] = []
    hoarder = 'lots:["paper","AAPL","hoarder"]'

    class Counting(MemoryRecords):
        async def record(
            self, changes: Sequence[RecordChange], marks: Sequence[tuple[str, str]] = ()
        ) -> tuple[int, ...]:
            written.append((int(dict(marks)[CURSOR]), dict(marks).get(hoarder, "").count('"value"')))
            return await super().record(changes, marks)

    records = Counting()
    fold = CompletedTrades(records, Tail(journal), page=1, flush_events=1)
    await fold.open()  # catches up
    assert sum(lots for _, lots in written) <= 2 * journal.head + 40
    assert len(records.latest) == 10
    assert fold.sequence == written[-1][0] == journal.head

    again = CompletedTrades(Counting(), Tail(journal), page=1, flush_events=1)
    written.clear()
    before_exits = journal.head - 10 * 5 + 4  # the fifth event of an order is its fill
    while await again.step():
        assert again.sequence <= max(before_exits, written[-1][0])


@pytest.mark.parametrize("bound", ["FLUSH_S", "MOST_CHANGES"])
async def test_no_result_waits_for_long_because_much_is_open(
    journal: Journal, tape: Tape, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """A loss must reach the circuit breaker, however much another strategy hoards and however busy the journal is."""
    monkeypatch.setattr("orderd.desk.completed.LOTS_PER_EVENT", 0.001)
    for number in range(5):
        await tape.trade(f"lot-{number}", BUY, "1", "10", strategy="hoarder")
    opened_until = journal.head
    for number in range(3):
        await tape.trade(f"exit-{number}", SELL, "1", "9", strategy="hoarder")
    records = MemoryRecords()
    held_back = CompletedTrades(records, Tail(journal), page=1)
    while await held_back.step():
        assert not records.latest
    assert opened_until < held_back._position > held_back.sequence
    monkeypatch.setattr(f"orderd.desk.completed.{bound}", 0)
    prompt = CompletedTrades(records, Tail(journal), page=1)
    while await prompt.step():
        assert prompt.sequence == prompt._position
    assert len(records.latest) == 3


async def test_it_follows_a_live_journal_and_writes_down_what_is_open_after_a_pause(
    journal: Journal, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderd.desk.completed.FLUSH_S", 0.01)
    feed, written = JournalFeed(journal), asyncio.Queue[int]()

    class Written(MemoryRecords):
        async def record(
            self, changes: Sequence[RecordChange], marks: Sequence[tuple[str, str]] = ()
        ) -> tuple[int, ...]:
            sequences = await super().record(changes, marks)
            written.put_nowait(int(dict(marks)[CURSOR]))
            return sequences

    records = Written()
    fold = CompletedTrades(records, feed)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fold.run())
        await tape.trade("in", BUY, "10", "10")
        while await written.get() < journal.head:
            pass
        assert records.changes == []
        await tape.trade("out", SELL, "10", "11")
        while await written.get() < journal.head:
            pass
        assert len(records.changes) == 1
        running.cancel()


async def test_a_journal_too_busy_to_be_read_puts_it_off_and_changes_nothing(
    journal: Journal, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderd.desk.completed.BUSY_S", 0)
    await random_day(tape, 11, 40)
    done = asyncio.Event()

    class Busy(MemoryRecords):
        """Some reads of a mark cannot be served, in the middle of a page."""

        reads = 0

        async def mark(self, name: str) -> str | None:
            self.reads += 1
            if self.reads in {3, 6, 11}:
                raise JournalBusyError("too much to read")
            return await super().mark(name)

        async def record(
            self, changes: Sequence[RecordChange], marks: Sequence[tuple[str, str]] = ()
        ) -> tuple[int, ...]:
            sequences = await super().record(changes, marks)
            if int(dict(marks)[CURSOR]) == journal.head:
                done.set()
            return sequences

    records = Busy()
    fold = CompletedTrades(records, JournalFeed(journal), page=7, flush_events=1)
    await fold.open()
    running = asyncio.ensure_future(fold.run())
    async with asyncio.timeout(20):
        await done.wait()
    running.cancel()
    assert records.reads > 11
    told = {(change.record.record_id, change.record.version): change.record.body for change in records.changes}
    memory = MemoryRecords()
    again = CompletedTrades(memory, Tail(journal))
    await again.open()
    await again.catch_up()
    assert told == {(change.record.record_id, change.record.version): change.record.body for change in memory.changes}
