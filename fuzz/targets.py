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

import msgspec
import typer
from google.protobuf.message import DecodeError

from fuzz.judging import exact
from oms.v1 import broker_service_pb2 as bpb
from oms.v1 import decision_service_pb2 as cpb
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from oms.v1 import position_service_pb2 as ppb
from oms.v1 import risk_service_pb2 as rpb
from oms.v1 import trade_service_pb2 as tpb
from orderd.brokers.alpaca import errors, parse, replies
from orderd.brokers.alpaca.client import Response
from orderd.brokers.alpaca.fields import ParseError, read_moment
from orderd.brokers.alpaca.symbols import canonical
from orderd.cli import texts
from orderd.config import SettingsError, load
from orderd.core.order import AssetClass
from orderd.desk import decisionbook, tradebook
from orderd.desk import positions as desk_positions
from orderd.engine import riskbook
from orderd.venue.alpaca.face import AlpacaFace, Options
from orderd.venue.core import Venue
from orderd.venue.exchange import Request
from orderd.wire import page_token, symbols, validate_changes, validate_desk_stream, validate_order, validate_queries
from orderd.wire import validate_decisions as decisions
from orderd.wire import validate_positions as positions
from orderd.wire import validate_results as results
from orderd.wire import validate_risk as risk
from orderd.wire import validate_settling as settling
from orderd.wire import validate_trades as trades
from orderd.wire.fields import Fields
from orderd.wire.risk import counted, counted_by_record

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
    (bpb.ListDiscrepanciesRequest, settling.discrepancies_ask),
    (bpb.ResolveDiscrepancyRequest, settling.settle_ask),
    (bpb.ResolveOrderRequest, settling.resolve_order_ask),
)
DESK_REQUESTS: Final[tuple[tuple[type[Any], Callable[[Any], object]], ...]] = (
    (tpb.StreamDeskEventsRequest, validate_desk_stream.desk_stream_ask),
    (tpb.OpenTradeRequest, lambda request: trades.open_ask(request, account_id="paper")),
    (tpb.CloseTradeRequest, trades.close_ask),
    (tpb.MoveStopRequest, trades.move_ask),
    (tpb.RearmStopRequest, trades.rearm_ask),
    (tpb.AdvanceCandleRequest, trades.candle_ask),
    (tpb.CancelPendingEntriesRequest, trades.pending_ask),
    (tpb.GetTradeRequest, trades.get_trade_ask),
    (tpb.ListTradesRequest, trades.trades_ask),
    (tpb.ListCompletedTradesRequest, results.results_ask),
    (tpb.GetPerformanceRequest, results.performance_ask),
    (cpb.RecordDecisionRequest, lambda request: decisions.record_ask(request, account_id="paper")),
    (cpb.RecordDecisionRequest, lambda request: decisions.record_ask(request, account_id="")),
    (cpb.ApproveDecisionRequest, decisions.approve_ask),
    (cpb.RejectDecisionRequest, decisions.reject_ask),
    (cpb.GetDecisionRequest, decisions.get_decision_ask),
    (cpb.ListDecisionsRequest, decisions.decisions_ask),
    (rpb.SetTradingStateRequest, risk.state_ask),
    (rpb.ResetCircuitBreakerRequest, risk.reset_ask),
    (rpb.FlattenAccountRequest, risk.flatten_ask),
    (rpb.SizePositionRequest, risk.size_ask),
    (ppb.ListPositionsRequest, positions.positions_ask),
    (ppb.GetPositionRequest, positions.position_ask),
)
LISTS: Final[tuple[type[Any], ...]] = (
    pb.ListOrdersRequest, pb.ListFillsRequest, pb.ListOrderEventsRequest, bpb.ListBrokerOrdersRequest,
    bpb.ListDiscrepanciesRequest, tpb.ListTradesRequest, tpb.ListCompletedTradesRequest, cpb.ListDecisionsRequest,
    ppb.ListPositionsRequest,
)  # fmt: skip


def request(data: bytes) -> None:
    """The bytes of a request about orders, as each of the requests there are."""
    _checked(REQUESTS, data)


def desk_request(data: bytes) -> None:
    """The same for decisions, trades, risk and positions."""
    _checked(DESK_REQUESTS, data)


def _checked(requests: tuple[tuple[type[Any], Callable[[Any], object]], ...], data: bytes) -> None:
    for kind, check in requests:
        try:
            message = kind.FromString(data)
        except DecodeError:
            continue
        exact(check(message))


def token(data: bytes) -> None:
    """A page token, alone and made of a position whose digest is right."""
    for kind in LISTS:
        asked = kind(page_token=data.decode(errors="replace"))
        exact(page_token.read(asked, journal_id="j"))
        signed = page_token._digest(kind(), "j", data) + data
        asked = kind(page_token=page_token.base64.urlsafe_b64encode(signed).rstrip(b"=").decode())
        exact(page_token.read(asked, journal_id="j"))


def desk_record(data: bytes) -> None:
    """What the desk has remembered, from a row that somebody has damaged: a decoder's own error, or a value."""
    for read in (tradebook._decode, decisionbook._decode, desk_positions._decode, riskbook._decode):
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            read(data)
    for kind in (tpb.DeskEvent, tpb.Trade, tpb.CompletedTrade, opb.Decision, rpb.RiskStatus, ppb.Position):
        with contextlib.suppress(DecodeError):
            kind.FromString(data)
    for count in (counted, counted_by_record):
        with contextlib.suppress(DecodeError, ArithmeticError):
            count(data)


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
    "desk_request": desk_request,
    "desk_record": desk_record,
    "token": token,
    "fields": fields,
    "command_line": command_line,
    "config": config,
    "venue_body": venue_body,
    "venue_query": venue_query,
    "venue_frame": venue_frame,
}
