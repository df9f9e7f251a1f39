"""The broker's lists: one that never comes, and ones that tell of complex orders that had been given up."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.v1 import order_pb2 as opb
from orderd.engine.api import ReplaceAsk, Wait
from orderd.system import run_virtual
from orderd.venue.faults import AnswerBody, Fault, FaultKind
from orderd.venue.orders import Change, Order
from tests.e2e.books import state_of
from tests.engine.world import World
from tests.faults.script import strategy

NOT_FOUND = '{"code":40410000,"message":"order not found"}'
HANGS_S = 10.5
AGREED_S = 25
WORKS, CANCELED, FAILED = ("ACCEPTED", False, False), ("CANCELED", False, False), ("SUBMIT_FAILED", False, False)
SETTLED = {"PATCH": [WORKS], "DELETE": [CANCELED], "POST": [WORKS, FAILED]}


def asked_bracket() -> dict[str, Any]:
    """A bracket around a market order: its entry fills at once, and then its profit taker works."""
    return {
        "symbol": "KO",
        "quantity": "5",
        "order_class": opb.ORDER_CLASS_BRACKET,
        "take_profit": opb.TakeProfit(limit_price="95"),
        "stop_loss": opb.StopLoss(stop_price="70"),
    }


def test_a_list_that_never_comes_is_given_up_in_time_for_another(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path, 1, policy={"reconcile_interval_s": 1000})
        await world.start()
        hold = Fault(kind=FaultKind.HOLD_ANSWER, method="GET", path="/v2/orders", barrier="never", times=1)
        world.face.venue.faults.arm(hold)
        began_ns = world.clock.monotonic_ns()
        assert not await world.reconcile()
        assert (world.clock.monotonic_ns() - began_ns) / 1e9 <= HANGS_S
        assert await world.reconcile()
        await world.kill()

    run_virtual(main)


def test_the_legs_of_a_spread_that_comes_back_are_the_legs_it_had(tmp_path: Path) -> None:
    """The broker took it and answered that it had not; it was canceled here before it was to be sent again."""

    async def main() -> None:
        world = World(tmp_path, 1, policy={"reconcile_interval_s": 1000})
        await world.start()
        faults = world.face.venue.faults
        faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, status=429, method="POST", times=1))
        faults.arm(Fault(kind=FaultKind.DROP_FRAME, times=0))
        spread = {**strategy({"quantity": "1", "trace_id": "t"}), "limit_price": "9"}
        order_id, _ = await world.submit(client_order_id="spread", **spread)
        await world.clock.sleep(0.1)
        await world.cancel(order_id)
        await world.clock.sleep(1)
        assert {state_of(order) for order in world.orders()} == {"CANCELED", "SUBMIT_FAILED"}
        assert await world.reconcile()
        parent, *legs = world.orders()
        assert [state_of(order) for order in (parent, *legs)] == ["FILLED"] * 3
        assert [leg.parent_order_id for leg in legs] == [order_id] * 2
        assert [fill.status for leg in legs for fill in world.fills(leg.order_id)] == [opb.FILL_STATUS_LIVE] * 2
        assert not world.disagreements()
        await world.kill()

    run_virtual(main)


@pytest.mark.parametrize("dark_s", range(200, 230, 4))
@pytest.mark.parametrize("method", ["PATCH", "DELETE", "POST"])
def test_what_could_not_be_settled_for_long_is_settled_soon_after_the_broker_is_back(
    tmp_path: Path, method: str, dark_s: int
) -> None:
    """Asking goes on slowly, but never slower than agreement within 30 s allows (promise P8)."""

    async def main() -> None:
        world = World(tmp_path, 1, policy={"reconcile_interval_s": 20})
        await world.start()
        faults = world.face.venue.faults
        order_id, _ = await world.submit(client_order_id="a", quantity="2", limit_price="80", wait=Wait.BROKER)
        faults.arm(Fault(kind=FaultKind.LOSE_REQUEST, times=0))
        faults.arm(Fault(kind=FaultKind.REFUSE_UPGRADE, times=0))
        match method:
            case "PATCH":
                await world.replace(order_id, ReplaceAsk(request_id="r", quantity=Decimal(3)))
            case "DELETE":
                await world.cancel(order_id)
            case _:
                await world.submit(client_order_id="b", limit_price="80")
        await world.clock.sleep(dark_s)
        faults.clear()
        await world.clock.sleep(AGREED_S)
        assert [(state_of(o), o.pending_cancel, o.pending_replace) for o in world.orders()] == SETTLED[method]
        await world.kill()

    run_virtual(main)


def test_a_successor_is_nobody_else_s_while_its_elder_cannot_be_read(tmp_path: Path) -> None:
    """The answer to our submit is lost, somebody replaces it at the broker, and the stream tells of the successor."""

    async def main() -> None:
        world = World(tmp_path, 1, policy={"reconcile_interval_s": 1000})
        await world.start()
        venue = world.face.venue
        venue.faults.arm(Fault(kind=FaultKind.LOSE_ANSWER, method="POST", times=1))
        venue.faults.arm(
            Fault(kind=FaultKind.ANSWER_STATUS, method="GET", path="/v2/orders", is_accepted=False, times=0)
        )
        dropped = venue.faults.arm(Fault(kind=FaultKind.DROP_FRAME, times=0))
        order_id, _ = await world.submit(client_order_id="ours", quantity="5", limit_price="80")
        await world.clock.sleep(1)
        successor = venue.replace_by_person("ours", Change(quantity=Decimal(7)))
        assert isinstance(successor, Order)
        world.pump()
        await world.clock.sleep(1)
        venue.faults.clear(dropped.fault_id)
        venue.fill(successor.order_id, Decimal(2))
        world.pump()
        await world.clock.sleep(1)
        venue.faults.clear()
        await world.clock.sleep(AGREED_S)
        (order,) = world.orders()
        assert (order.order_id, list(order.broker_order_ids)[-1]) == (order_id, successor.order_id)
        assert (state_of(order), order.filled_quantity) == ("PARTIALLY_FILLED", "2")
        assert not world.disagreements()
        await world.kill()

    run_virtual(main)


def test_a_successor_s_successor_is_nobody_else_s_while_the_chain_cannot_be_read(tmp_path: Path) -> None:
    """Replaced three times at the broker: the stream tells of the last time only, and one elder cannot be read."""

    async def main() -> None:
        world = World(tmp_path, 1, policy={"reconcile_interval_s": 1000})
        await world.start()
        venue = world.face.venue
        order_id, _ = await world.submit(client_order_id="ours", quantity="2", limit_price="80", wait=Wait.BROKER)
        await world.clock.sleep(1)
        dropped = venue.faults.arm(Fault(kind=FaultKind.DROP_FRAME, times=0))
        chain = ["ours"]
        for quantity in (3, 4, 5):
            if quantity == 5:
                unread = Fault(kind=FaultKind.ANSWER_STATUS, path=f"/v2/orders/{chain[1]}", is_accepted=False, times=0)
                venue.faults.clear(dropped.fault_id)
                venue.faults.arm(unread)
            successor = venue.replace_by_person(chain[-1], Change(quantity=Decimal(quantity)))
            assert isinstance(successor, Order)
            chain.append(successor.order_id)
            world.pump()
            await world.clock.sleep(1)
        (order,) = world.orders()
        venue.faults.clear()
        await world.clock.sleep(AGREED_S)
        await world.reconcile()
        (order,) = world.orders()
        assert (order.order_id, list(order.broker_order_ids)[1:]) == (order_id, chain[1:])
        assert not world.disagreements()
        await world.kill()

    run_virtual(main)


def test_a_bust_of_an_order_that_cannot_be_placed_yet_is_booked_when_it_can(tmp_path: Path) -> None:
    """It is told once, while the elder that says whose the successor is cannot be read; and the broker counts anew."""

    async def main() -> None:
        world = World(tmp_path, 1, policy={"reconcile_interval_s": 1000})
        await world.start()
        venue = world.face.venue
        venue.faults.arm(Fault(kind=FaultKind.LOSE_ANSWER, method="POST", times=1))
        unread: dict[str, Any] = {"method": "GET", "path": "/v2/orders", "is_accepted": False, "times": 0}
        venue.faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, **unread))
        dropped = venue.faults.arm(Fault(kind=FaultKind.DROP_FRAME, times=0))
        await world.submit(client_order_id="ours", quantity="5", limit_price="80")
        await world.clock.sleep(1)
        successor = venue.replace_by_person("ours", Change(quantity=Decimal(7)))
        assert isinstance(successor, Order)
        world.pump()
        await world.clock.sleep(1)
        for _ in range(2):
            venue.fill(successor.order_id, Decimal(2))
        world.pump()
        venue.faults.clear(dropped.fault_id)
        venue.bust(next(iter(venue.ledger.executions)))
        world.pump()
        await world.clock.sleep(1)
        venue.fill(successor.order_id, Decimal(2))
        world.pump()
        await world.clock.sleep(1)
        venue.faults.clear()
        await world.clock.sleep(AGREED_S)
        await world.reconcile()
        (order,) = world.orders()
        assert (state_of(order), order.filled_quantity) == ("PARTIALLY_FILLED", "4")
        assert not world.disagreements()
        await world.kill()

    run_virtual(main)


@pytest.mark.parametrize("is_told", [False, True], ids=["cannot be read", "is told in the same breath"])
def test_a_leg_is_nobody_else_s_while_its_parent_is_not_shown(tmp_path: Path, *, is_told: bool) -> None:
    """The broker took a bracket and answered that it had not. The first that is heard of it is its exit at work."""

    async def main() -> None:
        world = World(tmp_path, 1, policy={"reconcile_interval_s": 1000})
        await world.start()
        faults = world.face.venue.faults
        faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, status=429, method="POST", times=1))
        unread: dict[str, Any] = {
            "method": "GET",
            "path": "/v2/orders:by_client_order_id",
            "is_accepted": False,
            "times": 0,
        }
        if is_told:
            unread |= {"status": 404, "body": AnswerBody.TEXT, "text": NOT_FOUND}
            faults.arm(Fault(kind=FaultKind.REORDER_FRAME, event="pending_new", times=1))
        faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, **unread))
        faults.arm(Fault(kind=FaultKind.DROP_FRAME, order="bracket", skip=is_told, times=0))
        await world.submit(client_order_id="bracket", **asked_bracket())
        await world.clock.sleep(0.2)
        faults.clear()
        await world.clock.sleep(AGREED_S)
        await world.reconcile()
        assert [state_of(order) for order in world.orders()] == ["FILLED", "ACCEPTED", "SUBMITTED"]
        assert not world.disagreements()
        await world.kill()

    run_virtual(main)
