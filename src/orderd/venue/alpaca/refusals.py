"""How Alpaca words a refusal: HTTP status, code and message (reference, section 6)."""

from collections.abc import Callable
from typing import Any, Final

from orderd.venue.orders import Reason, Refused


class Problem(Exception):
    """A request that cannot be read or routed. Carries the answer."""

    def __init__(self, status: int, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message}
        if code is not None:
            self.body["code"] = code


FORBIDDEN: Final = (403, 40310000)
NOT_FOUND: Final = (404, 40410000)
MALFORMED: Final = (422, 40010001)
UNPROCESSABLE: Final = (422, 42210000)

_Details = dict[str, str]
_Word = Callable[[_Details], str]


def _stock(message: str) -> _Word:
    return lambda _: message


def _of(template: str) -> _Word:
    return template.format_map


def _opposite(details: _Details) -> str:
    if details["side"] == "buy":
        return "cannot open a long buy while a short sell order is open"
    return "cannot open a short sell while a long buy order is open"


WORDS: Final[dict[Reason, tuple[tuple[int, int], _Word, tuple[str, ...]]]] = {
    Reason.CLIENT_ORDER_ID_TAKEN: (MALFORMED, _stock("client_order_id must be unique"), ()),
    Reason.CLIENT_ORDER_ID_TOO_LONG: (
        MALFORMED,
        _stock("client_order_id must be no more than 128 characters"),
        (),
    ),
    Reason.UNKNOWN_ASSET: (MALFORMED, _of('could not find asset "{symbol}"'), ()),
    Reason.NOT_TRADABLE: (UNPROCESSABLE, _of('asset "{symbol}" is not tradable'), ()),
    Reason.NOT_FRACTIONABLE: (FORBIDDEN, _of('asset "{symbol}" is not fractionable'), ()),
    Reason.NOT_SHORTABLE: (UNPROCESSABLE, _of('asset "{symbol}" cannot be sold short'), ()),
    Reason.FRACTIONAL_SHORT: (UNPROCESSABLE, _stock("fractional orders cannot be sold short"), ()),
    Reason.SHORTING_OFF: (FORBIDDEN, _stock("account is not allowed to short"), ()),
    Reason.ACCOUNT_BLOCKED: (FORBIDDEN, _stock("trading is blocked for this account"), ()),
    Reason.SUB_PENNY: (
        UNPROCESSABLE,
        _of("invalid {field} {price}. sub-penny increment does not fulfill minimum pricing criteria"),
        (),
    ),
    Reason.STOP_PRICE: (
        UNPROCESSABLE,
        _of("stop price must be {relation} than current price"),
        ("market_price", "stop_price"),
    ),
    Reason.WASH_TRADE: (
        FORBIDDEN,
        _stock("potential wash trade detected. use complex orders"),
        ("existing_order_id", "reject_reason"),
    ),
    Reason.OPPOSITE_OPEN: (FORBIDDEN, _opposite, ()),
    Reason.INSUFFICIENT_QUANTITY: (
        FORBIDDEN,
        _of("insufficient qty available for order (requested: {requested}, available: {available})"),
        ("available", "existing_qty", "held_for_orders", "symbol"),
    ),
    Reason.INSUFFICIENT_BUYING_POWER: (
        FORBIDDEN,
        _stock("insufficient buying power"),
        ("buying_power", "cost_basis"),
    ),
    Reason.COVERED_CALL: (
        FORBIDDEN,
        _of(
            "insufficient underlying qty available for covered call "
            "(required: {required_qty}, available: {available_qty})"
        ),
        ("available_qty", "required_qty", "symbol", "underlying_asset_id"),
    ),
    Reason.MINIMUM_COST: (FORBIDDEN, _stock("cost basis must be >= minimal amount of order 10"), ()),
    Reason.UNKNOWN_ORDER: (NOT_FOUND, _of("order not found for {id}"), ()),
    Reason.UNKNOWN_POSITION: (NOT_FOUND, _stock("position does not exist"), ()),
    Reason.NOT_CANCELABLE: (UNPROCESSABLE, _of('order is already in "{status}" state'), ()),
    Reason.NOT_SENT_YET: (MALFORMED, _stock("unable to replace order, order isn't sent to exchange yet"), ()),
    Reason.NOT_OPEN: (MALFORMED, _stock("unable to replace order, order is not open"), ()),
    Reason.BELOW_FILLED: (MALFORMED, _stock("unable to replace order, qty must be > filled_qty"), ()),
    Reason.UNCHANGED: (FORBIDDEN, _stock("order parameters are not changed"), ()),
}


def worded(refused: Refused) -> tuple[int, dict[str, Any]]:
    """The HTTP status and body of a refusal."""
    if refused.reason is Reason.INVALID:
        return UNPROCESSABLE[0], {"code": UNPROCESSABLE[1], "message": refused.message}
    (status, code), message, extras = WORDS[refused.reason]
    body: dict[str, Any] = {"code": code, "message": message(refused.details)}
    body |= {name: refused.details[name] for name in extras}
    if refused.related:
        body["related_orders"] = list(refused.related)
    return status, body
