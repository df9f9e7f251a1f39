"""A world in which a broker of any kind answers as badly as it is told, and what its orders have come to."""

import random
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from oms.v1 import order_pb2 as opb
from orderd.system import run_virtual
from orderd.venue.faults import Fault, FaultKind
from tests.ambiguity.answers import AT_LAST
from tests.ambiguity.verdicts import Broker
from tests.e2e.books import expected_state, state_of, totals
from tests.engine.world import SETTLE_S, World
from tests.reach import PROVES

VERDICT_S = SETTLE_S + 10
"""How soon there is a verdict (promise P4)."""
KNOWN_S = 1.0
"""How soon after a bad answer, or the deadline, an order is UNKNOWN (promise P4)."""
SYMBOLS = ("AAPL", "MSFT", "AMZN", "NVDA", "GOOG", "TSLA", "META", "AMD", "SPY", "QQQ", "KO", "F", "BRK.B")
HOLDINGS = 1_000_000


class Desk(World):
    """A world with money, holdings and no rules against trading with oneself: the answers are the subject."""

    @classmethod
    def at(cls, broker: Broker, directory: Path, **policy: Any) -> "Desk":  # noqa: ANN401 - any field of the policy
        """A desk at a broker of this kind."""
        options = {**broker._asdict(), "cash": Decimal(10) ** 12}
        chosen = {"parallel_submits": 64, "send_within_s": 600, **policy}
        desk = cls(directory, 1, venue_options=options, policy=chosen)
        desk.face.venue.change_settings(refuses_wash_trades=False)
        return desk

    def arm(self, **fault: Any) -> None:  # noqa: ANN401 - any field of a fault
        """Add a line to the fault script."""
        self.face.venue.faults.arm(Fault(**fault))

    def hush(self, name: str = "") -> None:
        """The stream says nothing (about this order) before the gate opens."""
        self.arm(kind=FaultKind.DELAY_FRAME, order=name, barrier=AT_LAST, times=0)

    def calm(self) -> None:
        """No fault is armed any more, and every gate is open."""
        faults = self.face.venue.faults
        faults.clear()
        faults.barriers.release(AT_LAST)
        self.pump()

    def order(self, order_id: str) -> opb.Order:
        """One order, read from the file."""
        return next(order for order in self.orders() if order.order_id == order_id)

    def differences(self) -> list[str]:
        """What orderd and the venue say differently. Without ids of executions only the totals can be compared."""
        if self.face.options.has_execution_ids:
            return [each for about in self.disagreements().values() for each in about]
        books, wrong = self.books(), list[str]()
        for order in self.orders():
            rows = [books.orders[each] for each in order.broker_order_ids]
            quantity, average = totals(books.executions_of(*order.broker_order_ids))
            told = (state_of(order), Decimal(order.filled_quantity), scaled_down(order.average_fill_price))
            true = (expected_state(order, rows[-1]) if rows else told[0], quantity, scaled_down(average))
            if told != true:
                wrong.append(f"{order.client_order_id}: {told}, not {true}")
        return wrong

    def state(self, order_id: str) -> str:
        """Its state."""
        return state_of(self.order(order_id))

    def story(self, order_id: str) -> list[opb.OrderEvent]:
        """Its events, oldest first."""
        return [event for event in self.events() if event.order_id == order_id]

    def sent(self, name: str) -> int:
        """How often the venue received it. (What lands late is written down when it arrives and when it lands.)"""
        rows = [row for row in self.face.venue.ledger.received if row.client_order_id == name and row.method == "POST"]
        return sum(row.verdict == "late" or FaultKind.LAND_LATE not in row.faults for row in rows)


def scaled_down(price: Decimal | str | None) -> Decimal | None:
    """A price as exact as the venue prints it."""
    return Decimal(price).quantize(Decimal("0.000001")) if price else None


def kinds(events: list[opb.OrderEvent]) -> list[str]:
    """What happened, in a word each."""
    return [opb.OrderEventType.Name(event.type).removeprefix("ORDER_EVENT_TYPE_") for event in events]


def seconds_between(events: list[opb.OrderEvent], first: str, then: str) -> float:
    """From the first event of one type to the first one of another, by the journal's own times."""
    names = kinds(events)
    a, b = (events[names.index(name)].recorded_time.ToNanoseconds() for name in (first, then))
    return (b - a) / 1e9


@contextmanager
def folder() -> Iterator[Path]:
    """Somewhere for one journal."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def trade(broker: Broker, day: Callable[[Desk], Awaitable[None]], **policy: Any) -> None:  # noqa: ANN401
    """Live through something at a broker of this kind, in virtual time, from a start to a kill."""

    async def main(directory: Path) -> None:
        desk = Desk.at(broker, directory, **policy)
        await desk.start()
        await day(desk)
        await desk.kill()

    with folder() as directory:
        run_virtual(lambda: main(directory))


def some(cells: list[Any], salt: object, part: int = 10) -> list[Any]:
    """All cells in `make prove`, a `part`th of them in `make test`, in their order: another part for each `salt`."""
    if PROVES:
        return cells
    chosen = random.Random(f"{salt}").sample(range(len(cells)), max(1, len(cells) // part))
    return [cells[number] for number in sorted(chosen)]
