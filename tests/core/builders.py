"""Orders and what is told about them, in a word each: `after(ACCEPTED, CANCELED, fill("e-1", "4"))`.

What is told is a function of the order it is told about and of a number that rises with the order's version: the
broker's times and ours are made of it, so every telling is later than what the order has heard.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from orderd.core.events import Step
from orderd.core.facts import (
    CancelAsked,
    Executed,
    Execution,
    ExecutionBusted,
    ExecutionCorrected,
    Fact,
    ReplaceAsked,
    Reported,
    Sending,
    View,
)
from orderd.core.lifecycle import create, decide
from orderd.core.order import (
    AssetClass,
    EventSource,
    LegIntent,
    Mode,
    Order,
    OrderClass,
    OrderIntent,
    OrderState,
    OrderType,
    Phase,
    Side,
    Terms,
    TimeInForce,
)
from orderd.core.values import AccountId, BrokerOrderId, ClientOrderId, ExecutionId, OrderId
from orderd.core.verdicts import Apply, Verdict

AT = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
STREAM = EventSource.BROKER_STREAM
Told = Callable[[Order, int], Fact]


def dec(text: str | int | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def when(number: int) -> datetime:
    """The moment of a number: a second each."""
    return AT + timedelta(seconds=number)


def terms(**changes: object) -> Terms:
    asked = Terms(
        type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, quantity=Decimal(10), limit_price=Decimal("20.00")
    )
    return msgspec.structs.replace(asked, **changes)


def intent(**changes: object) -> OrderIntent:
    asked = OrderIntent(
        account_id=AccountId("paper"),
        client_order_id=ClientOrderId("key-1"),
        symbol="AAPL",
        side=Side.BUY,
        terms=changes.pop("terms", terms()),
        trace_id="trace-1",
    )
    return msgspec.structs.replace(asked, **changes)


def created(asked: OrderIntent | None = None, **changes: object) -> Order:
    """A limit buy of 10 AAPL at 20, written down and not sent."""
    asked = asked or intent()
    order = Order(
        order_id=OrderId("o-1"),
        intent=asked,
        terms=asked.terms,
        state=OrderState.CREATED,
        broker="alpaca",
        mode=Mode.PAPER,
        asset_class=AssetClass.US_EQUITY,
        created_time=AT,
        updated_time=AT,
    )
    return create(msgspec.structs.replace(order, **changes), source=EventSource.CLIENT).after


def number_of(order: Order) -> int:
    return 10 * order.version


def tell(order: Order, told: Told) -> Verdict:
    """What `decide` says when this order is told this."""
    return decide(order, told(order, number_of(order)))


def steps(order: Order, *told: Told) -> list[Step]:
    """Every step that these tellings cause, one after the other."""
    taken: list[Step] = []
    for each in told:
        verdict = tell(order, each)
        if isinstance(verdict, Apply):
            taken += verdict.steps
            order = verdict.order
    return taken


def after(*told: Told, start: Order | None = None) -> Order:
    """The order after these tellings; it has been sent unless `start` says otherwise."""
    order = start if start is not None else after(SENT, start=created())
    taken = steps(order, *told)
    return taken[-1].after if taken else order


def applied(verdict: Verdict) -> Apply:
    assert isinstance(verdict, Apply), verdict
    return verdict


def kinds(verdict: Verdict) -> list[str]:
    """The kinds of the findings, in order."""
    return [finding.kind for finding in verdict.findings]


def needs(verdict: Verdict) -> list[tuple[str, str]]:
    return [(need.kind.value, need.broker_order_id) for need in verdict.needs]


# ------------------------------------------------------------------------------------------------------ what is told


def SENT(order: Order, n: int) -> Fact:
    return Sending(at=when(n), source=EventSource.ENGINE)


def seen(order: Order, n: int, phase: Phase, status: str = "", **changes: object) -> View:
    """The order's view as a truthful broker would print it now; `changes` make it lie."""
    link = order.links[-1] if order.links else None
    view = View(
        broker_order_id=link.broker_order_id if link else BrokerOrderId("b-1"),
        phase=phase,
        status=status or phase.lower(),
        client_order_id=(link.client_order_id if link else "") or order.intent.client_order_id,
        symbol=order.intent.symbol,
        asset_class=order.asset_class,
        side=order.intent.side,
        terms=order.terms,
        filled_quantity=link.reported_quantity if link else Decimal(0),
        average_price=link.reported_average if link else None,
        updated_ns=n,
    )
    for name in ("filled_quantity", "average_price"):
        if name in changes:
            changes[name] = dec(changes[name])
    return msgspec.structs.replace(view, **changes)


def report(phase: Phase, status: str = "", **changes: object) -> Told:
    """A broker's description of the order, without an execution. `n` shifts its number, other words change the view."""

    def told(order: Order, n: int) -> Fact:
        said = dict(changes)
        n += said.pop("n", 0)
        apart = ("may_infer", "source", "broker_time", "heard_ns", "legs_traded")
        about = {name: said.pop(name) for name in apart if name in said}
        return Reported(
            **({"at": when(n), "source": STREAM, "heard_ns": n, "view": seen(order, n, phase, status, **said)} | about)
        )

    return told


QUEUED = report(Phase.QUEUED, "pending_new")
ACCEPTED = report(Phase.WORKING, "new")
CANCELED = report(Phase.CANCELED, "canceled")
EXPIRED = report(Phase.EXPIRED, "expired")
REJECTED = report(Phase.REJECTED, "rejected", reason_text="no such luck")


