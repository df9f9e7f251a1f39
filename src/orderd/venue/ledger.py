"""What the venue received and executed: the other side of every comparison, kept apart from what it answers."""

import hashlib
from collections import deque
from datetime import datetime
from typing import Final

import msgspec

from orderd.venue.orders import Event, Execution, Order

MOST_RECEIVED: Final = 1_000_000
MOST_EVENTS: Final = 1_000_000


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it arrived. `verdict` is what was decided, whatever the client was told."""

    sequence: int
    at: datetime
    method: str
    path: str
    client_order_id: str
    verdict: str
    status: int
    """HTTP status decided, before a fault changed the answer."""
    faults: tuple[str, ...] = ()
    is_in_journal: bool | None = None
    """For POST /orders with a witness: whether the client had recorded the order before it sent it."""


class Ledger:
    """An append-only record; bounded, oldest requests and events leave first. Executions are never dropped."""

    def __init__(self) -> None:
        self.received: deque[Received] = deque(maxlen=MOST_RECEIVED)
        self.events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self.executions: dict[str, Execution] = {}
        self.orders: dict[str, Order] = {}
        self._next = 0

    def receive(self, received: Received) -> None:
        """Write down one request."""
        self.received.append(msgspec.structs.replace(received, sequence=self._next))
        self._next += 1

    def execute(self, execution: Execution) -> None:
        """Write down one execution, or its new state."""
        self.executions[execution.execution_id] = execution

    def tell(self, event: Event) -> None:
        """Write down one event and the order after it."""
        self.events.append(event)

    def keep(self, order: Order) -> None:
        """Write down the last version of an order; it stays here even when the venue forgets it."""
        self.orders[order.order_id] = order

    def digest(self) -> str:
        """A hash of everything: equal for equal runs."""
        total = hashlib.sha256()
        for each in (*self.received, *self.events, *self.executions.values(), *self.orders.values()):
            total.update(msgspec.json.encode(each))
        return total.hexdigest()
