"""What can go wrong around a trade's stop and exits, one story each, told against the venue and judged from outside."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orderd.core.order import OrderRole
from orderd.core.trade import ExitReason, OnEntryEnd, OnPartial, Protection, TradeState
from orderd.engine.api import Wait
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.orders import Status
from tests.desk.judged import arm, fills, judged, pending, refusal
from tests.desk.trading import desk, exits, held, is_closed, is_protected, of, opened, protected, quote, stops, until
from tests.engine.world import World

# ------------------------------------------------------------------------------------------------------- stop and exit


@pytest.mark.parametrize("executed", [None, "10", "4"])
def test_the_stop_executes_while_the_exit_cancels_it(tmp_path: Path, executed: str | None) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        arm(
            world,
            FaultKind.FILL_CROSSES_CANCEL,
            method="DELETE",
            quantity=None if executed is None else Decimal(executed),
        )
        closed = await desk(world).close(trade.trade_id, timeout_s=15)
        assert closed.state is TradeState.CLOSED
        assert held(world) == 0
        (stop,) = stops(world, trade.trade_id)
        sold = [stop.filled_quantity, *(order.filled_quantity for order in exits(world, trade.trade_id))]
        assert sold == ([4, 6] if executed == "4" else [10])

    judged(tmp_path, story)


def test_no_exit_while_the_end_of_the_stop_is_not_proven(tmp_path: Path) -> None:
    """The cancel is taken and never done: it is CLOSING, an alarm is raised, and nothing is sold beside the stop."""

    async def story(world: World) -> None:
        trade = await protected(world)
        world.face.venue.change_settings(cancel_delay=timedelta(seconds=60))
        waiting = await desk(world).close(trade.trade_id, timeout_s=30)
        assert waiting.state is TradeState.CLOSING
        assert waiting.reason is not None
        assert waiting.reason.code == "STOP_END_UNPROVEN"
        assert not exits(world, trade.trade_id)
        await until(world, trade.trade_id, is_closed, seconds=60)
        assert held(world) == 0

    judged(tmp_path, story)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("status", "text"),
    [
        (403, "insufficient qty available for order (requested: 10, available: 0)"),
        (403, "potential wash trade detected. use complex orders"),
        (429, "rate limit exceeded"),
    ],
)
def test_a_stop_that_is_refused_for_the_moment_is_tried_again(
    tmp_path: Path, status: int, text: str, times: int
) -> None:
    async def story(world: World) -> None:
        refusal(world, status, text, times)
        trade = await protected(world)
        assert not exits(world, trade.trade_id)
        assert trade.unprotected_us < 8_000_000

    judged(tmp_path, story)


@pytest.mark.parametrize(
    ("status", "text", "times"),
    [
        (403, "insufficient qty available for order (requested: 10, available: 0)", 4),
        (422, "stop price must be less than current price", 1),
        (403, "account is not allowed to short", 1),
        (422, "invalid stop_price 75. sub-penny increment does not fulfill minimum pricing criteria", 2),
    ],
)
def test_a_stop_that_is_refused_for_good_is_an_exit_at_once(tmp_path: Path, status: int, text: str, times: int) -> None:
    async def story(world: World) -> None:
        refusal(world, status, text, times)
        trade = (await opened(world)).trade
        closed = await until(world, trade.trade_id, is_closed, seconds=10)
        assert closed.exit_reason is ExitReason.STOP_FALLBACK
        assert held(world) == 0
        assert len(stops(world, trade.trade_id)) == times

    judged(tmp_path, story)


def test_the_market_has_fallen_through_the_stop_before_it_is_placed(tmp_path: Path) -> None:
    """The venue's own rule refuses it."""

    async def story(world: World) -> None:
        trade = await pending(world)
        world.face.venue.change_settings(is_auto_fill=False)
        quote(world, "74")
        fills(world, trade)
        await asyncio.sleep(1)
        world.face.venue.set_auto_fill(is_on=True)
        world.pump()
        closed = await until(world, trade.trade_id, is_closed, seconds=10)
        assert closed.exit_reason is ExitReason.STOP_FALLBACK
        assert held(world) == 0

    judged(tmp_path, story)


