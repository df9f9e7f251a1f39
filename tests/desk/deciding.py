"""What the stories about decisions say and do."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from orderd.core.decisions import Decided, Decision, DecisionKind, DecisionStatus, SendClose, SendOpen, SendOrder
from orderd.core.order import Order, OrderType, Side
from orderd.core.values import AccountId, Reason
from orderd.desk.decisions import DecisionDesk, Told
from orderd.risk.limits import Limits
from orderd.wire import enums
from tests.desk.trading import signal
from tests.engine.world import ACCOUNT, World, intent

YES = Reason(code="APPROVED", message="looks right", origin="OPERATOR", operator_name="ann")
NO = Reason(code="REJECTED", message="too large", origin="OPERATOR", operator_name="ann")
ABOVE = "500"
"""Dollars above which a person is asked: ten KO are 800."""


def limits(**changes: Any) -> Limits:  # noqa: ANN401 - each limit has its own type
    return Limits(approval_above_notional=Decimal(ABOVE), **changes)


ASKED_ABOVE = {"policy": {"limits": limits()}}


def decisions(world: World) -> DecisionDesk:
    return world.alive.desk.decisions


def to_order(key: str = "d-1", quantity: str = "10", **changes: Any) -> Decided:  # noqa: ANN401
    """A decision to buy KO by a limit order at 80."""
    order = intent(
        client_order_id="",
        decision_id=key,
        trace_id="trace-1",
        quantity=quantity,
        limit_price=changes.pop("limit_price", "80"),
        side=enums.SIDE.number[changes.pop("side", Side.BUY)],
    )
    return _decided(key, SendOrder(order=order), side=order.side, price=order.terms.limit_price, **changes)


def to_open(key: str = "d-1", quantity: str | None = "10", **changes: Any) -> Decided:  # noqa: ANN401
    """A decision to open a trade of KO at 80 with its stop at 75."""
    of = signal(entry_price=Decimal(changes.pop("tick", "80")), type=OrderType.LIMIT)
    asked = SendOpen(client_trade_id=f"o-{key}", signal=of, quantity=None if quantity is None else Decimal(quantity))
    return _decided(key, asked, side=Side.BUY, price=of.entry_price, **changes)


def to_close(trade_id: str, key: str = "d-2", **changes: Any) -> Decided:  # noqa: ANN401
    """A decision to close a trade."""
    asked = SendClose(trade_id=trade_id, request_id=f"c-{key}", quantity=changes.pop("quantity", None))
    return _decided(key, asked, kind=DecisionKind.EXIT, side=Side.SELL, linked_trade_id=trade_id, **changes)


def bare(key: str = "d-1", **changes: Any) -> Decided:  # noqa: ANN401
    """A decision that its caller carries out by itself."""
    return _decided(key, None, side=Side.BUY, **changes)


def _decided(key: str, asked: SendOrder | SendOpen | SendClose | None, **changes: Any) -> Decided:  # noqa: ANN401
    given = {
        "account_id": AccountId(ACCOUNT),
        "kind": DecisionKind.ENTRY,
        "symbol": "KO",
        "trace_id": "trace-1",
        "strategy": "test",
    }
    return Decided(decision_id=key, intent=asked, **(given | changes))


def in_(world: World, seconds: float) -> Any:  # noqa: ANN401
    return world.clock.now() + timedelta(seconds=seconds)


async def approve(world: World, key: str = "d-1", price: str | None = None) -> Told:
    reference = None if price is None else Decimal(price)
    return await decisions(world).approve(ACCOUNT, key, YES, reference_price=reference)


async def reject(world: World, key: str = "d-1") -> Decision:
    return await decisions(world).reject(ACCOUNT, key, NO)


def status(world: World, key: str = "d-1") -> DecisionStatus:
    return decisions(world).known(ACCOUNT, key).status


def told(world: World, key: str = "d-1") -> Told:
    return decisions(world).told(decisions(world).known(ACCOUNT, key))


def naming(world: World, key: str = "d-1") -> list[Order]:
    """Orders that carry the decision, as the venue's journal has them."""
    account = world.alive.workers.account
    of_file = [order.order_id for order in world.orders() if order.decision_id == key]
    return [order for order in map(account.blotter.get, of_file) if order is not None]
