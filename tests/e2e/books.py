"""Two sets of books: orderd's orders and fills, the venue's ledger. What one says and the other does not."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from oms.v1 import order_pb2 as opb

Row = Mapping[str, Any]
EXACT = Context(prec=100)
PLACES = Decimal(1).scaleb(-18)
PRINTED = Decimal("1e-8")
"""Averages of the venue's own are printed to 9 places."""
STATES = {
    "pending_new": "SUBMITTED",
    "accepted": "SUBMITTED",
    "held": "SUBMITTED",
    "new": "ACCEPTED",
    "pending_cancel": "ACCEPTED",
    "pending_replace": "ACCEPTED",
    "partially_filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "canceled": "CANCELED",
    "expired": "EXPIRED",
    "rejected": "REJECTED",
    "replaced": "REPLACED",
}
COUNTED = frozenset({opb.FILL_STATUS_LIVE, opb.FILL_STATUS_INFERRED})


def state_of(order: opb.Order) -> str:
    """The status without its prefix."""
    return opb.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_")


class Books:
    """The venue's ledger, as its control interface tells it, ready to be compared with."""

    def __init__(self, ledger: Row) -> None:
        self.received: Sequence[Row] = ledger["received"]
        self.orders: dict[str, Row] = {row["order_id"]: row for row in ledger["orders"]}
        self._named: defaultdict[str, list[Row]] = defaultdict(list)
        for row in ledger["orders"]:
            if not row["parent_id"]:
                self._named[row["client_order_id"]].append(row)
        self._executions: defaultdict[str, list[Row]] = defaultdict(list)
        for row in ledger["executions"]:
            if row["state"] == "live":
                self._executions[row["order_id"]].append(row)

    def executions_of(self, *broker_order_ids: str) -> list[Row]:
        """The live executions of these broker orders."""
        return [row for broker_order_id in broker_order_ids for row in self._executions[broker_order_id]]

    def disagreements(self, order: opb.Order, fills: Sequence[opb.Fill]) -> Iterator[str]:
        """What differs about one order: its state, its totals to the last decimal, its fills one by one."""
        if not order.broker_order_ids:
            if order.client_order_id in self._named and not order.parent_order_id:
                yield f"{_about(order)}: the venue has it"
            return
        current = self.orders[order.broker_order_ids[-1]]
        expected = expected_state(order, current)
        if state_of(order) != expected:
            yield f"{_about(order)}: the venue says {current['status']} after {current['filled_quantity']}"
        if order.order_class == opb.ORDER_CLASS_MULTILEG and not order.parent_order_id:
            yield from self._differing_strategies(order, current)
            return
        yield from self._differing_fills(order, fills)

    def _differing_strategies(self, order: opb.Order, current: Row) -> Iterator[str]:
        """A spread's totals, by what its legs executed: its own figures count anew where successors do."""
        legs = [self.orders[broker_order_id] for broker_order_id in current["leg_ids"]]
        by_leg = [(leg, self.executions_of(leg["order_id"])) for leg in legs]
        quantity = min(totals(made)[0] / Decimal(leg["ratio"] or 1) for leg, made in by_leg)
        if Decimal(order.filled_quantity or 0) != quantity:
            yield f"{_about(order)}: its legs executed {quantity}"
        elif quantity:
            net = sum((_signed(leg, made) for leg, made in by_leg), Decimal(0)) / quantity
            if abs(Decimal(order.average_fill_price) - net) > PRINTED:
                yield f"{_about(order)}: averages {order.average_fill_price}, its legs executed at {net}"

    def _differing_fills(self, order: opb.Order, fills: Sequence[opb.Fill]) -> Iterator[str]:
        executions = self.executions_of(*order.broker_order_ids)
        quantity, average = totals(executions)
        if Decimal(order.filled_quantity or 0) != quantity:
            yield f"{_about(order)}: executed {quantity}"
        if (Decimal(order.average_fill_price) if order.average_fill_price else None) != average:
            yield f"{_about(order)}: averages {order.average_fill_price}, executed at {average}"
        booked = sorted((f.broker_order_id, f.execution_id, f.quantity, f.price) for f in fills if f.status in COUNTED)
        executed = sorted(
            (e["order_id"], e["execution_id"], plain(e["quantity"]), plain(e["price"])) for e in executions
        )
        if booked != executed:
            yield f"{_about(order)}: booked {booked}, executed {executed}"

    def doubles(self) -> dict[str, list[str]]:
        """Client ids that became more than one broker order. (A replace's successor has an id of its own.)"""
        return {name: [row["order_id"] for row in rows] for name, rows in self._named.items() if len(rows) > 1}

    def by_name(self) -> dict[str, list[Row]]:
        """Broker orders by client id; legs are left out."""
        return dict(self._named)

    def unrecorded(self, made_by_hand: Collection[str] = ()) -> list[Row]:
        """Submits that arrived before the journal had their order, read from outside (where there is a witness)."""
        return [
            row for row in self.received if row["is_in_journal"] is False and row["client_order_id"] not in made_by_hand
        ]


def expected_state(order: opb.Order, row: Row) -> str:
    """The state that the venue's word and the fills make."""
    state = STATES[row["status"]]
    if state == "ACCEPTED" and order.filled_quantity not in {"", "0"}:
        return "PARTIALLY_FILLED"
    if state == "REJECTED" and order.filled_quantity not in {"", "0"}:
        return "CANCELED"  # the venue gave up what was left
    is_full = bool(order.quantity) and Decimal(order.filled_quantity or 0) >= Decimal(order.quantity)
    if state in {"CANCELED", "EXPIRED"} and is_full:
        return "FILLED"  # by fills that came after the end, or by more than was asked for
    if state == "FILLED" and order.quantity and Decimal(order.filled_quantity or 0) < Decimal(order.quantity):
        return "CANCELED"  # executions were taken back, and the broker works no further
    return state


def totals(executions: Sequence[Row]) -> tuple[Decimal, Decimal | None]:
    """Quantity, and the average price half-even at 18 places."""
    quantity, value = Decimal(0), Decimal(0)
    for row in executions:
        quantity = EXACT.add(quantity, Decimal(row["quantity"]))
        value = EXACT.add(value, EXACT.multiply(Decimal(row["quantity"]), Decimal(row["price"])))
    if not quantity:
        return quantity, None
    return quantity, EXACT.divide(value, quantity).quantize(PLACES, ROUND_HALF_EVEN, EXACT)


def _signed(leg: Row, executions: Sequence[Row]) -> Decimal:
    """What a leg's executions cost; negative for what they brought."""
    cost = sum((Decimal(row["quantity"]) * Decimal(row["price"]) for row in executions), Decimal(0))
    return cost if leg["side"] == "buy" else -cost


def plain(number: str) -> str:
    """A decimal as the contract prints it."""
    text = f"{Decimal(number):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _about(order: opb.Order) -> str:
    name = order.client_order_id or order.broker_client_reference
    return f"{name} {order.order_id} is {state_of(order)} with {order.filled_quantity} of {order.quantity}"
