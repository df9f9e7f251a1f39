"""Risk as it is asked for: how an account stands, the breaker fed by completed trades, the kill switch and its proof.

The real desk, engine, journal, adapter and venue in virtual time.
"""

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from oms.v1 import order_pb2 as opb
from oms.v1 import trade_service_pb2 as trade_pb
from orderd.core.order import OrderRole, Side
from orderd.core.trade import TradeState
from orderd.desk.flatten import NOT_DONE, UNCOMPARED, UNREAD, Proof
from orderd.desk.risk import RiskDesk
from orderd.engine.api import Wait
from orderd.risk.breaker import Breaker
from orderd.risk.limits import Limits, TradingState
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.orders import OrderType
from tests.desk.trading import desk, held, is_closed, live, opened, protected, quote, until
from tests.engine.differing import by_hand
from tests.engine.world import ACCOUNT, World, intent

BREAKER = Limits(max_daily_loss_percent=Decimal(1), max_losses_in_a_row=3)
SELL = {"side": opb.SIDE_SELL}


def risk(world: World) -> RiskDesk:
    return world.alive.desk.risk


def breaker(world: World) -> Breaker:
    return world.alive.workers.account.risk.day()


def told(world: World) -> list[str]:
    """The types of the account's risk events, oldest first."""
    kinds = []
    for event in world.desk_events():
        if event.WhichOneof("subject") == "risk_status":
            kinds.append(trade_pb.DeskEventType.Name(event.type).removeprefix("DESK_EVENT_TYPE_"))
    return kinds


async def lose(world: World, key: str, *, at: str = "79", quantity: str = "10") -> None:
    """A trade of KO at 80 that is closed at another price."""
    trade = await protected(world, key, quantity=quantity, stop_loss_price=Decimal(40))
    quote(world, at)
    await desk(world).close(trade.trade_id, timeout_s=20)
    await until(world, trade.trade_id, is_closed)
    quote(world, "80")
    await asyncio.sleep(2)


async def flattened(world: World, *, close: bool, timeout_s: float = 60) -> Proof:
    return await risk(world).flatten(
        ACCOUNT, reason="a test", operator_name="t", close_positions=close, timeout_s=timeout_s
    )


# ------------------------------------------------------------------------------------------------------ how it stands


