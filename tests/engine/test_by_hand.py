"""A person at the broker's own screen places, changes, cancels and fills orders, and the record follows.

The real engine, journal, adapter and venue in virtual time; half of the stream's frames never arrive.
"""

import asyncio
import random
from decimal import Decimal
from pathlib import Path

import pytest

from oms.v1 import order_pb2 as opb
from orderd.system import run_virtual
from orderd.venue.faults import FaultKind
from orderd.venue.orders import Change, Refused, Side, Status
from orderd.venue.orders import Order as VenueOrder
from tests.e2e.books import state_of
from tests.engine.differing import arm, by_hand, calm, live, order_of, until, working
from tests.engine.world import World
from tests.reach import Reached, scaled

CONVERGED_S = 30
"""Virtual seconds after the last fault until every order equals the broker's (promise P8)."""
BOOKED_S = 5
"""Virtual seconds after a reconnect until what was missed is booked (promise P8)."""


class Person:
    """Somebody at the broker's screen, whose hand a seed guides."""

    def __init__(self, world: World, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = world
        self.venue = world.face.venue
        self.account = next(iter(self.venue.state.accounts.values()))
        self.changes = 0

    def act(self) -> None:
        """One change: to an order that is open there, or a new one."""
        theirs = sorted(self.venue.state.book.open_of_account(self.account.account_id), key=lambda each: each.sequence)
        steps = [self._place] if not theirs else [self._place, self._cancel, self._expire, self._fill, self._replace]
        step = self.random.choice(steps)
        if step(self.random.choice(theirs) if theirs else None):
            self.changes += 1
            self.world.pump()

    def _place(self, _order: VenueOrder | None) -> bool:
        symbol, price = self.random.choice((("KO", 80), ("F", 9), ("AMD", 150)))
        new = by_hand(
            symbol=symbol,
            side=Side.BUY,
            quantity=Decimal(self.random.randint(1, 20)),
            limit_price=Decimal(price),
            client_order_id=f"hand-{self.random.randrange(10**12)}",
        )
        return not isinstance(self.venue.submit(self.account, new), Refused)

    def _cancel(self, order: VenueOrder) -> bool:
        self.venue.end(order.order_id, Status.CANCELED)
        return True

    def _expire(self, order: VenueOrder) -> bool:
        self.venue.end(order.order_id, Status.EXPIRED)
        return True

    def _fill(self, order: VenueOrder) -> bool:
        assert order.quantity is not None
        left = order.quantity - order.filled_quantity
        if left <= 0:
            return False
        quantity = left if self.random.random() < 0.4 else Decimal(self.random.randint(1, int(left)))
        price = Decimal(self.random.randint(100, 9000)) / 100
        self.venue.fill(order.order_id, quantity, price)
        return True

    def _replace(self, order: VenueOrder) -> bool:
        assert order.quantity is not None
        quantity = order.filled_quantity + self.random.randint(1, 9)
        change = self.random.choice((Change(quantity=quantity), Change(limit_price=Decimal(self.random.randint(5, 7)))))
        return not isinstance(self.venue.replace_by_person(order.order_id, change), Refused)


@pytest.mark.scaled
@pytest.mark.parametrize("seed", range(5))
def test_whatever_a_person_does_at_the_broker_is_followed(tmp_path: Path, reached: Reached, seed: int) -> None:
    async def day() -> tuple[int, int]:
        world = World(tmp_path, seed)
        await world.start()
        world.face.venue.set_auto_fill(is_on=False)
        person = Person(world, seed)
        arm(world, FaultKind.DROP_FRAME, probability=0.5)
        number = 0
        while person.changes < scaled(200):
            if person.random.random() < 0.2:
                number += 1
                await working(world, f"ours-{number}", quantity=str(person.random.randint(2, 20)))
            person.act()
            await asyncio.sleep(person.random.choice((0, 0.01, 0.3, 2)))
            if person.random.random() < 0.02:
                await world.restart()
        calm(world)
        await asyncio.sleep(CONVERGED_S)
        assert not world.disagreements()
        assert not await world.discrepancies()
        assert not world.alive.workers.account.halt_reason
        for order in world.orders():
            assert order.external is not order.client_order_id.startswith("ours-"), order
        await world.kill()
        return person.changes, len(world.orders())

    changes, orders = run_virtual(day)
    reached("P8", "changes made by hand at the broker, each followed to the last decimal in 30 s", changes)
    reached("P8", "orders equal to the broker's after a day of changes by hand", orders)


@pytest.mark.scaled
def test_fills_missed_while_the_stream_was_down_are_booked_in_time(tmp_path: Path, reached: Reached) -> None:
    async def day() -> int:
        world = World(tmp_path, 3, policy={"reconcile_interval_s": 300})
        await world.start()
        world.face.venue.set_auto_fill(is_on=False)
        missed = 0
        for number in range(scaled(100)):
            name = f"missed-{number}"
            order_id = await working(world, name)
            arm(world, FaultKind.DROP_FRAME, order=name)
            for session in list(world.face.sessions.values()):
                session.kick(1011)
            world.face.venue.fill(name, Decimal(4), Decimal("79.5"))
            world.face.venue.fill(name, Decimal(6), Decimal("79.75"))
            missed += 2
            world.pump()
            calm(world)
            async with asyncio.timeout(60):
                while not world.alive.workers.account.stream_connected or not world.face.sessions:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(BOOKED_S):
                await until(world, order_id, "FILLED")
            assert [(fill.quantity, fill.price) for fill in world.fills(order_id)] == [("4", "79.5"), ("6", "79.75")]
        assert not world.disagreements()
        await world.kill()
        return missed

    missed = run_virtual(day)
    reached("P8", "fills missed while the stream was down, each booked within 5 s of its reconnect", missed)


def test_a_person_replaces_our_order_and_its_terms_are_in_force(tmp_path: Path) -> None:
    async def day() -> None:
        world = World(tmp_path, 1)
        await world.start()
        world.face.venue.set_auto_fill(is_on=False)
        order_id = await working(world, "ours")
        arm(world, FaultKind.DROP_FRAME)
        successor = world.face.venue.replace_by_person("ours", Change(quantity=Decimal(7), limit_price=Decimal("78.5")))
        assert isinstance(successor, VenueOrder)
        world.pump()
        await asyncio.sleep(1)
        second = world.face.venue.replace_by_person(successor.order_id, Change(quantity=Decimal(8)))
        assert isinstance(second, VenueOrder)
        world.pump()
        await asyncio.sleep(3)
        assert await world.reconcile()
        order = order_of(world, order_id)
        assert (order.quantity, order.limit_price, order.broker_order_id) == ("8", "78.5", second.order_id)
        assert len(order.broker_order_ids) == 3
        assert not any(each.external for each in world.orders()), "a successor of ours is not somebody else's"
        world.face.venue.fill(second.order_id, Decimal(3))
        world.face.venue.end(second.order_id, Status.CANCELED)
        await asyncio.sleep(3)
        assert await world.reconcile()
        ended = order_of(world, order_id)
        assert (state_of(ended), ended.filled_quantity) == ("CANCELED", "3")
        assert not await world.discrepancies()
        await world.kill()

    run_virtual(day)


@pytest.mark.parametrize("role", [opb.ORDER_ROLE_TAKE_PROFIT, opb.ORDER_ROLE_STOP_LOSS])
def test_a_person_replaces_a_leg_before_its_name_is_in_the_journal(tmp_path: Path, role: int) -> None:
    """The answer that names the legs is still being written down; its successor is no second order of its own."""

    async def day() -> None:
        world = World(tmp_path, 1, slowest_commit_s=0.3)
        await world.start()
        venue = world.face.venue
        legs = {"take_profit": opb.TakeProfit(limit_price="95"), "stop_loss": opb.StopLoss(stop_price="70")}
        shape = {"order_class": opb.ORDER_CLASS_BRACKET, "symbol": "KO", "quantity": "4"}
        order_id, _ = await world.submit(client_order_id="entry", **shape, **legs)
        async with asyncio.timeout(5):
            while not any(order.filled_quantity for order in venue.ledger.orders.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        number = 0 if role == opb.ORDER_ROLE_TAKE_PROFIT else 1
        successor = venue.replace_by_person(venue.find("entry").leg_ids[number], Change(quantity=Decimal(3)))
        assert isinstance(successor, VenueOrder)
        world.pump()
        await asyncio.sleep(CONVERGED_S)
        assert len(world.orders()) == 3, "a leg's successor is that leg"
        (leg,) = (order for order in world.orders() if order.parent_order_id == order_id and order.role == role)
        assert (leg.broker_order_id, leg.quantity) == (successor.order_id, "3")
        assert not world.disagreements()
        assert await world.reconcile()
        assert not await world.discrepancies()
        venue.end("entry", Status.CANCELED)
        world.pump()
        await asyncio.sleep(CONVERGED_S)
        assert not world.disagreements()
        await world.kill()

    run_virtual(day)


async def submit_unheard_bracket(world: World, *, are_frames_lost: bool) -> None:
    """A bracket whose answer is lost, and that cannot be looked up until the faults are cleared."""
    world.face.venue.set_auto_fill(is_on=False)
    exits = {"take_profit": opb.TakeProfit(limit_price="95"), "stop_loss": opb.StopLoss(stop_price="70")}
    arm(world, FaultKind.LOSE_ANSWER, method="POST", times=1)
    arm(world, FaultKind.LOSE_REQUEST, method="GET")
    if are_frames_lost:
        arm(world, FaultKind.DROP_FRAME)
    bracket = {"order_class": opb.ORDER_CLASS_BRACKET, "limit_price": "80", "quantity": "5", **exits}
    await world.submit(client_order_id="bracket", **bracket)
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("are_frames_lost", [False, True])
def test_a_leg_that_a_person_replaced_before_its_order_was_known_is_that_leg(
    tmp_path: Path, *, are_frames_lost: bool
) -> None:
    """Its parent names the successor; the elder is no stranger's, and it comes first in the leg's chain."""

    async def story(world: World) -> None:
        venue = world.face.venue
        await submit_unheard_bracket(world, are_frames_lost=are_frames_lost)
        parent = venue.find("bracket")
        for price in (97, 98):
            leg_id = venue.find("bracket").leg_ids[0]
            venue.replace_by_person(leg_id, Change(limit_price=Decimal(price)))
            world.pump()
            await asyncio.sleep(0.1)
        assert venue.find("bracket").leg_ids[0] not in parent.leg_ids
        world.face.venue.faults.clear()
        assert await world.reconcile()
        await asyncio.sleep(CONVERGED_S)
        assert [len(order.broker_order_ids) for order in world.orders()] == [1, 3, 1]
        assert not any(order.external for order in world.orders())
        assert not world.disagreements()
        assert not await world.discrepancies()

    async def day() -> None:
        world = World(tmp_path, 7, policy={"reconcile_interval_s": 5})
        await world.start()
        await story(world)
        await world.kill()

    run_virtual(day)


@pytest.mark.parametrize("are_frames_lost", [False, True])
def test_a_leg_is_not_given_up_while_what_its_filled_parent_names_is_unread(
    tmp_path: Path, *, are_frames_lost: bool
) -> None:
    """The parent's answer is lost and a person replaces its leg: the parent names a successor that nobody knows."""

    async def story(world: World) -> None:
        venue = world.face.venue
        await submit_unheard_bracket(world, are_frames_lost=are_frames_lost)
        elder = venue.find("bracket").leg_ids[0]
        for price in (97, 98):
            venue.replace_by_person(venue.find("bracket").leg_ids[0], Change(limit_price=Decimal(price)))
            world.pump()
            await asyncio.sleep(0.1)
        venue.fill("bracket", Decimal(5), Decimal(80))
        world.pump()
        await asyncio.sleep(0.1)
        world.face.venue.faults.clear()
        arm(world, FaultKind.LOSE_REQUEST, method="GET", path=f"/v2/orders/{elder}", times=2)
        await asyncio.sleep(CONVERGED_S)
        assert state_of(world.orders()[0]) == "FILLED"
        assert not any(event.to_status == opb.ORDER_STATUS_SUBMIT_FAILED for event in world.events())
        assert not await world.discrepancies()

    async def day() -> None:
        world = World(tmp_path, 7, policy={"reconcile_interval_s": 5})
        await world.start()
        await story(world)
        await world.kill()

    run_virtual(day)


def test_messages_about_an_order_that_nobody_knows_wait_for_one_read(tmp_path: Path) -> None:
    """A bust is told once: it does not wait for an answer of its own while its order is written down already."""

    async def story(world: World) -> None:
        venue = world.face.venue
        account = next(iter(venue.state.accounts.values()))
        new = by_hand(
            symbol="KO", side=Side.BUY, quantity=Decimal(5), limit_price=Decimal(80), client_order_id="hand-1"
        )
        order = venue.submit(account, new)
        assert not isinstance(order, Refused)
        arm(world, FaultKind.HOLD_ANSWER, method="GET", path=f"/v2/orders/{order.order_id}", barrier="read", times=1)
        venue.fill("hand-1", Decimal(2))
        venue.fill("hand-1", Decimal(3))
        venue.bust(next(iter(venue.ledger.executions)))
        world.pump()
        await asyncio.sleep(1)
        assert not world.orders()
        asked = len(venue.faults.fired)
        venue.faults.barriers.release("read")
        await asyncio.sleep(0.1)
        (known,) = world.orders()
        counted = [fill.quantity for fill in world.fills(known.order_id) if fill.status == opb.FILL_STATUS_LIVE]
        assert (asked, counted, known.filled_quantity) == (1, ["3"], "3")

    live(tmp_path, story)


def test_the_second_successor_is_heard_of_before_the_first_one_is_known(tmp_path: Path) -> None:
    """The first one's state cannot be read, and proves nothing: the second is no stranger's for that."""

    async def story(world: World) -> None:
        venue = world.face.venue
        order_id = await working(world, "ours")
        arm(world, FaultKind.DROP_FRAME)
        first = venue.replace_by_person("ours", Change(limit_price=Decimal(79)))
        assert not isinstance(first, Refused)
        world.pump()
        calm(world)
        arm(world, FaultKind.DROP_FRAME, order=first.order_id)
        arm(world, FaultKind.UNKNOWN_STATUS, method="GET", path=f"/v2/orders/{first.order_id}")
        second = venue.replace_by_person(first.order_id, Change(limit_price=Decimal(78)))
        assert not isinstance(second, Refused)
        world.pump()
        await asyncio.sleep(1)
        calm(world)
        venue.fill(second.order_id, Decimal(4))
        world.pump()
        assert await world.reconcile()
        await asyncio.sleep(1)
        (order,) = world.orders()
        assert (order.order_id, order.broker_order_ids[1:]) == (order_id, [first.order_id, second.order_id])
        assert order.filled_quantity == "4"
        assert not world.disagreements()

    live(tmp_path, story)
