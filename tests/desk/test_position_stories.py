"""Positions in virtual time, over the real engine, journal, adapter and venue: both figures, and what differs."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.v1 import order_pb2 as opb
from oms.v1 import trade_service_pb2 as trade_pb
from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.order import Order, OrderState
from orderd.core.positions import Position
from orderd.engine.api import Wait
from orderd.engine.errors import EngineError
from orderd.ports import Discrepancy
from orderd.system import run_virtual
from orderd.venue.accounts import Happening
from orderd.venue.faults import Fault, FaultKind
from tests.engine.seams import AFTER_COMMIT, BEFORE_COMMIT
from tests.engine.world import ACCOUNT, World

CALL = "AAPL251219C00250000"
PUT = "AAPL251219P00250000"
D = Decimal
Story = Callable[[World], Awaitable[None]]


def live(directory: Path, story: Story, *, before: Callable[[World], None] = lambda _: None, **options: Any) -> None:  # noqa: ANN401
    """Tell a story in a world whose account has its history of positions begun."""

    async def tell() -> None:
        world = World(directory, 1, has_desk=True, **options)
        before(world)
        await world.start()
        await told(world)
        await story(world)
        await world.kill()

    run_virtual(tell)


async def told(world: World) -> None:
    """Let two reconciliations pass, far enough apart for a difference to stand."""
    for _ in range(3):
        await asyncio.sleep(2)
        assert await world.reconcile()


def happen(world: World, *happenings: tuple[str, str, str, str]) -> None:
    """Change what the broker holds without a trade: symbol, quantity, price, and what it is listed as."""
    (account,) = world.face.venue.state.accounts.values()
    rows = [Happening(symbol=s, quantity=D(q), price=D(p), kind=k, group_id=k and "g-1") for s, q, p, k in happenings]
    world.face.venue.happen(account, rows)


async def trade(world: World, quantity: str, symbol: str = "KO", strategy: str = "", **changes: Any) -> str:  # noqa: ANN401
    """Trade at market, now; a negative quantity is sold. The order's id."""
    side = opb.SIDE_SELL if quantity.startswith("-") else opb.SIDE_BUY
    order_id, _ = await world.submit(
        wait=Wait.BROKER,
        symbol=symbol,
        side=side,
        quantity=quantity.lstrip("-"),
        strategy=strategy,
        client_order_id=f"k-{len(world.orders())}",
        **changes,
    )
    await filled(world, order_id)
    return order_id


def order_of(world: World, order_id: str) -> Order:
    order = world.alive.journal.load(order_id)
    assert order is not None
    return order


async def filled(world: World, order_id: str) -> None:
    for _ in range(100):
        if order_of(world, order_id).state is OrderState.FILLED:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"not filled: {order_of(world, order_id)}")


def book(world: World) -> Any:  # noqa: ANN401
    desk = world.alive.positions
    assert desk is not None
    return desk.book


async def position(world: World, symbol: str = "KO") -> Position | None:
    await book(world).catch_up()
    found: Position | None = book(world).get(ACCOUNT, symbol)
    return found


async def last(world: World, symbol: str = "KO") -> Position:
    await book(world).catch_up()
    found: Position | None = await book(world).last(ACCOUNT, symbol)
    assert found is not None
    return found


async def quantity(world: World, symbol: str = "KO") -> Decimal:
    known = await position(world, symbol)
    return D(0) if known is None else known.holding.quantity


def differing(world: World) -> list[Discrepancy]:
    records = world.alive.workers.discrepancies.all_open()
    return [record for record in records if record.kind is DiscrepancyKind.POSITION_DIFFERS]


async def story_of(world: World, known: Position) -> list[trade_pb.DeskEvent]:
    page = await world.alive.journal.list_record_events(known.position_id, after_version=0, limit=100)
    return [trade_pb.DeskEvent.FromString(row.data) for row in page.rows]