def test_how_an_account_stands(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await protected(world, "t-1")
        await world.submit(client_order_id="rests", symbol="F", limit_price="0.5")
        await asyncio.sleep(1)
        standing = await risk(world).status(ACCOUNT)
        assert (standing.open_orders, standing.open_positions, standing.unprotected_quantity) == (2, 2, 0)
        used = dict(standing.used)
        assert used["max_open_orders"] == "2"
        assert used["max_losses_in_a_row"] == "0"
        assert standing.day_end is not None
        assert (standing.sequence, standing.state.version) == (0, 0)
        after = await risk(world).set_trading_state(
            ACCOUNT, TradingState.HALTED, reason="a test", operator_name="t", freeze_protection=True
        )
        assert after.state.is_frozen
        assert after.sequence > 0
        assert told(world) == ["TRADING_STATE_CHANGED"]

    live(tmp_path, story, policy={"limits": BREAKER})


def test_a_frozen_account_places_no_stop_and_does_when_it_thaws(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        made = await opened(world, "t-1", quantity="10")
        await risk(world).set_trading_state(
            ACCOUNT, TradingState.HALTED, reason="a test", operator_name="t", freeze_protection=True
        )
        await asyncio.sleep(3)
        standing = await risk(world).status(ACCOUNT)
        assert standing.unprotected_quantity == held(world)
        await risk(world).set_trading_state(
            ACCOUNT, TradingState.HALTED, reason="a test", operator_name="t", freeze_protection=False
        )
        await until(world, made.trade.trade_id, lambda trade: trade.protected_quantity == trade.open_quantity)

    live(tmp_path, story)


# -------------------------------------------------------------------------------------------------------- the breaker


def test_completed_trades_trip_the_breaker_and_each_counts_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await lose(world, "t-1")
        assert (breaker(world).realised, breaker(world).losses_in_a_row) == (-10, 1)
        await lose(world, "t-2", at="81")
        assert (breaker(world).realised, breaker(world).losses_in_a_row) == (0, 0)
        for number in range(3):
            await lose(world, f"t-{number + 3}")
        assert (breaker(world).realised, breaker(world).losses_in_a_row) == (-30, 3)
        denied = await opened(world, "t-9")
        await until(world, denied.trade.trade_id, lambda trade: trade.state is TradeState.NEVER_OPENED)
        assert told(world) == ["CIRCUIT_BREAKER_TRIPPED"]
        before = breaker(world)
        for _ in range(3):
            await world.restart()
            await asyncio.sleep(3)
            assert breaker(world) == before
        await risk(world).reset_breaker(ACCOUNT, reason="a test", operator_name="t")
        assert told(world) == ["CIRCUIT_BREAKER_TRIPPED", "CIRCUIT_BREAKER_RESET"]
        await protected(world, "t-10")

    live(tmp_path, story, policy={"limits": BREAKER})


def test_an_exit_in_many_fills_is_one_result(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world, "t-1", quantity="9", stop_loss_price=Decimal(40))
        quote(world, "79")
        world.face.venue.set_auto_fill(is_on=False)
        closing = asyncio.create_task(desk(world).close(trade.trade_id, timeout_s=30))
        await asyncio.sleep(3)
        (leaving,) = [o for o in desk(world).orders(desk(world).get(trade.trade_id)) if o.intent.role is OrderRole.EXIT]
        for _ in range(3):
            world.face.venue.fill(leaving.intent.client_order_id, Decimal(3))
            world.pump()
            await asyncio.sleep(1.5)
        await closing
        await asyncio.sleep(2)
        assert (breaker(world).realised, breaker(world).losses_in_a_row) == (-9, 1)

    live(tmp_path, story, policy={"limits": BREAKER})


def test_a_trip_is_over_with_its_day_and_that_is_told(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        book = world.alive.workers.account.risk
        await book.base(Decimal(1000))
        await book.result("r-1", Decimal(-10), at=world.clock.now())
        assert told(world) == ["CIRCUIT_BREAKER_TRIPPED"]
        await asyncio.sleep(24 * 3600 + 10)
        assert told(world) == ["CIRCUIT_BREAKER_TRIPPED", "CIRCUIT_BREAKER_RESET"]
        assert breaker(world).trip is None

    live(tmp_path, story, policy={"limits": BREAKER, "reconcile_interval_s": 300})


# ----------------------------------------------------------------------------------------------------- the kill switch


def test_the_kill_switch_cancels_every_entry_other_peoples_too(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world, "t-1")
        for symbol in ("F", "AMD"):
            await world.submit(client_order_id=f"rests-{symbol}", symbol=symbol, limit_price="0.5")
        venue = world.face.venue
        venue.submit(next(iter(venue.state.accounts.values())), by_hand(symbol="SPY", limit_price=Decimal(1)))
        world.pump()
        proof = await flattened(world, close=False)
        assert proof.is_flat
        assert {order.intent.symbol for order in proof.canceled} == {"F", "AMD", "SPY"}
        assert all(not order.is_open for order in proof.canceled)
        assert held(world) == 10, "what is held stays, and stays protected"
        assert desk(world).get(trade.trade_id).protected_quantity == 10
        assert world.alive.workers.account.risk.state.trading_state is TradingState.HALTED
        assert told(world) == ["TRADING_STATE_CHANGED", "ACCOUNT_FLATTENED"]

    live(tmp_path, story)


def test_the_kill_switch_closes_long_short_and_what_no_trade_knows(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        venue = world.face.venue
        account = next(iter(venue.state.accounts.values()))
        venue.submit(account, by_hand(symbol="SPY", type=OrderType.MARKET, limit_price=None, quantity=Decimal(7)))
        venue.submit(account, by_hand(client_order_id="more", type=OrderType.MARKET, limit_price=None))
        world.pump()
        await asyncio.sleep(1)
        long = await protected(world, "t-1")
        quote(world, "10", "F")
        short = await protected(
            world, "t-2", symbol="F", side=Side.SELL, entry_price=Decimal(10), stop_loss_price=Decimal(12)
        )
        assert (held(world), held(world, "F"), held(world, "SPY")) == (20, -10, 7)
        proof = await flattened(world, close=True)
        assert (held(world), held(world, "F"), held(world, "SPY")) == (0, 0, 0)
        assert proof.is_flat, proof
        assert {each.symbol: (each.before, each.after, each.message) for each in proof.positions} == {
            "KO": (20, 0, ""), "F": (-10, 0, ""), "SPY": (7, 0, ""),
        }  # fmt: skip
        assert all(each.exit_order_id for each in proof.positions)
        assert not proof.live
        for trade in (long, short):
            assert desk(world).get(trade.trade_id).state is TradeState.CLOSED
        again = await flattened(world, close=True)
        assert again.is_flat
        assert not again.positions

    live(tmp_path, story)


def test_the_kill_switch_waits_for_an_exit_that_is_on_its_way(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.submit(client_order_id="held", quantity="10")
        await asyncio.sleep(1)
        world.face.venue.set_auto_fill(is_on=False)
        account = world.alive.workers.account
        leaving = msgspec.structs.replace(intent(client_order_id="leaves", quantity="10", **SELL), role=OrderRole.EXIT)
        await world.alive.engine.submit(leaving, wait=Wait.BROKER, timeout_s=5)
        asked = asyncio.ensure_future(flattened(world, close=True))
        await asyncio.sleep(5)
        world.face.venue.fill("leaves")
        world.pump()
        proof = await asked
        assert proof.is_flat
        assert [each.exit_order_id for each in proof.positions] == [account.blotter.by_key("paper", "leaves")]
        sold = [order for order in world.orders() if order.side == opb.SIDE_SELL]
        assert [order.client_order_id for order in sold] == ["leaves"]

    live(tmp_path, story)


def test_two_kill_switches_at_once_sell_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.submit(client_order_id="held", quantity="10")
        await asyncio.sleep(1)
        proofs = await asyncio.gather(*(flattened(world, close=True) for _ in range(3)))
        assert held(world) == 0
        assert all(proof.is_flat for proof in proofs)
        sold = [o for o in world.face.venue.ledger.orders.values() if o.side.value == "sell"]
        assert len(sold) == 1

    live(tmp_path, story)


@pytest.mark.parametrize(("path", "why"), [("/v2/positions", UNREAD), ("/v2/orders", UNCOMPARED)])
def test_without_a_reading_there_is_no_proof_and_it_says_why(tmp_path: Path, path: str, why: str) -> None:
    async def story(world: World) -> None:
        await world.submit(client_order_id="held", quantity="10")
        await asyncio.sleep(1)
        world.face.venue.faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, status=503, method="GET", path=path, times=0))
        proof = await flattened(world, close=True)
        assert (proof.is_flat, proof.unproven) == (False, why)
        assert world.alive.workers.account.risk.state.trading_state is TradingState.HALTED

    live(tmp_path, story)


@pytest.mark.parametrize("path", ["/v2/positions", "/v2/orders"])
def test_a_broker_that_stumbles_is_asked_again(tmp_path: Path, path: str) -> None:
    async def story(world: World) -> None:
        await world.submit(client_order_id="held", quantity="10")
        await asyncio.sleep(1)
        world.face.venue.faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, status=503, method="GET", path=path, times=4))
        proof = await flattened(world, close=True)
        assert (proof.is_flat, proof.unproven) == (True, "")
        assert held(world) == 0

    live(tmp_path, story)


def test_trades_are_closed_where_nobody_says_what_is_held(tmp_path: Path) -> None:
    """They begin to close, and say what is known of them; they are closed once the broker can be read."""

    async def story(world: World) -> None:
        trade = await protected(world)
        faults = world.face.venue.faults
        armed = faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, status=503, method="GET", path="/v2/positions", times=0))
        proof = await flattened(world, close=True)
        (position,) = proof.positions
        assert (position.symbol, position.before, position.after, position.message) == ("KO", 10, None, UNREAD)
        assert (proof.is_flat, proof.unproven) == (False, UNREAD)
        faults.clear(armed.fault_id)
        await until(world, trade.trade_id, is_closed)
        assert held(world) == 0

    live(tmp_path, story)