def execution(
    order: Order, n: int, execution_id: str | None, quantity: str, price: str, cum: str | None, on: str
) -> Execution:
    return Execution(
        broker_order_id=BrokerOrderId(on),
        execution_id=None if execution_id is None else ExecutionId(execution_id),
        quantity=Decimal(quantity),
        price=Decimal(price),
        cum_after=dec(cum),
        occurred_time=when(n),
    )


def fill(
    execution_id: str | None,
    quantity: str,
    price: str = "20",
    *,
    cum: str | None = None,
    on: str = "",
    **changes: object,
) -> Told:
    """A stream message with an execution. `cum`: the broker's total after it, unless said what is booked and it."""

    def told(order: Order, n: int) -> Fact:
        broker_order_id = on or (order.broker_order_id or "b-1")
        booked = sum(
            (f.quantity for f in order.fills if f.broker_order_id == broker_order_id and f.is_counted), Decimal(0)
        )
        total = cum if cum is not None else str(booked + Decimal(quantity))
        is_done = order.terms.quantity is not None and Decimal(total) >= order.terms.quantity
        phase, status = (Phase.FILLED, "filled") if is_done else (Phase.WORKING, "partially_filled")
        said: dict[str, object] = {
            "broker_order_id": broker_order_id,
            "filled_quantity": total,
            "average_price": price,
        } | changes
        view = seen(order, n, said.pop("phase", phase), said.pop("status", status), **said)
        one = execution(order, n, execution_id, quantity, price, total, broker_order_id)
        return Reported(at=when(n), source=STREAM, heard_ns=n, view=view, execution=one, broker_time=when(n))

    return told


def executed(
    execution_id: str | None, quantity: str, price: str = "20", *, cum: str | None, on: str = "", n: int | None = None
) -> Told:
    """A listed execution. `n`: when it was executed."""

    def told(order: Order, number: int) -> Fact:
        one = execution(
            order, number if n is None else n, execution_id, quantity, price, cum, on or order.broker_order_id or "b-1"
        )
        return Executed(at=when(number), source=EventSource.RECONCILER, heard_ns=number, execution=one)

    return told


def bust(previous: str, *, n: int | None = None, on: str = "") -> Told:
    def told(order: Order, number: int) -> Fact:
        return ExecutionBusted(
            at=when(number),
            source=STREAM,
            heard_ns=number,
            previous_execution_id=ExecutionId(previous),
            execution_id=f"bust-{previous}",
            broker_time=when(number if n is None else n),
            broker_order_id=on,
        )

    return told


def correct(previous: str, execution_id: str, quantity: str, price: str, *, n: int | None = None) -> Told:
    def told(order: Order, number: int) -> Fact:
        return ExecutionCorrected(
            at=when(number),
            source=STREAM,
            heard_ns=number,
            previous_execution_id=ExecutionId(previous),
            execution_id=execution_id,
            quantity=Decimal(quantity),
            price=Decimal(price),
            broker_time=when(number if n is None else n),
        )

    return told


def cancel(reason: str = "", source: EventSource = EventSource.CLIENT) -> Told:
    return lambda order, n: CancelAsked(at=when(n), source=source, reason=reason)


def replace(request_id: str = "r-1", **changes: object) -> Told:
    """Ask for other terms; the PATCH carries `key-<request id>`."""
    return lambda order, n: ReplaceAsked(
        at=when(n),
        source=EventSource.CLIENT,
        request_id=request_id,
        terms=msgspec.structs.replace(order.terms, **changes),
        client_order_id=ClientOrderId(f"key-{request_id}"),
    )


def successor(phase: Phase, status: str = "", *, is_asked: bool = True, **changes: object) -> Told:
    """A view of `b-2`, which replaces `b-1`; ours by the id its PATCH carried unless `is_asked` is False: then it was
    read, for a message alone binds nobody else's.
    """

    def told(order: Order, n: int) -> Fact:
        pending = order.pending_replace
        said: dict[str, object] = {
            "broker_order_id": BrokerOrderId("b-2"),
            "replaces": "b-1",
            "client_order_id": pending.client_order_id if pending is not None and is_asked else "somebody's",
            "terms": pending.terms if pending is not None and is_asked else order.terms,
            "filled_quantity": "0",
            "average_price": None,
            "asked_ns": None if is_asked else 10**6 + n,
        }
        return report(phase, status, **(said | changes))(order, n)

    return told


def by_notional(notional: str = "500") -> Order:
    """A sent market buy for an amount of money."""
    asked = Terms(type=OrderType.MARKET, time_in_force=TimeInForce.DAY, notional=Decimal(notional))
    return after(SENT, start=created(intent(terms=asked)))


def multileg(**changes: object) -> Order:
    """A sent spread of two: buy the 200 call, sell the 210 call, at a net debit of 1.25."""
    legs = (
        LegIntent(symbol="AAPL260116C00200000", ratio=Decimal(1), side=Side.BUY),
        LegIntent(symbol="AAPL260116C00210000", ratio=Decimal(1), side=Side.SELL),
    )
    asked = intent(
        symbol="",
        side=None,
        order_class=OrderClass.MULTILEG,
        legs=legs,
        terms=terms(quantity=Decimal(2), limit_price=Decimal("1.25")),
    )
    return after(SENT, start=created(asked, asset_class=AssetClass.US_OPTION, **changes))