def test_what_was_held_before_is_an_opening_balance(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        held = await position(world)
        assert held is not None
        assert (held.holding.quantity, held.opening_quantity, held.holding.average_price) == (D(100), D(100), D(70))
        (event,) = await story_of(world, held)
        assert event.type == trade_pb.DESK_EVENT_TYPE_POSITION_ADJUSTED
        assert event.reason.code == "OPENING_BALANCE"
        await trade(world, "10", strategy="momentum")
        await told(world)
        held = await last(world)
        assert {share.strategy: share.quantity for share in held.holding.shares} == {"": D(100), "momentum": D(10)}
        assert not differing(world)
        await world.restart()
        await told(world)
        assert await quantity(world) == D(110)
        assert not differing(world)

    live(tmp_path, story, before=lambda world: happen(world, ("KO", "100", "70", "")))


def test_a_position_made_by_hand_blocks_its_symbol_until_both_agree(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        happen(world, ("KO", "25", "79", ""))
        assert await world.reconcile()
        assert not differing(world), "one reconciliation proves nothing"
        await told(world)
        (record,) = differing(world)
        assert (record.symbol, record.expected, record.observed) == ("KO", "0", "25")
        denied, _ = await world.submit(client_order_id="denied")
        assert order_of(world, denied).state is OrderState.DENIED
        happen(world, ("KO", "-25", "79", ""))
        await told(world)
        assert not differing(world)
        await trade(world, "1")

    live(tmp_path, story)


@pytest.mark.parametrize(("held", "difference"), [("", "25"), ("40", "-15"), ("40", "-40")])
def test_an_operator_accepts_what_differs_as_an_adjustment(tmp_path: Path, held: str, difference: str) -> None:
    async def story(world: World) -> None:
        if held:
            await trade(world, held, strategy="momentum")
        happen(world, ("KO", difference, "79", ""))
        await told(world)
        (record,) = differing(world)
        await world.alive.engine.resolve_discrepancy(
            record.discrepancy_id, reason="moved to another account", operator_name="ada"
        )
        assert not differing(world)
        assert await quantity(world) == D(held or 0) + D(difference)
        event = (await story_of(world, await last(world)))[-1]
        assert (event.reason.code, event.reason.operator_name) == ("ADJUSTMENT", "ada")
        assert event.reason.message == "moved to another account"
        await told(world)
        assert not differing(world)
        happen(world, ("KO", difference, "79", ""))
        await told(world)
        assert len(differing(world)) == 1, "what was accepted once is not accepted for ever"

    live(tmp_path, story)


def test_an_operator_waits_for_the_broker(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        happen(world, ("KO", "25", "79", ""))
        await told(world)
        (record,) = differing(world)
        fault = Fault(kind=FaultKind.ANSWER_STATUS, path="/v2/positions", times=0)
        world.face.venue.faults.arm(fault)
        with pytest.raises(EngineError) as refused:
            await world.alive.engine.resolve_discrepancy(record.discrepancy_id, reason="mine", operator_name="")
        assert refused.value.reason == "BROKER_UNAVAILABLE"
        assert differing(world)

    live(tmp_path, story)


def test_several_strategies_in_one_symbol_have_their_own_shares(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await trade(world, "10", strategy="momentum")
        await trade(world, "6", strategy="carry")
        await trade(world, "-4", strategy="momentum")
        known = await position(world)
        assert known is not None
        assert {share.strategy: share.quantity for share in known.holding.shares} == {"momentum": D(6), "carry": D(6)}
        await trade(world, "-6", strategy="momentum")
        await trade(world, "-6", strategy="carry")
        assert await position(world) is None
        closed = await last(world)
        assert closed.position_id == known.position_id
        assert closed.closed_time is not None
        await told(world)
        assert not differing(world)

    live(tmp_path, story)


def test_an_execution_that_is_taken_back_leaves_the_position_as_it_had_been(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await trade(world, "10")
        sold = await trade(world, "-10")
        was = await last(world)
        assert not was.is_open
        (execution,) = [each for each in world.face.venue.ledger.executions.values() if each.side.value == "sell"]
        world.face.venue.bust(execution.execution_id)
        world.pump()
        await told(world)
        again = await position(world)
        assert again is not None
        assert (again.position_id, again.holding.quantity) == (was.position_id, D(10))
        assert again.holding.average_price == was.holding.tape[0].price
        assert order_of(world, sold).filled_quantity == 0
        assert not differing(world)

    live(tmp_path, story)


def test_a_split_is_booked_to_every_strategy(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await trade(world, "10", strategy="momentum")
        await trade(world, "20", strategy="carry")
        happen(world, ("KO", "-30", "0", "SPLIT"), ("KO", "90", "26.67", "SPLIT"))
        await told(world)
        known = await position(world)
        assert known is not None
        assert {share.strategy: share.quantity for share in known.holding.shares} == {"momentum": D(30), "carry": D(60)}
        assert (await story_of(world, known))[-1].reason.code == "SPLIT"
        assert not differing(world)
        await world.restart()
        await told(world)
        assert await quantity(world) == D(90), "once"

    live(tmp_path, story)


def test_an_option_that_runs_out_is_closed_at_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        happen(world, (CALL, "-2", "0", "OPEXP"))
        await told(world)
        assert not differing(world)
        closed = await last(world, CALL)
        assert (closed.is_open, closed.holding.shares[0].realized) == (False, D(-6))
        assert (await story_of(world, closed))[-1].reason.code == "EXPIRED"

    live(tmp_path, story, before=lambda world: happen(world, (CALL, "2", "3", "")))


def test_an_exercise_delivers_the_units_at_the_strike(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        happen(world, (CALL, "-2", "0", "OPEXC"), ("AAPL", "200", "250", "OPTRD"))
        await told(world)
        assert not differing(world)
        assert await position(world, CALL) is None
        held = await position(world, "AAPL")
        assert held is not None
        assert (held.holding.quantity, held.holding.average_price) == (D(200), D(250))
        assert (await story_of(world, held))[-1].reason.code == "DELIVERED"

    live(tmp_path, story, before=lambda world: happen(world, (CALL, "2", "3", "")))


def test_what_an_assignment_delivers_belongs_to_the_strategies_that_wrote_the_option(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await trade(world, "-2", PUT, "wheel")
        await trade(world, "-1", PUT, "income")
        happen(world, (PUT, "3", "0", "OPASN"), ("AAPL", "300", "250", "OPTRD"))
        await told(world)
        held = await position(world, "AAPL")
        assert held is not None
        assert {share.strategy: share.quantity for share in held.holding.shares} == {"wheel": D(200), "income": D(100)}
        assert held.holding.average_price == D(250)
        assert not differing(world)

    live(tmp_path, story)


def test_a_coin_fee_in_kind_is_awaited_then_booked(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await trade(world, "1", "BTC/USD", time_in_force=opb.TIME_IN_FORCE_GTC)
        happen(world, ("BTC/USD", "-0.0025", "0", ""))
        await told(world)
        assert not differing(world), "the broker tells of it at the end of the day"
        (account,) = world.face.venue.state.accounts.values()
        happen(world, ("BTC/USD", "0.0025", "0", ""), ("BTC/USD", "-0.0025", "0", "CFEE"))
        await told(world)
        assert await quantity(world, "BTC/USD") == D("0.9975") == account.held("BTC/USD")
        happen(world, ("BTC/USD", "-0.0001", "0", ""))
        await told(world)
        assert len(differing(world)) == 1, "more than any fee"

    live(tmp_path, story)


@pytest.mark.parametrize("place", [BEFORE_COMMIT, AFTER_COMMIT])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 6, 9])
def test_a_death_anywhere_comes_to_the_same_positions(tmp_path: Path, place: str, number: int) -> None:
    async def story(world: World) -> None:
        await trade(world, "10", strategy="momentum")
        world.arm(place, number)
        happen(world, ("KO", "-10", "0", "SPLIT"), ("KO", "30", "26.67", "SPLIT"))
        await world.live_on()
        await told(world)
        assert await quantity(world) == D(30)
        assert not differing(world)

    live(tmp_path, story)
