"""Every parser of the house as a function of bytes that must return, whatever the bytes are.

A target lets out what its parser may not do: an exception of another class than the parser's own, a float, a number
without bounds. `TARGETS` is read by the fuzzer (`fuzz.run`), by the property tests and by the replay of what was found.
"""

import contextlib
import itertools
import random
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import typer
from google.protobuf.message import DecodeError

from fuzz.judging import exact
from oms.v1 import broker_service_pb2 as bpb
from oms.v1 import order_service_pb2 as pb
from oms.v1 import trade_service_pb2 as tpb
from orderd.brokers.alpaca import errors, parse, replies
from orderd.brokers.alpaca.client import Response
from orderd.brokers.alpaca.fields import ParseError, read_moment
from orderd.brokers.alpaca.symbols import canonical
from orderd.cli import texts
from orderd.config import SettingsError, load
from orderd.core.order import AssetClass
from orderd.venue.alpaca.face import AlpacaFace, Options
from orderd.venue.core import Venue
from orderd.venue.exchange import Request
from orderd.wire import page_token, symbols, validate_changes, validate_desk_stream, validate_order, validate_queries
from orderd.wire.fields import Fields

Target = Callable[[bytes], None]
LONGEST: Final = 64 * 1024
EACH_VENUE: Final = 5_000
"""So many requests a venue answers; then there is a new one, because each remembers everything."""
DEFECT: Final = 500
NOW: Final = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


# ---------------------------------------------------------------------------------------------------------- the broker


def broker_order(data: bytes) -> None:
    """An order, alone and in a list."""
    _parsed(parse.order, data)
    _parsed(parse.orders, data)
    _parsed(parse.orders, b"[" + data + b"]")


def broker_lists(data: bytes) -> None:
    """Positions, activities, what a cancel-all answers, the account and the clock."""
    for read in (parse.positions, parse.activities, parse.entries, parse.account, parse.clock):
        _parsed(read, data)


def broker_error(data: bytes) -> None:
    """What comes with a status that is no success."""
    for status in (400, 403, 404, 422, 429, 500, 502):
        response = Response(status=status, headers={}, body=data)
        exact(errors.complaint(response))
        exact(errors.judge(response, errors.SUBMIT))
        errors.is_absent(response)
        errors.is_rate_limited(response)


def broker_frame(data: bytes) -> None:
    """A frame of the stream: a report, or unreadable, or none of our business."""
    exact(replies.frame(data))
    exact(replies.frame(b'{"stream":"trade_updates","data":' + data + b"}"))


def broker_words(data: bytes) -> None:
    """Times and symbols as Alpaca writes them."""
    text = data.decode(errors="surrogateescape")
    _parsed(lambda value: read_moment(value, "time"), text)
    for asset_class in (None, *AssetClass):
        canonical(text, asset_class)


def _parsed(read: Callable[[Any], object], data: Any) -> None:  # noqa: ANN401 - bytes or text
    with contextlib.suppress(ParseError):
        exact(read(data))


# --------------------------------------------------------------------------------------------------------- our callers

REQUESTS: Final[tuple[tuple[type[Any], Callable[[Any], object]], ...]] = (
    (pb.SubmitOrderRequest, lambda request: validate_order.submit_ask(request, account_id="paper")),
    (pb.PreviewOrderRequest, lambda request: validate_order.preview_ask(request, account_id="paper")),
    (pb.BatchSubmitOrdersRequest, validate_order.batch_ask),
    (pb.CancelOrderRequest, validate_changes.cancel_ask),
    (pb.CancelAllOrdersRequest, validate_changes.cancel_all_ask),
    (pb.ReplaceOrderRequest, validate_changes.replace_ask),
    (bpb.ResumeAccountRequest, validate_changes.resume_ask),
    (pb.GetOrderRequest, validate_queries.get_ask),
    (pb.ListOrdersRequest, validate_queries.orders_ask),
    (pb.ListFillsRequest, validate_queries.fills_ask),
    (pb.ListOrderEventsRequest, validate_queries.story_ask),
    (pb.StreamOrderEventsRequest, validate_queries.stream_ask),
    (bpb.ListBrokerOrdersRequest, validate_queries.broker_orders_ask),
    (tpb.StreamDeskEventsRequest, validate_desk_stream.desk_stream_ask),
)


def request(data: bytes) -> None:
    """The bytes of a request, as each of the requests there are."""
    for kind, check in REQUESTS:
        try:
            message = kind.FromString(data)
        except DecodeError:
            continue
        exact(check(message))


def token(data: bytes) -> None:
    """A page token, alone and made of a position whose digest is right."""
    for kind in (pb.ListOrdersRequest, pb.ListFillsRequest, pb.ListOrderEventsRequest, bpb.ListBrokerOrdersRequest):
        asked = kind(page_token=data.decode(errors="replace"))
        exact(page_token.read(asked, journal_id="j"))
        signed = page_token._digest(kind(), "j", data) + data
        asked = kind(page_token=page_token.base64.urlsafe_b64encode(signed).rstrip(b"=").decode())
        exact(page_token.read(asked, journal_id="j"))


