"""Splits, and what becomes of options, as the venue lists them: completed trades and positions, in virtual time."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from oms.v1 import trade_service_pb2 as pb
from orderd.core.records import RecordKind
from orderd.desk.completed import CompletedTrades
from orderd.ports import FillFilter, Journal, Page, RecordFilter, RecordPage
from orderd.venue.accounts import Happening
from tests.desk.fills import MemoryRecords, Tail
from tests.desk.test_position_stories import CALL, PUT, D, differing, happen, live, position, quantity, told, trade
from tests.engine.seams import AFTER_COMMIT, BEFORE_COMMIT
from tests.engine.world import World

SPLIT = (("KO", "-10", "0", "SPLIT"), ("KO", "30", "26.67", "SPLIT"))


class Anew(MemoryRecords):
    """Nothing was ever folded; fills and positions are read from the journal."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    def order_data(self, order_id: str) -> bytes | None:
        return self.journal.order_data(order_id)

    async def list_fills(self, where: FillFilter, *, after_key: tuple[int | str, ...] | None, limit: int) -> Page:
        return await self.journal.list_fills(where, after_key=after_key, limit=limit)

    async def read_records(
        self, where: RecordFilter, *, after_key: tuple[int | str, ...] | None, limit: int
    ) -> RecordPage:
        if where.kind is RecordKind.POSITION:
            return await self.journal.read_records(where, after_key=after_key, limit=1)
        return await super().read_records(where, after_key=after_key, limit=limit)


class LetGo(Tail):
    """All events were let go."""

    @property
    def oldest(self) -> int:
        return self.journal.head


async def results(world: World, symbol: str = "KO") -> list[pb.CompletedTrade]:
    """The completed trades of a symbol, in the order of their closing, once everything is folded."""
    journal = world.alive.journal
    await asyncio.sleep(3)
    where = RecordFilter(kind=RecordKind.COMPLETED_TRADE, symbols=(symbol,))
    page = await journal.list_records(where, after_key=None, limit=100)
    return [pb.CompletedTrade.FromString(row.data) for row in reversed(page.rows)]


def at(world: World, price: str, symbol: str = "KO") -> None:
    world.face.venue.set_quote(symbol, D(price), D(price), D(price))
    world.pump()


def overnight(world: World) -> str:
    """A day later at once; that day."""
    for clock in (world.clock, world.venue_clock):
        clock.skew += timedelta(days=1)
    world.pump()
    return world.clock.now().date().isoformat()


def figures(each: pb.CompletedTrade) -> tuple[str, str, str, str, str]:
    return each.strategy, each.quantity, each.entry_price, each.exit_price, each.pnl


