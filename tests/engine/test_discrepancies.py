"""What differs is recorded with its fact, stops what it must, is compared again, and is settled by evidence or by word.

The real engine, journal, adapter and venue in virtual time.
"""

import asyncio
import contextlib
from decimal import Decimal
from pathlib import Path

import pytest

from oms.v1 import order_pb2 as opb
from orderd.core.facts import Verdicts
from orderd.core.order import EventSource
from orderd.engine.api import ReplaceAsk
from orderd.ports import JournalError
from orderd.system import run_virtual
from orderd.venue.faults import FaultKind
from orderd.venue.orders import Change
from tests.e2e.books import state_of
from tests.engine.differing import (
    K,
    arm,
    calm,
    close,
    found,
    live,
    order_of,
    refusal,
    resolve,
    settled,
    story_of,
    submitted,
    until,
    working,
)
from tests.engine.seams import AFTER_COMMIT
from tests.engine.world import ACCOUNT, DeadError, World
from tests.reach import Reached

# ------------------------------------------------------------------------------------------- in the fact's transaction


@pytest.mark.scaled
def test_killed_after_any_commit_a_fact_and_its_record_are_both_there_or_neither(
    tmp_path: Path, reached: Reached
) -> None:
    """An overfill, an unasked end and a revival, and a death after each commit in turn."""
    points = 0
    for after in range(1, 40):
        directory = tmp_path / str(after)
        directory.mkdir()
        has_died = run_virtual(lambda directory=directory, after=after: _dying(directory, after))
        points += has_died
        if not has_died:
            break
    assert points > 5, "the story must have more commits than that"
    reached("P7", "deaths after a commit, each with a discrepancy and its fact both there or neither", points)


async def _dying(directory: Path, after: int) -> bool:
    """Let the process die after so many commits; whether it came to that."""
    world = World(directory, after)
    await world.start()
    world.face.venue.set_auto_fill(is_on=False)
    world.arm(AFTER_COMMIT, after)
    with contextlib.suppress(DeadError, TimeoutError, JournalError):
        async with asyncio.timeout(30):
            for number in range(3):
                name = f"over-{number}"
                arm(world, FaultKind.OVERFILL, order=name, quantity=Decimal(2))
                await world.submit(client_order_id=name, quantity="10", symbol=("KO", "F", "AMD")[number])
                await asyncio.sleep(1)
    has_died = world.is_dead
    await world.kill()
    calm(world)
    await world.start()
    over = {order.order_id for order in world.orders() if order.overfilled}
    recorded = {record.order_id for record in await story_of(world) if record.kind is K.OVERFILL}
    assert over == recorded
    assert len(over) == len(world.alive.workers.account.blocked_symbols)
    await world.kill()
    return has_died


# ----------------------------------------------------------------------------------------------------- what it stops