def fields(data: bytes) -> None:
    """Decimals, keys, days and texts of requests; symbols and what an option's symbol says."""
    text = data.decode(errors="replace")
    checks = Fields()
    number = checks.number("number", text)
    if number is not None:
        assert checks.violations == []
        assert "e" not in f"{number:f}".lower()
    exact(number)
    exact(checks.positive("positive", text))
    checks.key("key", text)
    checks.day("day", text)
    checks.needed("text", text)
    checks.tags("tags", {text: text})
    symbols.is_canonical(text)
    exact(symbols.contract(text))


def command_line(data: bytes) -> None:
    """What people type."""
    text = data.decode(errors="surrogateescape")
    for read in (
        texts.address, texts.address_or_off, texts.decimal, texts.positive, texts.key, texts.name, texts.symbol,
        texts.reason, texts.date, texts.time,
    ):  # fmt: skip
        with contextlib.suppress(typer.BadParameter):
            read(text)
    with contextlib.suppress(typer.BadParameter):
        texts.tags(text.split("\n"))


@cache
def _config_file() -> Path:
    return Path(tempfile.mkdtemp(prefix="orderd-fuzz-")) / "orderd.toml"


def config(data: bytes) -> None:
    """A configuration file, and a variable."""
    path = _config_file()
    path.write_bytes(data)
    text = data.decode(errors="replace").replace("\0", "")
    for file, environment in (
        (path, {}),
        (None, {"ORDERD_ACCOUNTS__A__BROKER": "simulated", "ORDERD_MAX_CALLS": text}),
    ):
        try:
            settings = load(file, environment=environment)
        except SettingsError:
            continue
        assert dict(settings.values())
        assert settings.origins()
        for account_id in settings.accounts:
            exact(settings.limits(account_id))


# --------------------------------------------------------------------------------------------------------- the venue


@cache
def _face(number: int) -> AlpacaFace:
    """A venue with one account and no budget."""
    del number
    venue = Venue(rng=random.Random(1), now=NOW)
    face = AlpacaFace(venue, clock=lambda: NOW, options=Options(requests_per_minute=0))
    face.add_key("venue-key", "venue-secret", venue.open_account())
    return face


_inputs = itertools.count()


def _next_face() -> AlpacaFace:
    number = next(_inputs)
    if number % EACH_VENUE == 0:
        _face.cache_clear()
    return _face(number // EACH_VENUE)


def venue_frame(data: bytes) -> None:
    """A frame that a client of the venue's stream sends: answered, ignored, or the end of that connection."""
    session = _next_face().connect(lambda *_: None, lambda *_: None)
    session.receive(data)
    session.receive(data.decode(errors="replace"))
    session.receive(b'{"action":"auth","key":"venue-key","secret":"venue-secret"}')
    session.receive(data)


def _answered(method: str, path: str, *, query: Mapping[str, str] | None = None, body: bytes = b"") -> None:
    keys = {"apca-api-key-id": "venue-key", "apca-api-secret-key": "venue-secret"}
    reply = _next_face().handle(Request(method=method, path=path, query=query or {}, headers=keys, body=body))
    assert reply.status < DEFECT, (method, path, reply)


def venue_body(data: bytes) -> None:
    """The body of a request to the venue: taken, or refused like Alpaca would, never a defect."""
    _answered("POST", "/v2/orders", body=data)
    _answered("PATCH", "/v2/orders/00000000-0000-0000-0000-000000000000", body=data)
    _answered("PATCH", "/v2/account/configurations", body=data)


def venue_query(data: bytes) -> None:
    """The path and each field of the query of a request to the venue."""
    text = data.decode(errors="replace")
    for path, names in QUERIES.items():
        for name in names:
            _answered("GET", path, query={name: text})
    _answered("GET", f"/v2/orders/{text}")
    _answered("DELETE", f"/v2/positions/{text}")


QUERIES: Final[Mapping[str, tuple[str, ...]]] = {
    "/v2/orders": ("status", "limit", "after", "until", "direction", "nested", "symbols", "before_order_id"),
    "/v2/account/activities": ("activity_types", "page_size", "page_token", "after", "until", "date", "direction"),
    "/v2/calendar": ("start", "end"),
    "/v2/assets": ("status", "asset_class"),
    "/v2/options/contracts": ("underlying_symbols", "expiration_date", "limit", "strike_price_gte"),
    "/v2/orders:by_client_order_id": ("client_order_id",),
}


TARGETS: Final[Mapping[str, Target]] = {
    "broker_order": broker_order,
    "broker_lists": broker_lists,
    "broker_error": broker_error,
    "broker_frame": broker_frame,
    "broker_words": broker_words,
    "request": request,
    "token": token,
    "fields": fields,
    "command_line": command_line,
    "config": config,
    "venue_body": venue_body,
    "venue_query": venue_query,
    "venue_frame": venue_frame,
}
