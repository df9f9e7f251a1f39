"""An operator's word about orders whose truth the broker cannot tell any more, and when it is refused.

The real engine, journal, adapter and venue in virtual time.
"""

import asyncio
from decimal import Decimal
from pathlib import Path

from oms.v1 import order_pb2 as opb
from orderd.core.facts import Verdicts
from orderd.core.order import EventSource, OrderState
from orderd.venue.dialect import Lookup
from orderd.venue.faults import FaultKind
from orderd.venue.orders import Order as VenueOrder
from orderd.venue.orders import Status
from tests.e2e.books import state_of
from tests.engine.differing import (
    K,
    arm,
    by_hand,
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
from tests.engine.world import World


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
