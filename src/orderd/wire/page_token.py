"""Page tokens: where the next page begins, bound to the question that the first page answered.

A token is a digest and a position, in URL-safe base64. The digest covers the journal, the call, all filter fields and
the position, so a token of another filter, of another journal or of nobody's making is refused instead of answering
pages that do not belong together. The page size may change between pages. A token is no secret and grants nothing:
whoever reads it checks the caller's accounts again.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

import msgspec

from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import decision_service_pb2 as decision_pb
from oms.v1 import order_service_pb2 as service_pb
from oms.v1 import position_service_pb2 as position_pb
from oms.v1 import trade_service_pb2 as trade_pb
from orderd.core.values import Value
from orderd.wire.asks import INVALID_PAGE_TOKEN, Invalid, Violation

Listing = (
    service_pb.ListOrdersRequest
    | service_pb.ListFillsRequest
    | service_pb.ListOrderEventsRequest
    | broker_pb.ListBrokerOrdersRequest
    | broker_pb.ListDiscrepanciesRequest
    | trade_pb.ListCompletedTradesRequest
    | trade_pb.ListTradesRequest
    | decision_pb.ListDecisionsRequest
    | position_pb.ListPositionsRequest
)
Key = tuple[int | str, ...]

MAX_TOKEN: Final = 1024
_DIGEST_BYTES: Final = 16


class Position(Value, frozen=True, kw_only=True, array_like=True):
    """Where a page ended: the key of its last row, and the journal's head when the first page was read."""

    key: Key
    sequence: int


def issue(request: Listing, *, journal_id: str, key: Key, sequence: int) -> str:
    """Return the token of the page after `key` for the same filters."""
    position = msgspec.msgpack.encode(Position(key=key, sequence=sequence))
    token = _digest(request, journal_id, position) + position
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode("ascii")


def read(request: Listing, *, journal_id: str) -> Position | Invalid | None:
    """Return the position that the request's page_token names; None when it has none: the first page."""
    text = request.page_token
    if not text:
        return None
    token = _decoded(text)
    digest, position = token[:_DIGEST_BYTES], token[_DIGEST_BYTES:]
    if not hmac.compare_digest(digest, _digest(request, journal_id, position)):
        return _refused("is not a token of this list; use next_page_token of the page before, with the same filters")
    try:
        return msgspec.msgpack.decode(position, type=Position)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _refused("is not a token of this version of the server; begin with the first page")


def _digest(request: Listing, journal_id: str, position: bytes) -> bytes:
    """The digest of what a token is bound to. Every part carries its length, so parts cannot run into each other."""
    filters = type(request).FromString(request.SerializeToString())
    filters.ClearField("page_token")
    filters.ClearField("page_size")
    parts = (
        journal_id.encode(),
        request.DESCRIPTOR.full_name.encode(),
        filters.SerializeToString(deterministic=True),
        position,
    )
    text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hashlib.sha256(text).digest()[:_DIGEST_BYTES]


def _decoded(text: str) -> bytes:
    """The bytes of a token; none at all when it is no base64, which no digest fits."""
    if len(text) > MAX_TOKEN or not text.isascii():
        return b""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return b""


def _refused(rule: str) -> Invalid:
    return Invalid(reason=INVALID_PAGE_TOKEN, violations=(Violation(field="page_token", rule=rule),))
