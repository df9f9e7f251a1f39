"""Brackets, OCO, OTO and multi-leg orders: legs are orders from the submit on, and each leg has its own fills."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.e2e.audit import audit
from tests.e2e.harness import House, state_of, trading

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS = ("AAPL261218C00190000", "AAPL261218C00200000")
BRACKET: dict[str, Any] = {
    "symbol": "AAPL",
    "quantity": "10",
    "order_class": opb.ORDER_CLASS_BRACKET,
    "take_profit": opb.TakeProfit(limit_price="200"),
    "stop_loss": opb.StopLoss(stop_price="180"),
}


async def quiet(house: House) -> None:
    """AAPL stands at 190, options at their prices, and nothing trades by itself."""
    await house.venue.quote("AAPL", "190", "190.01")
    await house.venue.quote(CALLS[0], "8", "8.1")
    await house.venue.quote(CALLS[1], "3", "3.1")
    await house.venue.settings(is_auto_fill=False)


async def legs_of(house: House, order: opb.Order) -> list[opb.Order]:
    """The legs, in their order, as the journal has them now."""
    listed = await house.orders.ListOrders(pb.ListOrdersRequest(page_size=1000))
    return sorted((o for o in listed.orders if o.parent_order_id == order.order_id), key=lambda o: o.leg_number)


def states(*orders: opb.Order) -> list[str]:
    return [state_of(order) for order in orders]


async def test_a_bracket_from_its_entry_to_its_profit(house: House) -> None:
    await quiet(house)
    order = await house.submit(client_order_id="g-bracket", trace_id="g-1", **BRACKET)
    profit, stop = await legs_of(house, order)
    assert [leg.role for leg in (profit, stop)] == [opb.ORDER_ROLE_TAKE_PROFIT, opb.ORDER_ROLE_STOP_LOSS]
    assert (profit.limit_price, stop.stop_price, profit.side) == ("200", "180", opb.SIDE_SELL)
    assert [leg.trace_id for leg in (profit, stop)] == ["g-1", "g-1"]
    assert profit.broker_order_id
    assert stop.broker_order_id
    assert states(profit, stop) == ["SUBMITTED", "SUBMITTED"]

    await house.venue.fill("g-bracket", "4", "190")
    await house.until(order.order_id, "PARTIALLY_FILLED")
    await house.venue.fill("g-bracket", "6", "190.01")
    await house.until(order.order_id, "FILLED")
    await house.until(profit.order_id, "ACCEPTED")
    await house.venue.fill(profit.broker_order_id, "10", "200.5")
    await house.until(profit.order_id, "FILLED")
    await house.until(stop.order_id, "CANCELED")
    assert [len(house.tape.fills(o.order_id)) for o in (order, profit, stop)] == [2, 1, 0]
    await audit(house)


async def test_a_bracket_whose_stop_is_triggered(house: House) -> None:
    await quiet(house)
    await house.venue.settings(is_auto_fill=True)
    order = await house.submit(client_order_id="g-stopped", **BRACKET)
    await house.until(order.order_id, "FILLED")
    profit, stop = await legs_of(house, order)
    await house.until(profit.order_id, "ACCEPTED")
    await house.venue.quote("AAPL", "179", "179.02")
    await house.until(stop.order_id, "FILLED")
    await house.until(profit.order_id, "CANCELED")
    await audit(house)


async def test_a_bracket_cancelled_before_its_entry(house: House) -> None:
    await quiet(house)
    order = await house.submit(client_order_id="g-cancel", limit_price="185", **BRACKET)
    legs = await legs_of(house, order)
    await house.until(order.order_id, "ACCEPTED")
    assert state_of(await house.cancel(order.order_id)) == "CANCELED"
    for leg in legs:
        await house.until(leg.order_id, "CANCELED")
    await audit(house)


async def test_a_leg_is_cancelled_with_its_group_by_its_own_id(house: House) -> None:
    await quiet(house)
    order = await house.submit(client_order_id="g-leg-cancel", **BRACKET)
    await house.venue.fill("g-leg-cancel")
    await house.until(order.order_id, "FILLED")
    profit, stop = await legs_of(house, order)
    await house.until(profit.order_id, "ACCEPTED")
    assert state_of(await house.cancel(profit.order_id)) == "CANCELED"
    await house.until(stop.order_id, "CANCELED")
    await audit(house)


async def test_a_bracket_whose_answer_is_lost_is_adopted_with_its_legs(house: House) -> None:
    await quiet(house)
    await house.venue.arm("drop_frame", order="g-lost", times=0)
    await house.venue.arm("lose_answer", method="POST", order="g-lost")
    order = await house.submit(client_order_id="g-lost", **BRACKET)
    assert state_of(order) == "UNKNOWN"
    legs = await legs_of(house, order)
    await house.tape.until(lambda: all(house.tape.orders[each.order_id].broker_order_id for each in (order, *legs)))
    assert len(await house.venue.posts("g-lost")) == 1
    await house.cancel(order.order_id)
    for each in (order, *legs):
        await house.until(each.order_id, "CANCELED")
    await audit(house)


async def test_a_bracket_that_never_arrived_is_sent_again_with_its_legs(house: House) -> None:
    await quiet(house)
    await house.venue.arm("lose_request", method="POST", order="g-again")
    order = await house.submit(client_order_id="g-again", **BRACKET)
    await house.until(order.order_id, "ACCEPTED")
    legs = await legs_of(house, order)
    assert len(legs) == 2
    assert all(leg.broker_order_id for leg in legs)
    await house.cancel(order.order_id)
    for each in (order, *legs):
        await house.until(each.order_id, "CANCELED")
    await audit(house)


async def test_the_legs_of_a_rejected_or_denied_order_end_with_it(house: House) -> None:
    await quiet(house)
    rejected = await house.submit(client_order_id="g-rejected", **(BRACKET | {"quantity": "1000000"}))
    assert state_of(rejected) == "REJECTED"
    for leg in await legs_of(house, rejected):
        await house.until(leg.order_id, "REJECTED")
    denied = await house.submit(client_order_id="g-denied", **(BRACKET | {"quantity": "1.5"}))
    assert state_of(denied) == "DENIED"
    assert {state_of(leg) for leg in await legs_of(house, denied)} <= {"DENIED"}
    await audit(house)


async def test_one_cancels_other(house: House) -> None:
    await quiet(house)
    await house.venue.settings(is_auto_fill=True)
    entry = await house.submit(client_order_id="g-oco-entry", symbol="MSFT", quantity="5")
    await house.until(entry.order_id, "FILLED")
    order = await house.submit(
        client_order_id="g-oco",
        symbol="MSFT",
        quantity="5",
        side=opb.SIDE_SELL,
        type=opb.ORDER_TYPE_LIMIT,
        order_class=opb.ORDER_CLASS_OCO,
        take_profit=opb.TakeProfit(limit_price="450"),
        stop_loss=opb.StopLoss(stop_price="400", limit_price="399"),
    )
    (stop,) = await legs_of(house, order)
    assert (stop.type, stop.side, stop.role) == (
        opb.ORDER_TYPE_STOP_LIMIT,
        opb.SIDE_SELL,
        opb.ORDER_ROLE_STOP_LOSS,
    )
    await house.until(order.order_id, "ACCEPTED")
    await house.venue.quote("MSFT", "451", "451.02")
    done = await house.until(order.order_id, "FILLED")
    assert Decimal(done.average_fill_price) >= 450
    await house.until(stop.order_id, "CANCELED")
    await audit(house)


async def test_one_triggers_other(house: House) -> None:
    await quiet(house)
    await house.venue.settings(is_auto_fill=True)
    order = await house.submit(
        client_order_id="g-oto",
        symbol="AMD",
        quantity="3",
        order_class=opb.ORDER_CLASS_OTO,
        stop_loss=opb.StopLoss(stop_price="150"),
    )
    await house.until(order.order_id, "FILLED")
    (stop,) = await legs_of(house, order)
    await house.until(stop.order_id, "ACCEPTED")
    await house.venue.quote("AMD", "149", "149.01")
    await house.until(stop.order_id, "FILLED")
    await audit(house)


def spread(name: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the request
    """A call spread for a net debit of 5.20 at most."""
    legs = [
        opb.Leg(symbol=CALLS[0], ratio=1, side=opb.SIDE_BUY, position_intent=opb.POSITION_INTENT_BUY_TO_OPEN),
        opb.Leg(symbol=CALLS[1], ratio=1, side=opb.SIDE_SELL, position_intent=opb.POSITION_INTENT_SELL_TO_OPEN),
    ]
    asked: dict[str, Any] = {
        "client_order_id": name,
        "order_class": opb.ORDER_CLASS_MULTILEG,
        "quantity": "3",
        "limit_price": "5.2",
        "legs": legs,
    }
    return asked | fields


async def test_a_strategy_has_its_fills_on_its_legs(house: House) -> None:
    await quiet(house)
    order = await house.submit(**spread("g-mleg", trace_id="g-m"))
    assert (order.symbol, order.side) == ("", opb.SIDE_UNSPECIFIED)
    legs = await legs_of(house, order)
    assert [leg.order_id for leg in order.legs] == [leg.order_id for leg in legs]
    assert [leg.symbol for leg in legs] == list(CALLS)
    assert all(leg.broker_order_id for leg in legs)
    await house.until(order.order_id, "ACCEPTED")
    await house.venue.fill("g-mleg", "1", "5.1")
    await house.venue.fill("g-mleg", "2", "5.1")
    done = await house.until(order.order_id, "FILLED")
    assert (done.filled_quantity, done.average_fill_price, done.leaves_quantity) == ("3", "5.1", "0")
    assert house.tape.fills(order.order_id) == [], "a strategy never makes a fill of its own"
    for leg in legs:
        await house.until(leg.order_id, "FILLED")
        assert [fill.quantity for fill in house.tape.fills(leg.order_id)] == ["1", "2"]
        assert {fill.trace_id for fill in house.tape.fills(leg.order_id)} == {"g-m"}
    await audit(house)


async def test_a_strategys_dropped_frames_are_made_up_for(house: House) -> None:
    await quiet(house)
    order = await house.submit(**spread("g-mleg-drop"))
    await house.until(order.order_id, "ACCEPTED")
    await house.venue.arm("drop_frame", order="g-mleg-drop", times=0)
    await house.venue.fill("g-mleg-drop", "1", "5.1")
    await house.reconcile()
    await house.until_order(order.order_id, filled_quantity="1")
    await house.venue.calm()
    await house.venue.fill("g-mleg-drop", "2", "5.1")
    await house.until(order.order_id, "FILLED")
    for leg in await legs_of(house, order):
        await house.until(leg.order_id, "FILLED")
    await audit(house)


async def test_a_strategy_is_cancelled_with_its_legs(house: House) -> None:
    await quiet(house)
    order = await house.submit(**spread("g-mleg-cancel", limit_price="1"))
    await house.until(order.order_id, "ACCEPTED")
    assert state_of(await house.cancel(order.order_id)) == "CANCELED"
    for leg in await legs_of(house, order):
        await house.until(leg.order_id, "CANCELED")
    await audit(house)


async def test_a_strategy_whose_answer_is_lost_is_adopted_with_its_legs(house: House) -> None:
    await quiet(house)
    await house.venue.arm("lose_answer", method="POST", order="g-mleg-lost")
    order = await house.submit(**spread("g-mleg-lost"))
    await house.until(order.order_id, "ACCEPTED")
    await house.venue.fill("g-mleg-lost", "3", "5.1")
    await house.until(order.order_id, "FILLED")
    for leg in await legs_of(house, order):
        await house.until(leg.order_id, "FILLED")
    assert len(await house.venue.orders("g-mleg-lost")) == 1
    await audit(house)


async def test_groups_survive_a_crash(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"paper": {"submit_timeout_s": 30}}) as house:
        await quiet(house)
        bracket = await house.submit(client_order_id="g-b", **BRACKET)
        strategy = await house.submit(**spread("g-m"))
        await house.venue.arm("drop_frame", times=0)
        await house.venue.arm("hold_answer", method="POST", order="g-cut", barrier="never")
        cut = await house.orders.SubmitOrder(
            pb.SubmitOrderRequest(
                side=opb.SIDE_BUY,
                type=opb.ORDER_TYPE_MARKET,
                time_in_force=opb.TIME_IN_FORCE_DAY,
                client_order_id="g-cut",
                wait=pb.SUBMIT_WAIT_JOURNAL,
                **BRACKET,
            )
        )
        await house.venue.waiting("never")
        await house.kill()
        await house.venue.calm()
        await house.venue.fill("g-b", "10", "190")
        await house.venue.fill("g-m", "2", "5.1")
        await house.venue.fill("g-cut", "3", "190.3")
        await house.restart()
        await house.until(bracket.order_id, "FILLED")
        await house.until_order(strategy.order_id, filled_quantity="2")
        await house.until_order(cut.order.order_id, filled_quantity="3")
        for order in (bracket, strategy, cut.order):
            assert all(leg.broker_order_id for leg in await legs_of(house, order))
        await audit(house)