def test_shares_after_a_split_are_sold_with_the_right_result(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        at(world, "80")
        await trade(world, "10", strategy="momentum")
        await trade(world, "20", strategy="carry")
        happen(world, ("KO", "-30", "0", "SPLIT"), ("KO", "90", "26.67", "SPLIT"))
        at(world, "27")
        await told(world)
        await trade(world, "-30", strategy="momentum")
        await trade(world, "-15", strategy="carry")
        first, second = await results(world)
        third = D(80) / D(3)
        assert figures(first)[:2] + figures(first)[3:] == ("momentum", "30", "27", "10")
        assert D(first.entry_price) == third.quantize(D("1e-18"))
        assert figures(second)[:2] + figures(second)[3:] == ("carry", "15", "27", "5")
        assert await quantity(world) == D(45)
        await trade(world, "-45", strategy="carry")
        assert [each.pnl for each in await results(world)] == ["10", "5", "15"]
        assert not differing(world)

    live(tmp_path, story)


def test_a_split_that_is_listed_hours_later_restates_what_was_sold_since(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        at(world, "80")
        await trade(world, "10", strategy="momentum")
        today = overnight(world)
        happen(world, ("KO", "20", "0", ""))
        at(world, "27")
        await trade(world, "-5", strategy="momentum")
        await told(world)
        assert len(differing(world)) == 1
        (before,) = await results(world)
        assert before.pnl == "-265"
        (account,) = world.face.venue.state.accounts.values()
        rows = [
            Happening(symbol="KO", quantity=D(q), kind="SPLIT", group_id="g", day=today, moves=False)
            for q in ("-10", "30")
        ]
        world.face.venue.happen(account, rows)
        await told(world)
        assert not differing(world)
        assert await quantity(world) == D(25)
        (after,) = await results(world)
        assert (after.is_restated, after.pnl) == (True, "1.666666666666666667")
        await trade(world, "-25", strategy="momentum")
        total = sum(D(each.pnl) for each in await results(world))
        assert total == 10, "what was paid is the same to the last decimal"

    live(tmp_path, story)


@pytest.mark.parametrize("quantities", [("-10", "30"), ("20",)])
def test_a_split_of_what_was_sold_already_brings_back_the_rest(tmp_path: Path, quantities: tuple[str, ...]) -> None:
    async def story(world: World) -> None:
        at(world, "80")
        await trade(world, "10", strategy="momentum")
        today = overnight(world)
        happen(world, ("KO", "20", "0", ""))
        await trade(world, "-10", strategy="momentum")
        assert await position(world) is None
        (account,) = world.face.venue.state.accounts.values()
        rows = [Happening(symbol="KO", quantity=D(q), kind="SPLIT", day=today, moves=False) for q in quantities]
        world.face.venue.happen(account, rows)
        await told(world)
        assert await quantity(world) == D(20)
        await trade(world, "-20", strategy="momentum")
        assert [each.quantity for each in await results(world)] == ["10", "20"]

    live(tmp_path, story)


def test_an_execution_from_before_a_split_is_taken_back(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        at(world, "80")
        await trade(world, "10", strategy="momentum")
        await trade(world, "10", strategy="momentum")
        happen(world, ("KO", "-20", "0", "SPLIT"), ("KO", "60", "26.67", "SPLIT"))
        await told(world)
        at(world, "27")
        await trade(world, "-30", strategy="momentum")
        first = next(iter(world.face.venue.ledger.executions.values()))
        world.face.venue.bust(first.execution_id)
        happen(world, ("KO", "-20", "0", ""))
        world.pump()
        await told(world)
        (after,) = [each for each in await results(world) if each.quantity != "0"]
        assert (after.quantity, after.pnl) == ("30", "10")
        assert await position(world) is None
        assert not differing(world)

    live(tmp_path, story)


def test_an_option_that_runs_out_closes_its_lots_at_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await trade(world, "2", CALL, "momentum")
        paid = (await position(world, CALL)).holding.average_price  # type: ignore[union-attr]
        happen(world, (CALL, "-2", "0", "OPEXP"))
        await told(world)
        (closed,) = await results(world, CALL)
        assert (closed.quantity, closed.exit_price, D(closed.pnl)) == ("2", "0", -200 * paid)
        assert closed.exit_reason == pb.EXIT_REASON_EXPIRY
        assert not closed.exit_order_ids
        assert closed.exit_adjustment_id.endswith(f"EXPIRED {CALL} -2")
        await world.restart()
        await told(world)
        assert [each.version for each in await results(world, CALL)] == [1], "once"

    live(tmp_path, story)


def test_an_assignment_closes_the_option_and_opens_its_units_at_the_strike(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await trade(world, "-2", PUT, "wheel")
        await trade(world, "-1", PUT, "income")
        happen(world, (PUT, "3", "0", "OPASN"), ("AAPL", "300", "250", "OPTRD"))
        await told(world)
        ended = await results(world, PUT)
        assert sorted((each.strategy, each.quantity, each.exit_price) for each in ended) == [
            ("income", "1", "0"),
            ("wheel", "2", "0"),
        ]
        assert all(D(each.pnl) > 0 for each in ended), "the premium is the option's"
        at(world, "240", "AAPL")
        await trade(world, "-200", "AAPL", "wheel")
        (sold,) = await results(world, "AAPL")
        assert figures(sold) == ("wheel", "200", "250", "240", "-2000")
        assert not sold.entry_order_ids
        assert "DELIVERED" in sold.entry_adjustment_id

    live(tmp_path, story)


def test_what_is_delivered_days_later_still_belongs_to_its_option(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await trade(world, "1", CALL, "momentum")
        happen(world, (CALL, "-1", "0", "OPEXC"))
        await told(world)
        await world.restart()
        happen(world, ("AAPL", "100", "250", "OPTRD"))
        await told(world)
        held = await position(world, "AAPL")
        assert held is not None
        assert [(share.strategy, share.quantity) for share in held.holding.shares] == [("momentum", D(100))]
        at(world, "260", "AAPL")
        await trade(world, "-100", "AAPL", "momentum")
        assert [figures(each) for each in await results(world, "AAPL")] == [("momentum", "100", "250", "260", "1000")]

    live(tmp_path, story)


def test_when_old_events_are_gone_the_fills_and_the_positions_say_it_all(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        at(world, "80")
        await trade(world, "10", strategy="momentum")
        await trade(world, "-1", PUT, "wheel")
        happen(world, *SPLIT, (PUT, "1", "0", "OPASN"), ("AAPL", "100", "250", "OPTRD"))
        await told(world)
        await trade(world, "-10", strategy="momentum")
        await trade(world, "-100", "AAPL", "wheel")
        wanted = [each for symbol in ("KO", PUT, "AAPL") for each in await results(world, symbol)]
        for _ in range(2):
            anew = Anew(world.alive.journal)
            await CompletedTrades(anew, LetGo(world.alive.journal)).open()
            found = [pb.CompletedTrade.FromString(each.body) for each in anew.latest.values()]
            assert sorted(each.completed_trade_id for each in found) == sorted(e.completed_trade_id for e in wanted)
            assert sorted(figures(each) for each in found) == sorted(figures(each) for each in wanted)

    live(tmp_path, story)


@pytest.mark.parametrize("place", [BEFORE_COMMIT, AFTER_COMMIT])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_death_anywhere_comes_to_the_same_results(tmp_path: Path, place: str, number: int) -> None:
    async def story(world: World) -> None:
        at(world, "80")
        await trade(world, "10", strategy="momentum")
        await trade(world, "-1", PUT, "wheel")
        world.arm(place, number)
        happen(world, *SPLIT, (PUT, "1", "0", "OPASN"), ("AAPL", "100", "250", "OPTRD"))
        await world.live_on()
        await told(world)
        at(world, "27")
        at(world, "240", "AAPL")
        await trade(world, "-30", strategy="momentum")
        await trade(world, "-100", "AAPL", "wheel")
        assert [figures(each)[:2] + figures(each)[3:] for each in await results(world)] == [
            ("momentum", "30", "27", "10")
        ]
        assert [each.pnl for each in await results(world, "AAPL")] == ["-1000"]
        assert [each.exit_price for each in await results(world, PUT)] == ["0"]
        assert not differing(world)

    live(tmp_path, story)
