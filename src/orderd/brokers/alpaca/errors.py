"""What an answer that is not a yes means: the error table.

Alpaca reuses its codes for unrelated causes and the HTTP status does not follow from the code, so a refusal is known
by status AND text (reference, errors chapter). What is not in the table proves nothing: `Unknown`, then a lookup.
HTML, empty bodies and every 5xx are from whatever stands between, and are `Unknown` too.
"""

import re

from orderd.brokers.alpaca.client import Response
from orderd.brokers.alpaca.fields import Json, ParseError, as_object, decode, text
from orderd.core.values import Value
from orderd.ports import NotSent, Refused, Unknown

DUPLICATE = "client_order_id must be unique"
RATE_LIMITED = "rate limit exceeded"


class Complaint(Value, frozen=True, kw_only=True):
    """An error body of Alpaca's own: `code` is empty in the bodies that carry none."""

    code: str
    message: str


_ANY = (
    (401, r"access key verification failed"),
    (401, r"request is not authorized"),
    (401, r"unauthorized$"),
    (403, r"forbidden\.?$"),
)
"""Refused at the door: nothing behind it has seen the request."""

_SUBMIT = (
    *_ANY,
    (403, r"insufficient buying power"),
    (403, r"insufficient qty available for order"),
    (403, r"insufficient underlying qty available for covered call"),
    (403, r"insufficient balance for "),
    (403, r'(asset ".*"|requested asset) is not fractionable'),
    (403, r"cost basis must be >= minimal amount of order"),
    (403, r"cannot open a (long buy|short sell) while a (short sell|long buy) order is open"),
    (403, r"account is not allowed to short"),
    (403, r"unable to open new notional orders while having open closing position orders"),
    (403, r"potential wash trade detected"),
    (422, r"potential wash trade detected"),
    (422, DUPLICATE),
    (422, r'could not find asset "'),
    (422, r"invalid symbol"),
    (422, r"invalid order type for crypto order"),
    (422, r"invalid [a-z_.]*price .*sub-penny increment"),
    (422, r"stop price must be (less|greater) than"),
    (422, r"(take_profit|stop_loss)\.[a-z_]+ must be "),
    (422, r'asset ".*" (is not tradable|cannot be sold short)'),
    (422, r"extended hours orders? .* not supported"),
    (422, r"fractional orders (cannot be sold short|are not allowed to short)"),
    (422, r"fractional orders must be (simple|DAY) orders"),
)

_REPLACE = (
    *_SUBMIT,
    (403, r"order parameters are not changed"),
    (404, r"order (is )?not found"),
    (422, r"unable to replace order, "),
    (422, r"order_id is missing"),
    (422, r'order is already in ".*" state'),
)

_CANCEL = (
    *_ANY,
    (404, r"order (is )?not found"),
    (422, r'order is already in ".*" state'),
    (422, r"order_id is missing"),
)

Table = tuple[tuple[int, str], ...]
SUBMIT: Table = _SUBMIT
REPLACE: Table = _REPLACE
CANCEL: Table = _CANCEL


def complaint(response: Response) -> Complaint | None:
    """Return Alpaca's own error body, None for HTML, an empty body or anything else."""
    try:
        row: Json = as_object(decode(response.body), "error")
        message = text(row, "message")
        return Complaint(code=text(row, "code"), message=message) if message else None
    except ParseError:
        return None


def is_absent(response: Response) -> bool:
    """Whether this is Alpaca's own word that there is no such order."""
    found = complaint(response) if response.status == 404 else None  # noqa: PLR2004
    return found is not None and found.code == "40410000" and bool(re.match(r"order (is )?not found", found.message))


def is_no_asset(response: Response) -> bool:
    """Whether this is Alpaca's own word that it knows no such instrument."""
    found = complaint(response) if response.status == 404 else None  # noqa: PLR2004
    return found is not None and found.code == "40410000" and found.message.startswith("asset not found for ")


def is_rate_limited(response: Response) -> bool:
    """Whether Alpaca itself says that the minute's requests are used up: nothing was done."""
    found = complaint(response) if response.status == 429 else None  # noqa: PLR2004
    return found is not None and found.message == RATE_LIMITED


def judge(response: Response, table: Table) -> Refused | NotSent | Unknown:
    """Say what an answer without success means, by the table of its call."""
    found = complaint(response)
    if found is None:
        return Unknown(code=f"HTTP_{response.status}", message="an answer that is not Alpaca's JSON", raw=response.body)
    code = found.code or f"HTTP_{response.status}"
    if is_rate_limited(response):
        return NotSent(code=code, message=found.message)
    for status, pattern in table:
        if response.status == status and re.match(pattern, found.message):
            return Refused(
                code=code, message=found.message, raw=response.body, is_duplicate_id=found.message == DUPLICATE
            )
    return Unknown(code=code, message=found.message, raw=response.body)
