"""Decisions: recorded, approved, rejected, expired, sent once, and linked to what came of them."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from orderd.core import decision_story
from orderd.core.decisions import DecisionKind, DecisionStatus
from orderd.core.order import OrderState, Side
from orderd.core.trade import TradeState
from orderd.engine.errors import EngineError
from orderd.wire import enums
from tests.desk.deciding import (
    ASKED_ABOVE,
    approve,
    bare,
    decisions,
    in_,
    limits,
    naming,
    reject,
    status,
    to_close,
    to_open,
    to_order,
    told,
)
from tests.desk.trading import desk, held, is_closed, live, opened, protected, quote, until
from tests.engine.world import World

APPROVED, REJECTED, EXPIRED = DecisionStatus.APPROVED, DecisionStatus.REJECTED, DecisionStatus.EXPIRED
PENDING, EXECUTED, RECORDED = DecisionStatus.PENDING_APPROVAL, DecisionStatus.EXECUTED, DecisionStatus.RECORDED


def line(world: World, key: str = "d-1") -> str:
    found = told(world, key)
    return decision_story.story(found.decision, found.order, found.trade)


def test_a_small_decision_is_sent_at_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        made = await decisions(world).record(to_order(quantity="1", execute=True))
        assert made.decision.status is EXECUTED
        assert made.order is not None
        assert made.order.intent.decision_id == "d-1"
        await asyncio.sleep(1)
        assert [order.state for order in naming(world)] == [OrderState.FILLED]
        assert line(world) == "Entry filled"

    live(tmp_path, story, **ASKED_ABOVE)


def test_a_large_one_waits_and_is_sent_once_however_often_it_is_approved(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        made = await decisions(world).record(to_order(execute=True))
        assert made.decision.status is PENDING
        assert line(world) == "Waiting for approval, nothing sent"
        assert not naming(world)
        answers = await asyncio.gather(*(approve(world) for _ in range(50)))
        assert {answer.decision.status for answer in answers} == {EXECUTED}
        assert len({answer.order.order_id for answer in answers if answer.order is not None}) == 1
        assert sorted(answer.replayed for answer in answers) == [False, *[True] * 49]
        await asyncio.sleep(1)
        assert len(naming(world)) == 1
        assert held(world) == 10

    live(tmp_path, story, **ASKED_ABOVE)


def test_a_trade_is_opened_by_an_approval_and_told_with_its_stop_and_exit(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(to_open())
        made = await approve(world)
        assert made.trade is not None
        trade_id = made.trade.trade_id
        await until(world, trade_id, lambda trade: trade.state is TradeState.OPEN and bool(trade.protected_quantity))
        await asyncio.sleep(1)
        assert line(world) == "Entry filled, trade open"
        assert len(told(world).decision.order_ids) == 2, "the entry and its stop"
        quote(world, "82")
        exit_made = await decisions(world).record(to_close(trade_id, execute=True))
        assert exit_made.decision.status is EXECUTED
        await until(world, trade_id, is_closed)
        await asyncio.sleep(1)
        assert line(world) == "Entry filled, trade closed, P&L 20"
        assert line(world, "d-2") == "Exit filled, trade closed, P&L 20"
        (exit_order,) = told(world, "d-2").decision.order_ids
        assert exit_order in told(world).decision.order_ids, "also told with the trade it closes"

    live(tmp_path, story, **ASKED_ABOVE)


@pytest.mark.parametrize("make", [to_order, to_open])
@pytest.mark.parametrize("commits", [1, 2, 3])
def test_a_death_after_the_approval_is_healed(tmp_path: Path, make: object, commits: int) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(make())  # type: ignore[operator]
        world.arm("after commit", commits)
        with_it = asyncio.ensure_future(approve(world))
        await asyncio.wait([with_it, world.death], return_when=asyncio.FIRST_COMPLETED)
        await world.restart()
        await asyncio.sleep(5)
        assert status(world) is EXECUTED
        assert len(naming(world)) == (1 if make is to_order else 2)
        assert held(world) == 10
        again = await approve(world)
        assert again.replayed
        assert held(world) == 10

    live(tmp_path, story, **ASKED_ABOVE)


def test_an_approval_that_is_too_old_has_to_be_given_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(to_order())
        world.arm("after commit", 1)
        with_it = asyncio.ensure_future(approve(world))
        await asyncio.wait([with_it, world.death], return_when=asyncio.FIRST_COMPLETED)
        await world.kill()
        await asyncio.sleep(61)
        await world.start()
        await asyncio.sleep(1)
        now = told(world).decision
        assert now.status is PENDING
        assert now.reason is not None
        assert now.reason.code == "APPROVAL_LAPSED"
        assert not naming(world)
        assert (await approve(world)).decision.status is EXECUTED

    live(tmp_path, story, **ASKED_ABOVE)


def test_a_rejected_decision_sends_nothing_any_more(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(to_order())
        assert (await reject(world)).status is REJECTED
        assert (await reject(world)).version == told(world).decision.version, "a repeat is answered"
        for call in (approve(world), world.submit(decision_id="d-1"), opened(world, decision_id="d-1")):
            with pytest.raises(EngineError) as caught:
                await call
            assert caught.value.reason == "DECISION_ENDED"
        assert not naming(world)
        assert line(world) == "Rejected, nothing sent"

    live(tmp_path, story, **ASKED_ABOVE)


def test_a_decision_expires_by_itself(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(to_order(expires_time=in_(world, 10)))
        await asyncio.sleep(12)
        assert told(world).decision.status is EXPIRED
        for call in (approve(world), reject(world), world.submit(decision_id="d-1")):
            with pytest.raises(EngineError) as caught:
                await call
            assert caught.value.reason == "DECISION_EXPIRED"
        assert not naming(world)

    live(tmp_path, story, **ASKED_ABOVE)


def test_a_clock_that_jumps_expires_and_nothing_comes_back(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(to_order(expires_time=in_(world, 3600)))
        world.clock.skew = timedelta(hours=2)
        with pytest.raises(EngineError) as caught:
            await approve(world)
        assert caught.value.reason == "DECISION_EXPIRED"
        world.clock.skew = timedelta(0)
        with pytest.raises(EngineError):
            await approve(world)
        assert not naming(world)

    live(tmp_path, story, **ASKED_ABOVE)


def test_who_names_a_decision_that_waits_is_told_to_wait(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(to_order())
        head = world.alive.journal.head
        for call in (world.submit(decision_id="d-1"), opened(world, decision_id="d-1")):
            with pytest.raises(EngineError) as caught:
                await call
            assert caught.value.reason == "APPROVAL_REQUIRED"
        assert world.alive.journal.head == head, "nothing is recorded"
        await approve(world)
        with pytest.raises(EngineError) as caught:
            await world.submit(decision_id="d-1", quantity="100", client_order_id="another-large-one")
        assert caught.value.reason == "APPROVAL_REQUIRED", "an approval is for its own intent"

    live(tmp_path, story, **ASKED_ABOVE)


def test_many_small_orders_of_one_decision_are_one_large_one(tmp_path: Path) -> None:
    """Fifty at once, each 80 dollars where 500 are allowed: six stand. One that ended without a fill counts no more."""

    async def story(world: World) -> None:
        quote(world, "90")  # they rest
        await decisions(world).record(bare())

        async def small(number: int) -> str:
            try:
                await world.submit(decision_id="d-1", quantity="1", limit_price="80", client_order_id=f"small-{number}")
            except EngineError as error:
                return error.reason
            return "SENT"

        answers = await asyncio.gather(*(small(number) for number in range(50)))
        assert (answers.count("SENT"), answers.count("APPROVAL_REQUIRED")) == (6, 44)
        assert await small(0) == "SENT", "a repeat is answered"
        assert await small(99) == "APPROVAL_REQUIRED"
        with pytest.raises(EngineError) as caught:
            await opened(world, decision_id="d-1", quantity="1")
        assert caught.value.reason == "APPROVAL_REQUIRED"
        await asyncio.sleep(2)
        first = naming(world)[0]
        await world.cancel(first.order_id)
        await asyncio.sleep(5)
        assert await small(100) == "SENT"
        assert await small(101) == "APPROVAL_REQUIRED"
        await decisions(world).record(bare("d-2"))
        await world.submit(decision_id="d-2", quantity="6", limit_price="80", client_order_id="of-another")

    live(tmp_path, story, **ASKED_ABOVE)


def test_what_a_person_approved_does_not_count_for_small_ones_after_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(to_order())
        await approve(world)
        await world.submit(decision_id="d-1", quantity="6", limit_price="80", client_order_id="small")
        with pytest.raises(EngineError) as caught:
            await world.submit(decision_id="d-1", quantity="1", limit_price="80", client_order_id="too-much")
        assert caught.value.reason == "APPROVAL_REQUIRED"
        sold = await world.submit(
            decision_id="d-1", quantity="2", limit_price="70", client_order_id="sold", side=enums.SIDE.number[Side.SELL]
        )
        assert sold

    live(tmp_path, story, **ASKED_ABOVE)


def test_an_exit_never_waits(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        await world.alive.desk.decisions.record(to_open("d-9"))  # somebody else's large one, waiting
        made = await decisions(world).record(to_close(trade.trade_id, execute=True))
        assert made.decision.status is EXECUTED
        await until(world, trade.trade_id, is_closed)
        assert held(world) == 0

    live(tmp_path, story, **ASKED_ABOVE)


def test_an_order_that_is_proven_to_close_never_waits(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.submit(quantity="10", trace_id="bought")
        await asyncio.sleep(1)
        leave = to_order(quantity="10", side=Side.SELL, limit_price="79", kind=DecisionKind.EXIT, execute=True)
        assert (await decisions(world).record(leave)).decision.status is EXECUTED
        await asyncio.sleep(1)
        assert held(world) == 0
        again = to_order("d-2", quantity="10", side=Side.SELL, limit_price="79", kind=DecisionKind.EXIT, execute=True)
        assert (await decisions(world).record(again)).decision.status is PENDING, "it would open a short position"

    live(tmp_path, story, **ASKED_ABOVE)


def test_a_decision_that_its_caller_carries_out(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(bare())
        assert status(world) is RECORDED
        with pytest.raises(EngineError) as caught:
            await approve(world)
        assert caught.value.reason == "DECISION_WITHOUT_INTENT"
        with pytest.raises(EngineError) as caught:
            await world.submit(decision_id="d-1", quantity="10", limit_price="80")
        assert caught.value.reason == "APPROVAL_REQUIRED", "its own size is above the limit"
        order_id, _ = await world.submit(decision_id="d-1", quantity="5", limit_price="80")
        await asyncio.sleep(1)
        assert told(world).decision.order_ids == (order_id,)
        assert line(world) == "Entry filled"
        with pytest.raises(EngineError) as caught:
            await approve(world)
        assert caught.value.reason == "DECISION_ENDED", "it was used already"
        assert await world.submit(decision_id="d-1", quantity="5", limit_price="80") == (order_id, True)

    live(tmp_path, story, **ASKED_ABOVE)


def test_an_order_that_came_before_its_decision_is_linked(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        order_id, _ = await world.submit(decision_id="d-1")
        made = await decisions(world).record(bare())
        assert (made.decision.status, made.decision.order_ids) == (EXECUTED, (order_id,))

    live(tmp_path, story)


def test_links_survive_a_death(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(bare())
        world.arm("after commit", 1)
        submitted = asyncio.ensure_future(world.submit(decision_id="d-1"))
        await asyncio.wait([submitted, world.death], return_when=asyncio.FIRST_COMPLETED)
        await world.restart()
        await asyncio.sleep(1)
        assert status(world) is EXECUTED
        assert len(told(world).decision.order_ids) == 1

    live(tmp_path, story)


def test_one_id_is_one_decision(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        many = await asyncio.gather(*(decisions(world).record(to_order()) for _ in range(20)))
        assert sorted(made.replayed for made in many) == [False, *[True] * 19]
        with pytest.raises(EngineError) as caught:
            await decisions(world).record(to_order(quantity="11", model="another"))
        assert caught.value.reason == "DECISION_ID_REUSED"
        assert caught.value.metadata["differing_fields"] == "model,intent.submit_order.quantity"

    live(tmp_path, story, **ASKED_ABOVE)


def test_an_approval_looks_at_the_price(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(to_order())
        for price in (None, "81.61", "78.39"):
            with pytest.raises(EngineError) as caught:
                await approve(world, price=price)
            assert caught.value.reason == "PRICE_MOVED"
            assert caught.value.metadata["decision_price"] == "80"
        assert status(world) is PENDING
        assert (await approve(world, price="81.6")).decision.status is EXECUTED

    live(tmp_path, story, policy={"limits": limits(approval_price_percent=Decimal(2))})


def test_an_approval_asks_the_gate_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await decisions(world).record(to_order())
        await decisions(world).record(to_open("d-2"))
        for key in ("d-1", "d-2"):
            with pytest.raises(EngineError) as caught:
                await approve(world, key)
            assert (caught.value.reason, caught.value.metadata["limit"]) == ("RISK_DENIED", "MAX_ORDER_QUANTITY")
            assert status(world, key) is PENDING
        assert not world.orders()

    live(tmp_path, story, policy={"limits": limits(max_order_quantity=Decimal(9))})


def test_what_could_never_be_carried_out_is_not_recorded(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        head = world.alive.journal.head
        asks = (
            (to_close("no-such-trade"), "TRADE_NOT_FOUND"),
            (bare(linked_trade_id="no-such-trade"), "TRADE_NOT_FOUND"),
            (bare(account_id="nobody"), "ACCOUNT_NOT_FOUND"),
            (to_open(tick="80.001"), "PRICE_INCREMENT"),
        )
        for ask, reason in asks:
            with pytest.raises(EngineError) as caught:
                await decisions(world).record(ask)
            assert caught.value.reason == reason
        for call in (approve(world), reject(world)):
            with pytest.raises(EngineError) as caught:
                await call
            assert caught.value.reason == "DECISION_NOT_FOUND"
        assert world.alive.journal.head == head
        trade = await protected(world)
        await desk(world).close(trade.trade_id, timeout_s=10)
        with pytest.raises(EngineError) as caught:
            await decisions(world).record(to_close(trade.trade_id))
        assert caught.value.reason == "TRADE_ENDED"

    live(tmp_path, story)


def test_a_caller_who_gives_up_leaves_nothing_half_done(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for number in range(20):
            key = f"d-{number}"
            await decisions(world).record(to_order(key, quantity="7"))
            impatient = asyncio.ensure_future(approve(world, key))
            await asyncio.sleep(number * 0.0005)
            impatient.cancel()
            await asyncio.sleep(1)
            await approve(world, key)
            assert len(naming(world, key)) == 1
        assert held(world) == 140

    live(tmp_path, story, **ASKED_ABOVE)


def test_what_came_too_late_is_written_down_and_never_sent(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        late = await decisions(world).record(to_order(quantity="1", execute=True, expires_time=in_(world, -1)))
        assert late.decision.status is EXPIRED
        assert not world.orders()

    live(tmp_path, story)


def test_without_a_limit_nothing_waits(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert (await decisions(world).record(to_order())).decision.status is RECORDED
        assert (await approve(world)).decision.status is EXECUTED
        assert (await decisions(world).record(to_open("d-2", quantity=None, execute=True))).decision.status is EXECUTED

    live(tmp_path, story)
