"""Where a target begins: what brokers really sent, read where the reference is kept, and a few lines of our own."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from fuzz.desk_seeds import desk_records, desk_requests
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb

ROOT: Final = Path(__file__).resolve().parents[1]
FOUND: Final = ROOT / "fuzz" / "found"
"""What the fuzzer once found, a file for each, in a folder for each target: replayed by every test run."""

_ORDER: Final = {
    "id": "7b7653c4-7468-494a-aeb3-d5f255789473", "client_order_id": "k", "status": "partially_filled",
    "created_at": "2026-10-08T15:10:18.0952164Z", "updated_at": "2026-10-08T15:10:18Z", "symbol": "AAPL",
    "asset_class": "us_equity", "qty": "10", "filled_qty": "4.5", "filled_avg_price": "101.25", "type": "limit",
    "time_in_force": "day", "limit_price": "101.5", "side": "buy", "order_class": "", "legs": None,
}  # fmt: skip
_FRAME: Final = {
    "event": "partial_fill", "execution_id": "e-1", "qty": "1", "price": "101.25", "position_qty": "1",
    "timestamp": "2026-10-08T15:10:18.0952164Z", "order": _ORDER,
}  # fmt: skip
_BODY: Final = {
    "symbol": "KO", "qty": 1, "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": "80.5",
    "order_class": "bracket", "take_profit": {"limit_price": 90}, "stop_loss": {"stop_price": 70},
}  # fmt: skip
_CONFIG: Final = """
database_url = "sqlite+aiosqlite:///var/orderd.db"
grpc_address = "127.0.0.1:50051"
[accounts.paper]
broker = "simulated"
reconcile_interval_s = 30
risk = { max_order_quantity = "500", allowed_symbols = ["AAPL", "BTC/USD"] }
[risk]
max_order_notional = "100000"
"""
_TEXTS: Final = (
    "AAPL", "BRK.B", "BTC/USD", "BTCUSD", "AAPL250117C00150000", "101.25", "-0.000000001", "1e5", "NaN", "1_000", "",
    "-", "127.0.0.1:50051", "[::1]:0", "2026-11-23", "2026-11-23T15:00:00.123456789-05:00", "a=b\nc=d", "k-1",
    "\x92\x91\xa1a\x05",  # the position in a page token
)  # fmt: skip


def _reference() -> Path:
    return Path(os.environ.get("ORDERD_REFERENCE") or ROOT.parent / "shared" / "reference")


def _samples() -> Mapping[str, bytes]:
    folder = _reference() / "alpaca" / "samples"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.json")) if path.name != "index.json"}


def _requests() -> Iterator[bytes]:
    order = pb.SubmitOrderRequest(
        client_order_id="k", symbol="AAPL", side=opb.SIDE_BUY, quantity="10", type=opb.ORDER_TYPE_LIMIT,
        limit_price="100", time_in_force=opb.TIME_IN_FORCE_DAY, tags={"a": "b"},
    )  # fmt: skip
    yield order.SerializeToString()
    yield pb.BatchSubmitOrdersRequest(requests=[order, order]).SerializeToString()
    yield pb.ReplaceOrderRequest(order_id="o", request_id="r", quantity="5").SerializeToString()
    yield pb.ListOrdersRequest(symbols=["AAPL"], page_size=10, page_token="t").SerializeToString()
    yield pb.StreamOrderEventsRequest(after_sequence=5, symbols=["AAPL"]).SerializeToString()


def seeds(target: str) -> list[bytes]:
    """Inputs that lead into the parser, and those that once broke it."""
    return [*_seeds(target), *(path.read_bytes() for path in sorted((FOUND / target).glob("*")))]


def _seeds(target: str) -> Iterator[bytes]:
    samples = _samples()
    match target:
        case "broker_order":
            yield json.dumps(_ORDER).encode()
            yield from (body for name, body in samples.items() if name.startswith("order"))
        case "broker_lists" | "broker_error":
            yield b'[{"id": "a::b", "activity_type": "FILL", "order_id": "o", "qty": "1", "price": "2"}]'
            yield b'{"code": 40310000, "message": "insufficient buying power"}'
            yield from (body for name, body in samples.items() if not name.startswith("order_"))
        case "broker_frame":
            yield json.dumps(_FRAME).encode()
            yield json.dumps({"stream": "trade_updates", "data": _FRAME}).encode()
            yield from (body for name, body in samples.items() if name.startswith(("ws_", "sse_")))
        case "request" | "desk_request" | "desk_record":
            yield from {"request": _requests, "desk_request": desk_requests, "desk_record": desk_records}[target]()
        case "config":
            yield _CONFIG.encode()
        case "venue_frame":
            yield b'{"action":"authenticate","data":{"key_id":"venue-key","secret_key":"venue-secret"}}'
            yield b'{"action":"listen","data":{"streams":["trade_updates"]}}'
            yield from (body for name, body in samples.items() if name.startswith("ws_client"))
        case "venue_body":
            yield json.dumps(_BODY).encode()
            yield from (body for name, body in samples.items() if name.startswith("request_"))
        case _:
            yield from (text.encode("latin-1") for text in _TEXTS)
