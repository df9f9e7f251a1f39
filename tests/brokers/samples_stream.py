"""What the stream's samples must be read as."""

from decimal import Decimal

from orderd.brokers.alpaca import parse, replies
from orderd.brokers.alpaca.fields import as_list, as_object, decode
from orderd.core.order import AssetClass, OrderClass, OrderType, Phase, Side, TimeInForce
from orderd.ports import BrokerReport, ReportKind
from tests.brokers.making import terms
from tests.brokers.sample_checks import at, checks

D = Decimal


def update(body: bytes) -> BrokerReport:
    """The report of a whole stream message."""
    report = replies.frame(body)
    assert isinstance(report, BrokerReport)
    assert report.raw == body
    return report


@checks("ws_2026_1_authorization_legacy.json", "ws_2026_2_listening.json")
@checks("ws_unauthorized.json", "ws_unauthorized_listen_before_auth.json")
def _handshake(body: bytes) -> None:
    assert replies.frame(body) is None


@checks("ws_client_legacy_auth_and_listen.json")
def _login(body: bytes) -> None:
    login, listen = as_list(decode(body), "frames")
    assert as_object(login, "login")["data"] == {"key_id": "key", "secret_key": "secretsecret"}
    assert listen == {"action": "listen", "data": {"streams": ["trade_updates"]}}


def _doge(body: bytes, event: str, phase: Phase, filled: str, updated_ns: int) -> BrokerReport:
    report = update(body)
    view = report.view
    assert view is not None
    assert (report.kind, report.event, view.phase) == (ReportKind.UPDATE, event, phase)
    assert (view.symbol, view.asset_class, view.side) == ("DOGE/USD", AssetClass.CRYPTO, Side.SELL)
    assert view.broker_order_id == "b28e2b24-b1b2-40cc-8979-63f45e8edc02"
    assert view.client_order_id == "ccxt_214efabb8ba04f9fbda29883611402a6"
    assert view.terms == terms(OrderType.MARKET, "129.7", tif=TimeInForce.GTC)
    assert (view.filled_quantity, view.updated_ns) == (D(filled), updated_ns)
    assert view.expires_time == at(2026, 12, 16, 21, 0, 0, 0)
    return report


@checks("ws_2026_3_pending_new.json")
def _pending_new(body: bytes) -> None:
    report = _doge(body, "pending_new", Phase.QUEUED, "0", 1789737890018953300)
    assert report.executions == ()
    assert report.broker_time == at(2026, 9, 18, 13, 24, 50, 19303)


@checks("ws_2026_4_new.json")
def _new(body: bytes) -> None:
    report = _doge(body, "new", Phase.WORKING, "0", 1789737890034105424)
    assert report.executions == ()  # its execution_id is of the event, not of a trade


@checks("ws_2026_5_fill.json")
def _fill(body: bytes) -> None:
    report = _doge(body, "fill", Phase.FILLED, "129.7", 1789737890034148789)
    (execution,) = report.executions
    assert execution.execution_id == "a0b4b946-3ed9-4fd6-bb10-d1c5f28415aa"
    assert execution.broker_order_id == "b28e2b24-b1b2-40cc-8979-63f45e8edc02"
    assert (execution.quantity, execution.price, execution.cum_after) == (D("129.7"), D("0.0851119"), D("129.7"))
    assert execution.occurred_time == at(2026, 9, 18, 13, 24, 50, 19957)
    assert report.view is not None
    assert report.view.ended_time == report.view.filled_time == at(2026, 9, 18, 13, 24, 50, 19957)


@checks("ws_2022_fill_docs.json")
def _fill_2022(body: bytes) -> None:
    """Offsets are mixed in one message; the pair has no slash."""
    report = update(body)
    view = report.view
    assert view is not None
    assert (view.symbol, view.phase, view.average_price) == ("SOL/USD", Phase.FILLED, D("105.8988475"))
    assert view.created_time == at(2022, 4, 19, 17, 45, 4, 981350)
    assert view.updated_ns == 1650390305027690731
    (execution,) = report.executions
    assert (execution.quantity, execution.price) == (D("1790.86"), D("105.8988475"))
    assert execution.execution_id == "2f63ea93-423d-4169-b3f6-3fdafc10c418"
    assert execution.occurred_time == report.broker_time == at(2022, 4, 19, 17, 45, 5, 24916)


@checks("ws_2021_new_equity.json")
def _new_2021(body: bytes) -> None:
    report = update(body)
    assert report.view is not None
    assert (report.view.symbol, report.view.phase, report.view.updated_ns) == (
        "AAPL",
        Phase.WORKING,
        1639079326185346448,
    )
    assert report.view.terms == terms(OrderType.LIMIT, "1", limit="1")
    assert report.view.order_class == OrderClass.SIMPLE
    assert report.executions == ()


def _event(body: bytes) -> BrokerReport:
    """An event of the SSE stream: the same object without its envelope."""
    return parse.report(as_object(decode(body), "event"), body)


@checks("sse_2021_trade_event_new.json")
def _sse_2021(body: bytes) -> None:
    report = _event(body)
    assert report.view is not None
    assert (report.view.phase, report.view.symbol) == (Phase.WORKING, "AAPL")
    assert report.view.terms == terms(OrderType.MARKET, None, notional="10")
    assert report.broker_time == at(2021, 6, 14, 10, 4, 5, 172241)


@checks("sse_trade_event_new.json")
def _sse_new(body: bytes) -> None:
    """It carries a previous execution id, which only a bust or a correction gives a meaning."""
    report = _event(body)
    assert (report.kind, report.previous_execution_id, report.executions) == (ReportKind.UPDATE, "", ())
    assert report.view is not None
    assert report.view.terms == terms(OrderType.LIMIT, "4", limit="700")
    assert report.view.submitted_time == at(2022, 4, 19, 14, 12, 30, 403135)
    assert report.broker_time == at(2022, 4, 19, 14, 12, 30, 602193)


@checks("sse_trade_event_mleg_fill.json")
def _sse_legs(body: bytes) -> None:
    report = _event(body)
    view = report.view
    assert view is not None
    assert (view.phase, view.symbol, view.side, view.asset_class) == (Phase.FILLED, "", None, AssetClass.US_OPTION)
    assert (view.order_class, view.average_price) == (OrderClass.MULTILEG, D("0.07"))
    got = [(e.broker_order_id, e.quantity, e.price, e.cum_after, e.execution_id) for e in report.executions]
    assert got == [
        ("8d58279f-7dc8-415f-8495-32f394935509", 1, D("0.04"), 1, "ccf7d1dc-78e1-4eb5-92c6-5c86b2bcca8f"),
        ("8b0e2cff-eace-4e6a-8810-cad42c63df59", 1, D("0.03"), 1, "06f94555-6db7-4059-a4c4-0b993084ccd0"),
    ]
    assert report.executions[0].occurred_time == at(2025, 1, 14, 16, 5, 51, 867802)
