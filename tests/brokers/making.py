"""Orders to send, made short. `Staged` is proof of storage's work: only tests may make one without it."""

from datetime import UTC, datetime
from decimal import Decimal

from orderd.core.order import (
    AssetClass,
    BrokerLink,
    LegIntent,
    Mode,
    Order,
    OrderClass,
    OrderIntent,
    OrderRole,
    OrderState,
    OrderType,
    PositionIntent,
    Side,
    StopLoss,
    Terms,
    TimeInForce,
)
from orderd.core.turnstiles import Staged
from orderd.core.values import AccountId, BrokerOrderId, ClientOrderId, OrderId

NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


def number(value: str | None) -> Decimal | None:
    """A decimal, or nothing."""
    return None if value is None else Decimal(value)


def terms(
    type: OrderType = OrderType.MARKET,
    quantity: str | None = "10",
    *,
    tif: TimeInForce = TimeInForce.DAY,
    notional: str | None = None,
    limit: str | None = None,
    stop: str | None = None,
    trail_price: str | None = None,
    trail_percent: str | None = None,
    extended_hours: bool = False,
) -> Terms:
    """Terms from strings."""
    return Terms(
        type=type,
        time_in_force=tif,
        quantity=number(quantity),
        notional=number(notional),
        limit_price=number(limit),
        stop_price=number(stop),
        trail_price=number(trail_price),
        trail_percent=number(trail_percent),
        extended_hours=extended_hours,
    )


def order(
    client_order_id: str = "key-1",
    asked: Terms | None = None,
    *,
    symbol: str = "AAPL",
    side: Side | None = Side.BUY,
    asset_class: AssetClass = AssetClass.US_EQUITY,
    order_class: OrderClass = OrderClass.SIMPLE,
    take_profit: str | None = None,
    stop_loss: StopLoss | None = None,
    legs: tuple[LegIntent, ...] = (),
    position_intent: PositionIntent | None = None,
    role: OrderRole | None = None,
    broker_order_id: str = "",
) -> Order:
    """An order that was just recorded as SUBMITTED."""
    intent = OrderIntent(
        account_id=AccountId("main"),
        client_order_id=ClientOrderId(client_order_id),
        symbol=symbol,
        side=side,
        terms=asked or terms(),
        order_class=order_class,
        position_intent=position_intent,
        take_profit=number(take_profit),
        stop_loss=stop_loss,
        legs=legs,
        role=role,
    )
    links = (BrokerLink(broker_order_id=BrokerOrderId(broker_order_id)),) if broker_order_id else ()
    return Order(
        order_id=OrderId(f"o-{client_order_id}"),
        intent=intent,
        terms=intent.terms,
        state=OrderState.SUBMITTED,
        broker="alpaca",
        mode=Mode.PAPER,
        asset_class=asset_class,
        created_time=NOW,
        updated_time=NOW,
        links=links,
    )


def staged(of: Order) -> Staged:
    """The right to send it."""
    return Staged(order=of)


def limit_order(client_order_id: str = "key-1", quantity: str = "10", price: str = "50", **more: object) -> Order:
    """A limit order that rests."""
    asked = terms(OrderType.LIMIT, quantity, limit=price, tif=TimeInForce.DAY)
    return order(client_order_id, asked, **more)  # type: ignore[arg-type]


def option_leg(symbol: str, side: Side, ratio: str = "1") -> LegIntent:
    """A leg that opens."""
    intent = PositionIntent.BUY_TO_OPEN if side is Side.BUY else PositionIntent.SELL_TO_OPEN
    return LegIntent(symbol=symbol, ratio=Decimal(ratio), side=side, position_intent=intent)