def test_who_is_answered_before_the_end_is_told_so(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.face.venue.faults.arm(Fault(kind=FaultKind.HOLD_ANSWER, method="GET", path="/v2/orders", barrier="b"))
        proof = await flattened(world, close=False, timeout_s=1)
        assert (proof.is_flat, proof.unproven) == (False, NOT_DONE)
        world.face.venue.faults.barriers.release("b")
        world.pump()

    live(tmp_path, story)


def test_an_order_that_does_not_end_is_told_as_live_and_the_work_goes_on(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.submit(client_order_id="stuck", limit_price="0.5")
        await asyncio.sleep(1)
        world.face.venue.faults.arm(
            Fault(kind=FaultKind.ANSWER_STATUS, status=503, method="DELETE", times=12, is_accepted=False)
        )
        proof = await flattened(world, close=False, timeout_s=3)
        assert not proof.is_flat
        assert [order.intent.client_order_id for order in proof.live] == ["stuck"]
        await asyncio.sleep(120)
        assert (await flattened(world, close=False)).is_flat

    live(tmp_path, story)


def test_what_waits_in_line_is_given_up_at_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.face.venue.faults.arm(Fault(kind=FaultKind.HOLD_ANSWER, order="first", barrier="b"))
        for key in ("first", "second"):
            await world.submit(client_order_id=key, limit_price="0.5")
        await risk(world).set_trading_state(
            ACCOUNT, TradingState.HALTED, reason="a test", operator_name="t", freeze_protection=False
        )
        second = await world.alive.engine.submit(
            intent(client_order_id="second", limit_price="0.5"), wait=Wait.JOURNAL, timeout_s=0
        )
        assert second.replayed
        assert (second.order.state, second.order.reason.code) == ("SUBMIT_FAILED", "TRADING_HALTED")
        world.face.venue.faults.barriers.release("b")
        world.pump()

    live(tmp_path, story)
