"""What differs is recorded with its fact, stops what it must, is compared again, and is settled by evidence or by word.

The real engine, journal, adapter and venue in virtual time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.v1 import order_pb2 as opb
from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.facts import Verdicts
from orderd.core.order import EventSource, OrderState
from orderd.engine.api import OrderRef, ReplaceAsk, ResolveAsk
from orderd.engine.errors import EngineError
from orderd.ports import Discrepancy, DiscrepancyFilter
from orderd.system import run_virtual
from orderd.venue.dialect import Lookup
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.orders import NewOrder, OrderType, Side, Status, TimeInForce
from orderd.venue.orders import Order as VenueOrder
from tests.e2e.books import state_of
from tests.engine.world import ACCOUNT, World
from tests.reach import Reached

K = DiscrepancyKind
WORD: dict[str, Any] = {"reason": "the broker called", "evidence": "ticket 7", "operator_name": "ann"}


def live(directory: Path, story: Callable[[World], Awaitable[None]], **options: Any) -> None:  # noqa: ANN401
    """Tell a story in a world that begins ready, and judge nothing but what the story does."""

    async def tell() -> None:
        world = World(directory, 7, **options)
        await world.start()
        world.face.venue.set_auto_fill(is_on=False)
        await story(world)
        await world.kill()

    run_virtual(tell)


def arm(world: World, kind: FaultKind, **fields: Any) -> None:  # noqa: ANN401
    world.face.venue.faults.arm(Fault(**{"kind": kind, "times": 0, **fields}))


def calm(world: World) -> None:
    world.face.venue.faults.clear()


async def working(world: World, name: str, **fields: Any) -> str:  # noqa: ANN401
    """An order of ten that rests at the venue."""
    order_id, _ = await world.submit(client_order_id=name, **({"quantity": "10", "limit_price": "80"} | fields))
    await until(world, order_id, "ACCEPTED")
    return order_id


async def submitted(world: World, **fields: Any) -> str:  # noqa: ANN401
    """An order in KO with a key of its own."""
    name = f"k-{len(world.orders())}"
    order_id, _ = await world.submit(**({"client_order_id": name, "symbol": "KO", "limit_price": "80"} | fields))
    return order_id


async def until(world: World, order_id: str, *states: str) -> opb.Order:
    async with asyncio.timeout(60):
        while True:
            found = next((order for order in world.orders() if order.order_id == order_id), None)
            if found is not None and state_of(found) in states:
                return found
            await asyncio.sleep(0.05)


async def settled(world: World, seconds: float = 3) -> None:
    """Past the time in which an order that was heard of just now is not compared, and compared then."""
    world.pump()
    await asyncio.sleep(seconds)
    assert await world.reconcile()


async def found(world: World) -> dict[DiscrepancyKind, Discrepancy]:
    return {record.kind: record for record in await world.discrepancies()}


async def story_of(world: World) -> list[Discrepancy]:
    page = await world.alive.journal.list_discrepancies(DiscrepancyFilter(), after_key=None, limit=100)
    return list(page.records)


async def resolve(world: World, order_id: str, verdict: Verdicts, **said: Any) -> None:  # noqa: ANN401
    await world.alive.engine.resolve_order(OrderRef(order_id=order_id), ResolveAsk(verdict=verdict, **(WORD | said)))


async def close(world: World, record: Discrepancy) -> Discrepancy:
    return await world.alive.engine.resolve_discrepancy(
        record.discrepancy_id, reason="looked at it", operator_name="ann"
    )


def by_hand(**changes: Any) -> NewOrder:  # noqa: ANN401
    """What somebody at the broker's own screen asks for."""
    plain: dict[str, Any] = {
        "symbol": "KO", "side": Side.BUY, "type": OrderType.LIMIT, "time_in_force": TimeInForce.DAY,
        "quantity": Decimal(10), "limit_price": Decimal(80), "client_order_id": "by-hand",
    }  # fmt: skip
    return NewOrder(**(plain | changes))


async def refusal(call: Awaitable[object]) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await call
    return caught.value


