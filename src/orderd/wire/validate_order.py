"""SubmitOrder's request: a well-formed intent, or everything that is wrong with it.

Only what the request itself proves is judged here: syntax, limits, and which fields belong together. What an account, a
broker or the risk gate thinks of the order is decided later, and recorded.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from oms.v1 import order_pb2 as pb
from oms.v1 import order_service_pb2 as service_pb
from orderd.core.keys import derive
from orderd.core.order import (
    LegIntent,
    OrderClass,
    OrderIntent,
    OrderType,
    PositionIntent,
    Side,
    StopLoss,
    Terms,
    TimeInForce,
)
from orderd.core.values import AccountId, ClientOrderId
from orderd.wire import enums
from orderd.wire.asks import ACCOUNT_REQUIRED, INVALID_FIELDS, KEY_REQUIRED, BatchAsk, Invalid, SubmitAsk, Violation
from orderd.wire.fields import Fields
from orderd.wire.symbols import is_canonical

MAX_BATCH: Final = 500
MIN_LEGS: Final = 2
MAX_LEGS: Final = 4
MAX_RATIO: Final = 10_000
FULL_PERCENT: Final = Decimal(100)

_SYMBOL_RULE: Final = "must be a canonical symbol such as AAPL, BRK.B, BTC/USD or AAPL250117C00150000"

_NEEDED_PRICES: Final[Mapping[OrderType, frozenset[str]]] = {
    OrderType.MARKET: frozenset(),
    OrderType.LIMIT: frozenset({"limit_price"}),
    OrderType.STOP: frozenset({"stop_price"}),
    OrderType.STOP_LIMIT: frozenset({"limit_price", "stop_price"}),
    OrderType.TRAILING_STOP: frozenset(),
}
_SIDE_OF: Final[Mapping[PositionIntent, Side]] = {
    PositionIntent.BUY_TO_OPEN: Side.BUY,
    PositionIntent.BUY_TO_CLOSE: Side.BUY,
    PositionIntent.SELL_TO_OPEN: Side.SELL,
    PositionIntent.SELL_TO_CLOSE: Side.SELL,
}
_ATTACHED: Final = frozenset({OrderClass.BRACKET, OrderClass.OCO})
"""The classes with both attached parts."""
_MULTILEG_TYPES: Final = frozenset({OrderType.MARKET, OrderType.LIMIT})


def submit_ask(request: service_pb.SubmitOrderRequest, *, account_id: str, prefix: str = "") -> SubmitAsk | Invalid:
    """Check a request whole.

    `account_id` is the account the caller means: the request's own, else the only one; empty when neither says.
    Without a client_order_id the key is derived from what the caller said.
    """
    fields = Fields(prefix)
    if not account_id:
        fields.refuse("account_id", "is required: several accounts are configured", ACCOUNT_REQUIRED)
    intent = _intent(request, fields, account_id)
    wait = fields.word("wait", request.wait, enums.WAIT)
    if fields.violations:
        return fields.invalid()
    if not intent.client_order_id:
        intent = msgspec.structs.replace(intent, client_order_id=derive(intent))
    return SubmitAsk(intent=intent, wait=wait)


def preview_ask(request: service_pb.PreviewOrderRequest, *, account_id: str) -> SubmitAsk | Invalid:
    """Check the order inside a preview; paths begin with `order.`."""
    if not request.HasField("order"):
        return Invalid(reason=INVALID_FIELDS, violations=(Violation(field="order", rule="is required"),))
    return submit_ask(request.order, account_id=account_id, prefix="order.")


def batch_ask(request: service_pb.BatchSubmitOrdersRequest) -> BatchAsk | Invalid:
    """Check what is said about the batch as a whole; each order is checked by `submit_ask`."""
    fields = Fields()
    if not 1 <= len(request.requests) <= MAX_BATCH:
        fields.refuse("requests", f"must have 1 to {MAX_BATCH} orders")
    wait = fields.word("wait", request.wait, enums.WAIT)
    return fields.invalid() if fields.violations else BatchAsk(wait=wait)


def _intent(request: service_pb.SubmitOrderRequest, fields: Fields, account_id: str) -> OrderIntent:
    order_class = fields.word("order_class", request.order_class, enums.ORDER_CLASS) or OrderClass.SIMPLE
    is_multileg = order_class is OrderClass.MULTILEG
    side = None if is_multileg else fields.needed_word("side", request.side, enums.SIDE)
    key = _key(request, fields)
    if is_multileg:
        _check_no_instrument(request, fields)
    elif not is_canonical(request.symbol):
        fields.refuse("symbol", _SYMBOL_RULE if request.symbol else "is required")
    take_profit, stop_loss = _attached(request, fields, order_class)
    return OrderIntent(
        account_id=AccountId(account_id),
        client_order_id=ClientOrderId(key),
        symbol=request.symbol,
        side=side,
        terms=_terms(request, fields, order_class, take_profit),
        order_class=order_class,
        position_intent=_position_intent("position_intent", request.position_intent, side, fields),
        take_profit=take_profit,
        stop_loss=stop_loss,
        legs=_legs(request, fields, is_multileg=is_multileg),
        trace_id=fields.text("trace_id", request.trace_id),
        decision_id=fields.text("decision_id", request.decision_id),
        decided_time=fields.time("decided_time", request.decided_time if request.HasField("decided_time") else None),
        valid_until_time=fields.time(
            "valid_until_time", request.valid_until_time if request.HasField("valid_until_time") else None
        ),
        reference_price=fields.positive("reference_price", request.reference_price),
        strategy=fields.text("strategy", request.strategy),
        tags=fields.tags("tags", request.tags),
    )


def _key(request: service_pb.SubmitOrderRequest, fields: Fields) -> str:
    if not (request.client_order_id or request.decision_id or request.trace_id):
        rule = "is required when there is neither a decision_id nor a trace_id to derive it from"
        fields.refuse("client_order_id", rule, KEY_REQUIRED)
    return fields.key("client_order_id", request.client_order_id)


def _check_no_instrument(request: service_pb.SubmitOrderRequest, fields: Fields) -> None:
    """The legs of a multi-leg order say what is traded and which way."""
    if request.symbol:
        fields.refuse("symbol", "must be empty for a multi-leg order; its legs have symbols")
    if request.side:
        fields.refuse("side", "must be unspecified for a multi-leg order; its legs have sides")
    if request.position_intent:
        fields.refuse("position_intent", "must be unspecified for a multi-leg order; its legs have their own")


def _position_intent(field: str, number: int, side: Side | None, fields: Fields) -> PositionIntent | None:
    intent = fields.word(field, number, enums.POSITION_INTENT)
    if intent is not None and side is not None and _SIDE_OF[intent] is not side:
        fields.refuse(field, f"does not agree with SIDE_{side}")
    return intent


def _terms(
    request: service_pb.SubmitOrderRequest, fields: Fields, order_class: OrderClass, take_profit: Decimal | None
) -> Terms:
    order_type = fields.needed_word("type", request.type, enums.TYPE)
    time_in_force = fields.needed_word("time_in_force", request.time_in_force, enums.TIME_IN_FORCE)
    is_multileg = order_class is OrderClass.MULTILEG
    quantity, notional = _size(request, fields, is_multileg=is_multileg)
    # Only a net price of several legs may be a credit.
    limit_price = (fields.number if is_multileg else fields.positive)("limit_price", request.limit_price)
    terms = Terms(
        type=order_type or OrderType.MARKET,
        time_in_force=time_in_force or TimeInForce.DAY,
        quantity=quantity,
        notional=notional,
        limit_price=limit_price,
        stop_price=fields.positive("stop_price", request.stop_price),
        trail_price=fields.positive("trail_price", request.trail_price),
        trail_percent=fields.positive("trail_percent", request.trail_percent),
        extended_hours=request.extended_hours,
    )
    if terms.trail_percent is not None and terms.trail_percent >= FULL_PERCENT:
        fields.refuse("trail_percent", "must be less than 100")
    if order_type is None:
        return terms
    if is_multileg and order_type not in _MULTILEG_TYPES:
        fields.refuse("type", "must be ORDER_TYPE_MARKET or ORDER_TYPE_LIMIT for a multi-leg order")
    if order_class is OrderClass.OCO:
        return _oco_terms(request, fields, terms, take_profit)
    _check_prices(request, fields, order_type)
    _check_trail(request, fields, order_type)
    return terms


def _size(
    request: service_pb.SubmitOrderRequest, fields: Fields, *, is_multileg: bool
) -> tuple[Decimal | None, Decimal | None]:
    quantity = fields.positive("quantity", request.quantity)
    notional = fields.positive("notional", request.notional)
    if request.quantity and request.notional:
        fields.refuse("notional", "must be empty when quantity is given: exactly one of the two")
    elif is_multileg and request.notional:
        fields.refuse("notional", "must be empty for a multi-leg order; it has a quantity")
    elif not (request.quantity or request.notional):
        fields.refuse("quantity", "is required: exactly one of quantity and notional")
    if is_multileg and quantity is not None and quantity % 1:
        fields.refuse("quantity", "must be a whole number for a multi-leg order")
    return quantity, notional


def _check_prices(request: service_pb.SubmitOrderRequest, fields: Fields, order_type: OrderType) -> None:
    needed = _NEEDED_PRICES[order_type]
    for name, text in (("limit_price", request.limit_price), ("stop_price", request.stop_price)):
        if text and name not in needed:
            fields.refuse(name, f"must be empty for ORDER_TYPE_{order_type}")
        elif not text and name in needed:
            fields.refuse(name, f"is required for ORDER_TYPE_{order_type}")


def _check_trail(request: service_pb.SubmitOrderRequest, fields: Fields, order_type: OrderType) -> None:
    given = [name for name in ("trail_price", "trail_percent") if getattr(request, name)]
    if order_type is not OrderType.TRAILING_STOP:
        for name in given:
            fields.refuse(name, f"must be empty for ORDER_TYPE_{order_type}")
    elif not given:
        fields.refuse("trail_price", "is required: exactly one of trail_price and trail_percent")
    elif len(given) > 1:
        fields.refuse("trail_percent", "must be empty when trail_price is given: exactly one of the two")


def _oco_terms(
    request: service_pb.SubmitOrderRequest, fields: Fields, terms: Terms, take_profit: Decimal | None
) -> Terms:
    """The parent of an OCO is its take-profit limit, so the two prices are one."""
    if terms.type is not OrderType.LIMIT:
        fields.refuse("type", "must be ORDER_TYPE_LIMIT for an OCO order: it is the take-profit limit")
    if request.stop_price:
        fields.refuse("stop_price", "must be empty for an OCO order; it stands in stop_loss")
    if terms.limit_price is not None and take_profit is not None and terms.limit_price != take_profit:
        fields.refuse("limit_price", "must be empty or the same as take_profit.limit_price for an OCO order")
    _check_trail(request, fields, OrderType.LIMIT)
    return msgspec.structs.replace(terms, limit_price=take_profit)


def _attached(
    request: service_pb.SubmitOrderRequest, fields: Fields, order_class: OrderClass
) -> tuple[Decimal | None, StopLoss | None]:
    has_profit, has_loss = request.HasField("take_profit"), request.HasField("stop_loss")
    _check_attached(fields, order_class, has_profit=has_profit, has_loss=has_loss)
    take_profit: Decimal | None = None
    stop_loss: StopLoss | None = None
    if has_profit:
        take_profit = _needed_price("take_profit.limit_price", request.take_profit.limit_price, fields)
    if has_loss:
        stop_price = _needed_price("stop_loss.stop_price", request.stop_loss.stop_price, fields)
        limit_price = fields.positive("stop_loss.limit_price", request.stop_loss.limit_price)
        stop_loss = None if stop_price is None else StopLoss(stop_price=stop_price, limit_price=limit_price)
    return take_profit, stop_loss


def _check_attached(fields: Fields, order_class: OrderClass, *, has_profit: bool, has_loss: bool) -> None:
    if order_class is OrderClass.OTO:
        if has_profit == has_loss:
            rule = "exactly one of take_profit and stop_loss is required for ORDER_CLASS_OTO"
            fields.refuse("stop_loss" if has_loss else "take_profit", rule)
        return
    needs_both = order_class in _ATTACHED
    for name, given in (("take_profit", has_profit), ("stop_loss", has_loss)):
        if given != needs_both:
            rule = "is required" if needs_both else "must be absent"
            fields.refuse(name, f"{rule} for ORDER_CLASS_{order_class}")


def _needed_price(field: str, text: str, fields: Fields) -> Decimal | None:
    if not text:
        fields.refuse(field, "is required")
        return None
    return fields.positive(field, text)


def _legs(request: service_pb.SubmitOrderRequest, fields: Fields, *, is_multileg: bool) -> tuple[LegIntent, ...]:
    if not is_multileg:
        if request.legs:
            fields.refuse("legs", "must be empty unless the order is ORDER_CLASS_MULTILEG")
        return ()
    if not MIN_LEGS <= len(request.legs) <= MAX_LEGS:
        fields.refuse("legs", f"must have {MIN_LEGS} to {MAX_LEGS} entries for ORDER_CLASS_MULTILEG")
        return ()
    symbols = [leg.symbol for leg in request.legs]
    if len(frozenset(symbols)) < len(symbols):
        fields.refuse("legs", "must have different symbols")
    legs = [_leg(f"legs[{index}]", leg, fields) for index, leg in enumerate(request.legs)]
    return tuple(leg for leg in legs if leg is not None)


def _leg(path: str, leg: pb.Leg, fields: Fields) -> LegIntent | None:
    if not is_canonical(leg.symbol):
        fields.refuse(f"{path}.symbol", _SYMBOL_RULE if leg.symbol else "is required")
    if not 1 <= leg.ratio <= MAX_RATIO:
        fields.refuse(f"{path}.ratio", f"must be 1 to {MAX_RATIO}")
    if leg.order_id:
        fields.refuse(f"{path}.order_id", "must be empty; the server gives it")
    side = fields.needed_word(f"{path}.side", leg.side, enums.SIDE)
    position_intent = _position_intent(f"{path}.position_intent", leg.position_intent, side, fields)
    if side is None:
        return None
    return LegIntent(symbol=leg.symbol, ratio=Decimal(leg.ratio), side=side, position_intent=position_intent)
