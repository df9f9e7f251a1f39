"""decide + evolve of one fill, against what the `transitions` library takes to dispatch one trigger.

    python -m bench.core_lifecycle

Both in this process, alternating, the median of several rounds, smallest and largest beside it. The goal of
docs/performance: at most 5 µs a fill, and at least as many fills as triggers. What is timed is all of a fill: the
view that came with it, its place among the booked ones, the new state, the events and the order after them.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from transitions import Machine

from orderd.core.facts import Execution, Reported, Sending, View
from orderd.core.lifecycle import create, decide
from orderd.core.order import (
    AssetClass,
    EventSource,
    Mode,
    Order,
    OrderIntent,
    OrderState,
    OrderType,
    Phase,
    Side,
    Terms,
    TimeInForce,
)
from orderd.core.table import Move, machine
from orderd.core.values import AccountId, BrokerOrderId, ClientOrderId, ExecutionId, OrderId
from orderd.core.verdicts import Apply

ROUNDS = 9
CALLS = 5_000
AT = datetime(2026, 1, 5, 15, tzinfo=UTC)
TERMS = Terms(
    type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, quantity=Decimal(1000), limit_price=Decimal("187.25")
)


def taken(order: Order, fact: Sending | Reported) -> Order:
    """The order after a fact that must be news."""
    verdict = decide(order, fact)
    if not isinstance(verdict, Apply):
        raise TypeError(f"nothing to apply: {verdict}")
    return verdict.order


def report(number: int) -> Reported:
    """The stream's message of the fill with this number, one unit each; 0 is the acknowledgement."""
    cum = Decimal(number)
    view = View(
        broker_order_id=BrokerOrderId("904837e3-3b76-47ec-b432-046db621571b"),
        phase=Phase.WORKING,
        status="partially_filled" if number else "new",
        client_order_id="bench",
        symbol="AAPL",
        asset_class=AssetClass.US_EQUITY,
        side=Side.BUY,
        terms=msgspec.structs.replace(TERMS),
        filled_quantity=cum,
        average_price=Decimal("187.25") if number else None,
        updated_ns=1_000_000 + number,
    )
    execution = Execution(
        broker_order_id=view.broker_order_id,
        execution_id=ExecutionId(f"bf0f0b5a-{number}"),
        quantity=Decimal(1),
        price=Decimal("187.25"),
        cum_after=cum,
        occurred_time=AT,
    )
    return Reported(
        at=AT,
        source=EventSource.BROKER_STREAM,
        heard_ns=number,
        view=view,
        execution=execution if number else None,
        broker_time=AT,
    )


def working(fills: int) -> Order:
    """An order at the broker with so many fills."""
    asked = OrderIntent(
        account_id=AccountId("paper"),
        client_order_id=ClientOrderId("bench"),
        symbol="AAPL",
        side=Side.BUY,
        terms=TERMS,
    )
    order = Order(
        order_id=OrderId("0192"),
        intent=asked,
        terms=TERMS,
        state=OrderState.CREATED,
        broker="simulated",
        mode=Mode.PAPER,
        asset_class=AssetClass.US_EQUITY,
        created_time=AT,
        updated_time=AT,
    )
    order = taken(create(order, source=EventSource.CLIENT).after, Sending(at=AT, source=EventSource.ENGINE))
    for number in range(fills + 1):
        order = taken(order, report(number))
    return order


class Model:
    """Something with a state, as `transitions` wants it."""


def triggers() -> Callable[[], object]:
    """The library's own dispatch of one trigger of our table: a part of a fill, on a partially filled order."""
    declared = machine()
    model = Model()
    Machine(
        model=model,
        states=list(declared.states),
        initial=OrderState.PARTIALLY_FILLED.value,
        auto_transitions=False,
        transitions=[
            {"trigger": name, "source": row.source, "dest": row.dest}
            for name, event in declared.events.items()
            for rows in event.transitions.values()
            for row in rows
        ],
    )
    trigger: Callable[[], object] = getattr(model, Move.FILL_PART.value)
    return trigger


def microseconds(call: Callable[[], object]) -> float:
    """The mean of one round, with the collector kept out of it."""
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter_ns()
        for _ in range(CALLS):
            call()
        return (time.perf_counter_ns() - began) / CALLS / 1000
    finally:
        gc.enable()


def main() -> int:
    """Measure and print; nothing is judged here, a busy machine is no regression."""
    calls: dict[str, Callable[[], object]] = {"transitions, one trigger": triggers()}
    for fills in (0, 1, 10, 100):
        order, fact = working(fills), report(fills + 1)
        calls[f"decide + evolve, fill {fills + 1}"] = lambda order=order, fact=fact: decide(order, fact)  # type: ignore[misc]
    rounds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            rounds[name].append(microseconds(call))
    limit = statistics.median(rounds["transitions, one trigger"])
    sys.stdout.write(f"{'':<28}{'median':>9}{'min':>9}{'max':>9}  x faster than a trigger\n")
    for name, taken_us in rounds.items():
        median = statistics.median(taken_us)
        sys.stdout.write(
            f"{name:<28}{median:>7.2f}µs{min(taken_us):>7.2f}µs{max(taken_us):>7.2f}µs{limit / median:>8.2f}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