def order_of(world: World, order_id: str) -> opb.Order:
    return next(order for order in world.orders() if order.order_id == order_id)


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
    """Let the journal die after so many commits; whether it came to that."""
    world = World(directory, after)
    await world.start()
    writer, runner = world.alive.journal._parts.writer, world.alive.runner
    world.face.venue.set_auto_fill(is_on=False)
    write, count = writer.write, 0

    def counted(batch: Any) -> Any:  # noqa: ANN401
        nonlocal count
        written = write(batch)
        count += 1
        if count == after:
            runner.kill()
        return written

    writer.write = counted  # type: ignore[method-assign]
    try:
        async with asyncio.timeout(30):
            for number in range(3):
                name = f"over-{number}"
                arm(world, FaultKind.OVERFILL, order=name, quantity=Decimal(2))
                await world.submit(client_order_id=name, quantity="10", symbol=("KO", "F", "AMD")[number])
                await asyncio.sleep(1)
    except TimeoutError:
        pass
    has_died = runner.is_dead
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


def test_a_bust_nobody_heard_of_is_booked_by_an_operators_word(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        order_id = await working(world, "bust")
        world.face.venue.fill("bust", Decimal(4))
        world.face.venue.fill("bust", Decimal(6))
        world.pump()
        await until(world, order_id, "FILLED")
        first, _ = world.face.venue.ledger.executions
        (fill, _) = world.fills(order_id)
        said = {"execution_id": fill.execution_id}
        error = await refusal(resolve(world, order_id, Verdicts.BUSTED, **said))
        assert (error.reason, error.metadata["broker_filled_quantity"]) == ("RESOLUTION_CONTRADICTED", "10")
        error = await refusal(resolve(world, order_id, Verdicts.BUSTED, execution_id="e-99"))
        assert error.reason == "RESOLUTION_NOT_ALLOWED"
        arm(world, FaultKind.DROP_FRAME, order="bust")
        world.face.venue.bust(first)
        await settled(world)
        assert K.QUANTITY_DIFFERS in await found(world)
        await resolve(world, order_id, Verdicts.BUSTED, **said)
        await settled(world)
        order = order_of(world, order_id)
        assert (order.filled_quantity, state_of(order)) == ("6", "CANCELED")
        assert not await world.discrepancies()
        assert not world.disagreements()
        told = next(e for e in world.events() if e.type == opb.ORDER_EVENT_TYPE_RESOLVED)
        assert told.source == opb.EVENT_SOURCE_OPERATOR
        assert (told.reason.evidence, told.reason.operator_name) == ("ticket 7", "ann")

    live(tmp_path, story)


def test_a_vanished_order_waits_for_an_operator_and_blocks_its_symbol(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        gone = await working(world, "gone")
        venue = world.face.venue
        venue.vanish_orders(next(iter(venue.state.accounts.values())))
        stays = await working(world, "stays", symbol="F", limit_price="9")
        sent = len(venue.ledger.received)
        await settled(world)
        record = (await found(world))[K.ORDER_VANISHED]
        assert (record.order_id, record.symbol) == (gone, "KO")
        assert world.alive.workers.account.blocked_symbols == {"KO"}
        assert state_of(order_of(world, gone)) == "ACCEPTED", "absent is never canceled"
        assert (await refusal(close(world, record))).reason == "DISCREPANCY_STANDS"
        error = await refusal(resolve(world, gone, Verdicts.NOT_PLACED))
        assert error.reason == "RESOLUTION_NOT_ALLOWED", "the broker had it once"
        error = await refusal(resolve(world, gone, Verdicts.ENDED, state=OrderState.CANCELED, expected_version=1))
        assert error.reason == "VERSION_CONFLICT"
        version = order_of(world, gone).version
        await resolve(world, gone, Verdicts.ENDED, state=OrderState.CANCELED, expected_version=version)
        ended = order_of(world, gone)
        assert (state_of(ended), ended.status_reason.message) == ("CANCELED", "the broker called")
        assert not await world.discrepancies(), "the record is closed in the commit that ends the order"
        (closed,) = await story_of(world)
        assert (closed.resolution, closed.resolved_by) == ("the order is CANCELED", EventSource.RECONCILER)
        assert not world.alive.workers.account.blocked_symbols
        methods = {request.method for request in list(venue.ledger.received)[sent:]}
        assert methods == {"GET"}, "an operator's word sends nothing"
        assert state_of(order_of(world, stays)) == "ACCEPTED"
        assert (await refusal(resolve(world, gone, Verdicts.NOT_PLACED))).reason == "ORDER_ENDED"
        again = await refusal(close(world, closed))
        assert (again.reason, again.metadata["resolved_by"]) == ("DISCREPANCY_RESOLVED", "RECONCILER")

    live(tmp_path, story)


def test_what_the_broker_can_tell_is_not_an_operators_to_say(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        order_id = await working(world, "alive")
        error = await refusal(resolve(world, order_id, Verdicts.ENDED, state=OrderState.CANCELED))
        assert (error.reason, error.metadata["broker_status"]) == ("RESOLUTION_CONTRADICTED", "new")
        arm(world, FaultKind.LOSE_REQUEST, method="GET")
        error = await refusal(resolve(world, order_id, Verdicts.ENDED, state=OrderState.CANCELED))
        assert error.reason == "BROKER_UNAVAILABLE"
        calm(world)
        arm(world, FaultKind.DROP_FRAME)
        world.face.venue.end("alive", Status.EXPIRED)
        world.pump()
        error = await refusal(resolve(world, order_id, Verdicts.ENDED, state=OrderState.CANCELED))
        assert error.reason == "RESOLUTION_CONTRADICTED"
        ended = order_of(world, order_id)
        assert (state_of(ended), ended.status_reason.source) == ("EXPIRED", opb.EVENT_SOURCE_BROKER_REPLY)
        same = await working(world, "same") if not arm(world, FaultKind.DROP_FRAME, order="same") else ""
        world.face.venue.end("same", Status.CANCELED)
        await resolve(world, same, Verdicts.ENDED, state=OrderState.CANCELED)
        assert order_of(world, same).status_reason.source != opb.EVENT_SOURCE_OPERATOR, "the broker's own word it is"
        assert not [e for e in world.events() if e.type == opb.ORDER_EVENT_TYPE_RESOLVED]

    live(tmp_path, story)


def test_an_order_on_its_way_is_nobodys_to_settle(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        arm(world, FaultKind.HOLD_ANSWER, method="POST", barrier="hang")
        order_id, _ = await world.submit(client_order_id="held", limit_price="80")
        await until(world, order_id, "SUBMITTED")
        for verdict in (Verdicts.NOT_PLACED, Verdicts.RESEND):
            assert (await refusal(resolve(world, order_id, verdict))).reason == "ORDER_IN_FLIGHT"
        queued, _ = await world.submit(client_order_id="queued", limit_price="80")
        error = await refusal(resolve(world, queued, Verdicts.NOT_PLACED))
        assert (error.reason, "cancel it" in error.message) == ("ORDER_IN_FLIGHT", True)
        await until(world, order_id, "UNKNOWN", "ACCEPTED")

    live(tmp_path, story)


BLIND = {"lookup": Lookup.NO}
"""Nothing that can be read shows a client id, so an outcome that was lost stays unknown."""


async def unknown(world: World, kind: FaultKind) -> str:
    """An order whose submit went out once and came to nothing that is known."""
    arm(world, kind, method="POST", times=1)
    order_id, _ = await world.submit(client_order_id="lost", quantity="10", limit_price="80")
    await until(world, order_id, "UNKNOWN")
    return order_id


def test_an_order_nobody_can_look_up_is_adopted_by_an_operators_word(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        arm(world, FaultKind.DROP_FRAME)
        order_id = await unknown(world, FaultKind.LOSE_ANSWER)
        calm(world)
        await settled(world)
        record = (await found(world))[K.OUTCOME_UNPROVEN]
        assert record.order_id == order_id
        assert state_of(await until(world, await submitted(world), "DENIED")) == "DENIED", "what is at stake is unknown"
        error = await refusal(
            resolve(world, order_id, Verdicts.ADOPT, broker_order_id="0f0f0f0f-0000-4000-8000-000000000000")
        )
        assert error.reason == "RESOLUTION_CONTRADICTED"
        other = await working(world, "other", symbol="F", limit_price="9")
        of_other = order_of(world, other).broker_order_id
        error = await refusal(resolve(world, order_id, Verdicts.ADOPT, broker_order_id=of_other))
        assert error.reason == "RESOLUTION_NOT_ALLOWED", "a broker order has one owner"
        (second,) = [o for o in world.face.venue.ledger.orders.values() if o.client_order_id == "lost"]
        await resolve(world, order_id, Verdicts.ADOPT, broker_order_id=second.order_id)
        adopted = order_of(world, order_id)
        assert (state_of(adopted), adopted.broker_order_id) == ("ACCEPTED", second.order_id)
        assert not await world.discrepancies()
        world.face.venue.fill("lost", Decimal(10))
        world.pump()
        await until(world, order_id, "FILLED")
        assert not world.alive.workers.account.halt_reason
        assert not world.disagreements()

    live(tmp_path, story, venue_options=BLIND)


def test_what_differs_is_not_adopted_whoever_says_so(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        order_id = await unknown(world, FaultKind.LOSE_REQUEST)
        venue = world.face.venue
        account = next(iter(venue.state.accounts.values()))
        theirs = venue.submit(account, by_hand(quantity=Decimal(3)))
        assert isinstance(theirs, VenueOrder)
        calls = resolve(world, order_id, Verdicts.ADOPT, broker_order_id=theirs.order_id)
        assert (await refusal(calls)).reason in {"RESOLUTION_CONTRADICTED", "RESOLUTION_NOT_ALLOWED"}
        assert state_of(order_of(world, order_id)) == "UNKNOWN"
        assert not world.alive.workers.account.halt_reason, "a slip of the pen stops nothing"

    live(tmp_path, story, venue_options=BLIND)


def test_an_order_that_never_arrived_is_given_up_by_an_operators_word(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        order_id = await unknown(world, FaultKind.LOSE_REQUEST)
        await asyncio.sleep(120)
        assert state_of(order_of(world, order_id)) == "UNKNOWN", "no proof, no end"
        await resolve(world, order_id, Verdicts.NOT_PLACED)
        ended = order_of(world, order_id)
        assert (state_of(ended), ended.status_reason.code) == ("SUBMIT_FAILED", "NOT_PLACED")
        assert ended.status_reason.operator_name == "ann"
        assert len([r for r in world.face.venue.ledger.received if r.method == "POST"]) == 1

    live(tmp_path, story, venue_options=BLIND)


def test_an_order_that_never_arrived_is_sent_again_by_an_operators_word(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        order_id = await unknown(world, FaultKind.LOSE_REQUEST)
        await asyncio.sleep(5)
        await resolve(world, order_id, Verdicts.RESEND)
        await until(world, order_id, "ACCEPTED")
        posts = [r for r in world.face.venue.ledger.received if r.method == "POST"]
        assert [r.client_order_id for r in posts] == ["lost", "lost"]
        assert not world.books().doubles()

    live(tmp_path, story, venue_options=BLIND)


def test_an_order_is_too_old_to_be_sent_again_whoever_says_so(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        order_id = await unknown(world, FaultKind.LOSE_REQUEST)
        await asyncio.sleep(90)
        await resolve(world, order_id, Verdicts.RESEND)
        assert (await until(world, order_id, "SUBMIT_FAILED")).status_reason.code == "STALE"
        assert len([r for r in world.face.venue.ledger.received if r.method == "POST"]) == 1

    live(tmp_path, story, venue_options=BLIND)


def test_an_account_that_halted_is_not_resumed_by_closing_its_record(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for number in range(3):
            await working(world, f"gone-{number}")
        venue = world.face.venue
        venue.vanish_orders(next(iter(venue.state.accounts.values())))
        await asyncio.sleep(3)
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


def test_what_nobody_knows_of(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        engine = world.alive.engine
        call = engine.resolve_discrepancy("d-99", reason="r", operator_name="")
        assert (await refusal(call)).reason == "DISCREPANCY_NOT_FOUND"
        assert (await refusal(resolve(world, "o-99", Verdicts.NOT_PLACED))).reason == "ORDER_NOT_FOUND"

    live(tmp_path, story)