def test_a_stop_that_is_triggered_and_does_not_execute_becomes_an_exit(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        world.face.venue.change_settings(is_auto_fill=False)
        quote(world, "74")
        await asyncio.sleep(4)
        assert not exits(world, trade.trade_id)
        await until(world, trade.trade_id, lambda _: bool(exits(world, trade.trade_id)))
        world.face.venue.set_auto_fill(is_on=True)
        world.pump()
        closed = await until(world, trade.trade_id, is_closed)
        assert closed.exit_reason is ExitReason.STOP_FALLBACK
        assert held(world) == 0

    judged(tmp_path, story)


@pytest.mark.parametrize(
    "how",
    [
        {"kind": FaultKind.ANSWER_STATUS, "status": 503, "is_accepted": False},
        {"kind": FaultKind.ANSWER_STATUS, "status": 503},
        {"kind": FaultKind.LOSE_REQUEST},
        {"kind": FaultKind.LOSE_ANSWER},
    ],
    ids=["not taken", "taken, and an error", "request lost", "answer lost"],
)
def test_the_broker_is_down_while_the_stop_is_placed(tmp_path: Path, how: dict[str, Any]) -> None:
    """Nothing is known and nothing works: one stop stands soon after it is back, however often it was sent."""

    async def story(world: World) -> None:
        trade = await pending(world)
        arms = [Fault(path="/v2", times=0, **how)]
        for fault in arms:
            world.face.venue.faults.arm(fault)
        fills(world, trade)
        await asyncio.sleep(40)
        bare = desk(world).get(trade.trade_id)
        assert bare.protection is not Protection.PROTECTED
        assert bare.unprotected_since is not None
        world.face.venue.faults.clear()
        await until(world, trade.trade_id, is_protected, seconds=20)
        assert held(world) == 10
        working = [order for order in world.face.venue.ledger.orders.values() if order.is_open]
        assert [order.leaves for order in working] == [10]

    judged(tmp_path, story)


# ------------------------------------------------------------------------------------------------------------- entries


@pytest.mark.parametrize("policy", list(OnEntryEnd))
def test_the_entry_is_cancelled_partly_filled(tmp_path: Path, policy: OnEntryEnd) -> None:
    async def story(world: World) -> None:
        # The broker takes the rest back itself, before we ask for it.
        trade = await pending(world, on_entry_end=policy, on_partial=OnPartial.WAIT)
        fills(world, trade, "3")
        await asyncio.sleep(1)
        assert not stops(world, trade.trade_id)
        world.face.venue.end(trade.children[0].client_order_id, Status.CANCELED)
        world.pump()
        if policy is OnEntryEnd.KEEP:
            await until(world, trade.trade_id, lambda trade: trade.protected_quantity == 3)
            return
        closed = await until(world, trade.trade_id, is_closed)
        assert closed.exit_reason is ExitReason.ENTRY_ENDED
        assert held(world) == 0

    judged(tmp_path, story)


def test_the_rest_of_an_entry_goes_so_that_the_stop_can_come(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await pending(world)
        fills(world, trade, "3")
        after = await until(world, trade.trade_id, is_protected, seconds=5)
        assert after.protected_quantity == 3
        assert after.unprotected_us < 5_000_000

    judged(tmp_path, story)


def test_a_fill_of_the_entry_crosses_the_cancel_of_its_rest(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await pending(world)
        arm(world, FaultKind.FILL_CROSSES_CANCEL, method="DELETE", quantity=Decimal(4))
        fills(world, trade, "3")
        await until(world, trade.trade_id, lambda trade: trade.protected_quantity == 7, seconds=10)

    judged(tmp_path, story)


def test_an_entry_that_executes_late_is_protected_too(tmp_path: Path) -> None:
    """The rest was cancelled, proven so, and executes all the same."""

    async def story(world: World) -> None:
        trade = await pending(world)
        fills(world, trade, "3")
        await until(world, trade.trade_id, is_protected)
        fills(world, trade, "7")
        await until(world, trade.trade_id, lambda trade: trade.protected_quantity == 10)
        assert held(world) == 10

    judged(tmp_path, story)


def test_an_entry_that_executes_after_the_trade_was_over_opens_it_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await pending(world)
        await desk(world).cancel_entry(trade.trade_id, "changed my mind")
        await until(world, trade.trade_id, lambda trade: trade.state is TradeState.NEVER_OPENED)
        fills(world, trade, "10")
        await until(world, trade.trade_id, is_protected)

    judged(tmp_path, story)


def test_a_late_execution_heard_before_the_account_was_compared_is_not_forgotten_by_a_death(tmp_path: Path) -> None:
    """Nothing is done for trades before that: a start after it reads the feed from what was not acted on."""

    async def story(world: World) -> None:
        trade = await pending(world)
        await desk(world).cancel_entry(trade.trade_id, "changed my mind")
        await until(world, trade.trade_id, lambda trade: trade.state is TradeState.NEVER_OPENED)
        others = [f"other-{number}" for number in range(3)]
        for key in others:
            await world.submit(client_order_id=key, symbol="AMD", quantity="1", limit_price="1", wait=Wait.BROKER)
        await world.kill()
        faults = world.face.venue.faults
        faults.arm(Fault(kind=FaultKind.LOSE_REQUEST, method="GET", path="/v2", times=0))
        await world.start(is_ready=False)
        await asyncio.sleep(2)
        fills(world, trade, "10")
        for key in others:
            await asyncio.sleep(8)
            world.face.venue.fill(key, Decimal(1))
            world.pump()
        await asyncio.sleep(8)
        (entry,) = of(world, trade.trade_id, OrderRole.ENTRY)
        assert entry.filled_quantity == 10
        assert desk(world).get(trade.trade_id).state is TradeState.NEVER_OPENED
        await world.kill()
        faults.clear()
        await world.start()
        await until(world, trade.trade_id, is_protected)

    judged(tmp_path, story)