def test_an_overfilled_symbol_takes_no_entries_and_lets_everything_out(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        over = await working(world, "over", symbol="KO")
        resting = await working(world, "resting", symbol="KO")
        world.face.venue.fill("over", Decimal(12))
        world.pump()
        assert (await until(world, over, "FILLED")).overfilled
        (record,) = await world.discrepancies()
        assert (record.kind, record.order_id, record.symbol) == (K.OVERFILL, over, "KO")
        assert (record.expected, record.observed, record.source) == ("10", "12", EventSource.BROKER_STREAM)
        for _ in range(2):  # before and after a restart
            entry = await submitted(world)
            denied = await until(world, entry, "DENIED")
            assert denied.status_reason.code == "SYMBOL_BLOCKED"
            other = await submitted(world, symbol="F", limit_price="9")
            await until(world, other, "ACCEPTED")
            await world.restart()
        # 12 are held: what closes 12 passes, what would turn the position does not.
        too_much = await submitted(world, side=opb.SIDE_SELL, quantity="13", limit_price="90")
        await until(world, too_much, "DENIED")
        out = await submitted(world, side=opb.SIDE_SELL, quantity="8", limit_price="90")
        await until(world, out, "ACCEPTED")
        both = await submitted(world, side=opb.SIDE_SELL, quantity="5", limit_price="90")
        await until(world, both, "DENIED")  # 8 of 12 are on their way out
        await world.replace(out, ReplaceAsk(request_id="r-1", quantity=Decimal(12)))
        await world.cancel(resting)
        await until(world, resting, "CANCELED")
        await close(world, record)
        assert not world.alive.workers.account.blocked_symbols
        entry = await submitted(world)
        await until(world, entry, "ACCEPTED")
        await settled(world)
        assert not await world.discrepancies(), "what an operator has taken note of is not brought up again"
        await world.restart()
        await settled(world)
        assert not await world.discrepancies()

    live(tmp_path, story)


def test_a_reconciliation_does_not_settle_what_is_on_its_way_into_the_journal(tmp_path: Path) -> None:
    """The record of an overfill is open as soon as it is handed over; the order that it is about still says nothing."""

    async def story(world: World) -> None:
        over = await working(world, "over", symbol="KO")
        discrepancies = world.alive.workers.discrepancies
        world.face.venue.fill("over", Decimal(12))
        world.pump()
        for _ in range(1000):
            if discrepancies.is_open(K.OVERFILL, over):
                break
            await asyncio.sleep(0.001)
        assert not order_of(world, over).overfilled, "the commit takes its time"
        await discrepancies.close_settled()
        assert (await until(world, over, "FILLED")).overfilled
        (record,) = await world.discrepancies()
        assert record.kind is K.OVERFILL

    live(tmp_path, story, slowest_commit_s=2)


def test_an_exit_waits_for_a_position_that_cannot_be_read(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        over = await working(world, "over")
        world.face.venue.fill("over", Decimal(12))
        world.pump()
        await until(world, over, "FILLED")
        arm(world, FaultKind.ANSWER_STATUS, method="GET", path="/v2/positions", status=500)
        exit_ = {"client_order_id": "exit", "side": opb.SIDE_SELL, "limit_price": "90"}
        error = await refusal(world.submit(**exit_))
        assert (error.reason, error.retry_after_s) == ("BROKER_UNAVAILABLE", 2)
        assert world.alive.journal.find_key(ACCOUNT, "exit") is None, "nothing is recorded: it may come again"
        calm(world)
        order_id, _ = await world.submit(**exit_)
        await until(world, order_id, "ACCEPTED")

    live(tmp_path, story)


# ---------------------------------------------------------------------------------------------------- compared again


def test_a_difference_is_closed_with_what_was_seen_when_it_is_gone(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        order_id = await working(world, "bust")
        world.face.venue.fill("bust", Decimal(4))
        world.pump()
        await until(world, order_id, "PARTIALLY_FILLED")
        arm(world, FaultKind.DROP_FRAME, order="bust")
        (execution,) = world.face.venue.ledger.executions
        world.face.venue.bust(execution)
        await settled(world)
        record = (await found(world))[K.QUANTITY_DIFFERS]
        assert (record.expected, record.observed) == ("4", "0")
        assert "is new with 0 executed" in record.evidence
        assert (await refusal(close(world, record))).reason == "DISCREPANCY_STANDS"
        await settled(world)
        assert len(await story_of(world)) == 1, "one open record, however often it is found"
        # The same execution again, as it were: the broker's figure is what the record says.
        world.face.venue.fill("bust", Decimal(4), world.face.venue.ledger.executions[execution].price)
        await settled(world)
        assert not await world.discrepancies()
        (record,) = await story_of(world)
        assert record.resolved_by is EventSource.RECONCILER
        assert "with 4 executed" in record.resolution
        assert not world.alive.workers.account.blocked_symbols

    live(tmp_path, story)


def test_a_bust_nobody_heard_of_shows_in_the_figure_of_an_elder(tmp_path: Path) -> None:
    """Its successor began after it, with nothing: only the elder itself counts less than is booked."""

    async def story(world: World) -> None:
        venue = world.face.venue
        order_id = await working(world, "elder")
        venue.fill("elder", Decimal(4))
        world.pump()
        await until(world, order_id, "PARTIALLY_FILLED")
        arm(world, FaultKind.DROP_FRAME, order="elder")
        venue.bust(next(iter(venue.ledger.executions)))
        venue.replace_by_person("elder", Change(quantity=Decimal(12)))
        world.pump()
        for _ in range(2):
            await settled(world)
            (record,) = await world.discrepancies()
            assert (record.kind, record.expected, record.observed) == (K.QUANTITY_DIFFERS, "4", "0")
        assert "is replaced with 0 executed" in record.evidence
        assert len(await story_of(world)) == 1, "one open record, however often it is found"
        arm(world, FaultKind.ANSWER_STATUS, method="GET", path=f"/v2/orders/{record.evidence.split()[0]}", status=500)
        await settled(world)
        assert len(await world.discrepancies()) == 1, "an elder that cannot be read proves nothing"
        calm(world)
        (fill,) = world.fills(order_id)
        await resolve(world, order_id, Verdicts.BUSTED, execution_id=fill.execution_id)
        await settled(world)
        assert not await world.discrepancies()
        assert not world.disagreements()

    live(tmp_path, story)


def test_on_an_order_that_is_over_the_operators_word_is_the_last(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        order_id = await working(world, "over")
        world.face.venue.fill("over", Decimal(4))
        world.face.venue.fill("over", Decimal(6))
        world.pump()
        await until(world, order_id, "FILLED")
        arm(world, FaultKind.DROP_FRAME)
        world.face.venue.bust(next(iter(world.face.venue.ledger.executions)))
        await settled(world)
        record = (await found(world))[K.QUANTITY_DIFFERS]
        arm(world, FaultKind.ANSWER_STATUS, method="GET", path="/v2/orders/", status=500)
        assert (await refusal(close(world, record))).reason == "BROKER_UNAVAILABLE", "first it is compared"
        calm(world)
        closed = await close(world, record)
        assert (closed.resolved_by, closed.resolution) == (EventSource.OPERATOR, "looked at it")
        for _ in range(2):  # the lists show it still, before and after a restart
            await settled(world)
            assert not await world.discrepancies(), "nobody is asked twice about the same thing"
            await world.restart()
        assert len(await story_of(world)) == 1

    live(tmp_path, story)


async def vanished(world: World) -> None:
    """Three orders have worked, and the broker has none of them any more."""
    for number in range(3):
        await working(world, f"gone-{number}")
    venue = world.face.venue
    venue.vanish_orders(next(iter(venue.state.accounts.values())))
    await asyncio.sleep(3)


def test_an_account_that_halted_is_not_resumed_by_closing_its_record(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await vanished(world)
        await world.reconcile()
        record = (await found(world))[K.MASS_DISAPPEARANCE]
        assert record.order_id == ""
        assert (await refusal(close(world, record))).reason == "DISCREPANCY_STANDS"
        assert world.alive.workers.account.halt_reason
        await world.alive.engine.resume_account(ACCOUNT, reason="they are gone indeed")
        await asyncio.sleep(10)
        assert not await world.discrepancies()
        assert {state_of(order) for order in world.orders()} == {"CANCELED"}
        (closed,) = [r for r in await story_of(world) if r.kind is K.MASS_DISAPPEARANCE]
        assert (closed.resolved_by, closed.resolution) == (EventSource.OPERATOR, "they are gone indeed")

    live(tmp_path, story)


@pytest.mark.parametrize("halted_s", range(60, 80, 4))
def test_a_verdict_that_waits_for_a_halted_account_is_given_when_it_is_resumed(tmp_path: Path, halted_s: int) -> None:
    """The looks for an unknown order are far apart by then: the next one does not wait for its time."""

    async def story(world: World) -> None:
        await vanished(world)
        arm(world, FaultKind.LOSE_REQUEST, method="POST")
        order_id, _ = await world.submit(client_order_id="lost", limit_price="0.5")
        await until(world, order_id, "UNKNOWN")
        calm(world)
        await world.reconcile()
        assert world.alive.workers.account.halt_reason
        await asyncio.sleep(halted_s)
        assert state_of(next(order for order in world.orders() if order.order_id == order_id)) == "UNKNOWN"
        await world.alive.engine.resume_account(ACCOUNT, reason="they are gone indeed")
        await asyncio.sleep(2)
        assert state_of(next(order for order in world.orders() if order.order_id == order_id)) != "UNKNOWN"

    live(tmp_path, story)


def test_what_nobody_knows_of(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        engine = world.alive.engine
        call = engine.resolve_discrepancy("d-99", reason="r", operator_name="")
        assert (await refusal(call)).reason == "DISCREPANCY_NOT_FOUND"
        assert (await refusal(resolve(world, "o-99", Verdicts.NOT_PLACED))).reason == "ORDER_NOT_FOUND"

    live(tmp_path, story)
