"""At rest, orderd's record is compared with the venue's own ledger: never with itself."""

from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from oms.v1 import broker_service_pb2 as bpb
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.e2e.harness import House, state_of
from tests.e2e.raw import journal_bytes

Row = dict[str, Any]
EXACT = Context(prec=100)
PLACES = Decimal(1).scaleb(-18)
STATES = {
    "pending_new": "SUBMITTED",
    "accepted": "SUBMITTED",
    "held": "SUBMITTED",
    "new": "ACCEPTED",
    "partially_filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "canceled": "CANCELED",
    "expired": "EXPIRED",
    "rejected": "REJECTED",
    "replaced": "REPLACED",
}


async def audit(house: House, *, discrepancies: int = 0, is_simple: bool = True) -> None:
    """Reconcile twice (the second time finds nothing to do), then compare every order with the venue.

    `is_simple`: every client id was to become one broker order.
    """
    for account_id in house.account_ids:
        await _reconciled(house, account_id)
    ledger = await house.venue.ledger()
    orders = await every_order(house)
    for order in orders:
        if order.order_id not in house.left_alone:
            await _agrees(house, order, ledger)
    if is_simple:
        _one_each(ledger)
    _was_recorded_first(ledger, house.venue.made_by_hand)
    found = await open_discrepancies(house) - house.known_discrepancies
    assert found == discrepancies, house.server.said()
    await _told_what_is_kept(house)


async def open_discrepancies(house: House) -> int:
    """Of all accounts."""
    return sum([(await house.account(account_id)).open_discrepancy_count for account_id in house.account_ids])


async def _reconciled(house: House, account_id: str) -> None:
    first = await house.reconcile(account_id)
    assert first.stage == bpb.RECONCILE_STAGE_DONE, first
    again = await house.reconcile(account_id)
    assert (again.changed_order_count, again.imported_order_count) == (0, 0), "a second run found something to do"


async def every_order(house: House) -> list[opb.Order]:
    """ListOrders, all pages."""
    orders: list[opb.Order] = []
    token = ""
    while True:
        page = await house.orders.ListOrders(pb.ListOrdersRequest(page_size=1000, page_token=token))
        orders += page.orders
        token = page.next_page_token
        if not token:
            return orders


async def _agrees(house: House, order: opb.Order, ledger: Row) -> None:
    """One order: its state, its fills one by one, its totals to the last decimal."""
    if not order.broker_order_ids:
        assert not [row for row in ledger["orders"] if row["client_order_id"] == order.client_order_id], order
        return
    rows = {row["order_id"]: row for row in ledger["orders"]}
    current = rows[order.broker_order_ids[-1]]
    about = f"order {order.order_id} ({state_of(order)}), {current['client_order_id']} ({current['status']})"
    expected = STATES[current["status"]]
    if expected == "ACCEPTED" and order.filled_quantity not in {"", "0"}:
        expected = "PARTIALLY_FILLED"
    if expected in {"CANCELED", "EXPIRED"} and order.filled_quantity == order.quantity:
        expected = "FILLED"  # by fills that came after the end
    assert state_of(order) == expected, about
    if order.order_class == opb.ORDER_CLASS_MULTILEG and not order.parent_order_id:
        assert Decimal(order.filled_quantity or 0) == Decimal(current["filled_quantity"]), about
        return
    executions = executions_of(ledger, *order.broker_order_ids)
    quantity, average = totals(executions)
    assert Decimal(order.filled_quantity or 0) == quantity, about
    assert (Decimal(order.average_fill_price) if order.average_fill_price else None) == average, about
    answer = await house.orders.GetOrder(pb.GetOrderRequest(order_id=order.order_id))
    fills = [fill for fill in answer.fills if fill.status in {opb.FILL_STATUS_LIVE, opb.FILL_STATUS_INFERRED}]
    booked = sorted((f.broker_order_id, f.execution_id, f.quantity, f.price) for f in fills)
    executed = sorted((e["order_id"], e["execution_id"], _plain(e["quantity"]), _plain(e["price"])) for e in executions)
    assert booked == executed, about


def executions_of(ledger: Row, *broker_order_ids: str) -> list[Row]:
    """The live executions of these broker orders."""
    return [row for row in ledger["executions"] if row["order_id"] in broker_order_ids and row["state"] == "live"]


def totals(executions: list[Row]) -> tuple[Decimal, Decimal | None]:
    """Quantity, and the average price half-even at 18 places."""
    quantity, value = Decimal(0), Decimal(0)
    for row in executions:
        quantity = EXACT.add(quantity, Decimal(row["quantity"]))
        value = EXACT.add(value, EXACT.multiply(Decimal(row["quantity"]), Decimal(row["price"])))
    if not quantity:
        return quantity, None
    return quantity, EXACT.divide(value, quantity).quantize(PLACES, ROUND_HALF_EVEN, EXACT)


def _plain(number: str) -> str:
    """A decimal as the contract prints it."""
    value = Decimal(number)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _one_each(ledger: Row) -> None:
    """No intent became two broker orders. (A replace's successor has a client id of its own.)"""
    named: defaultdict[str, set[str]] = defaultdict(set)
    for row in ledger["orders"]:
        if not row["parent_id"]:
            named[row["client_order_id"]].add(row["order_id"])
    doubles = {name: ids for name, ids in named.items() if len(ids) > 1}
    assert not doubles


def _was_recorded_first(ledger: Row, made_by_hand: set[str]) -> None:
    """Every submit that arrived was in the journal already, read from outside."""
    posts = [row for row in ledger["received"] if row["is_in_journal"] is not None]
    unrecorded = [row for row in posts if not row["is_in_journal"] and row["client_order_id"] not in made_by_hand]
    assert not unrecorded


async def _told_what_is_kept(house: House) -> None:
    """What the subscriber heard is what the journal keeps, byte for byte."""
    kept = journal_bytes(house.database)
    await house.tape.until(lambda: len(house.tape.bytes) >= len(kept))
    assert house.tape.bytes == kept
