"""Every command in every format: stdout is data in that format and nothing else."""

import asyncio
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from oms.v1 import account_service_pb2 as accounts_pb
from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import decision_service_pb2 as decisions_pb
from oms.v1 import order_pb2
from oms.v1 import order_service_pb2 as pb
from oms.v1 import position_service_pb2 as positions_pb
from oms.v1 import risk_service_pb2 as risk_pb
from oms.v1 import trade_service_pb2 as trades_pb
from orderd.cli.columns import TABLES, all_columns, table_columns
from orderd.cli.render import Format
from orderd.storage import open_journal
from orderd.storage.backup import back_up
from orderd.system import SystemClock, SystemIds
from tests.cli.conftest import Run
from tests.cli.tree import commands
from tests.client.fake import (
    Fake,
    Refusal,
    account,
    decision,
    desk_event,
    desk_events,
    desk_started,
    events,
    fill,
    order,
    snapshot_end,
    snapshot_page,
    started,
    submitted,
    trade,
)

SIGNAL = ["--symbol", "AAPL", "--side", "buy", "--entry-price", "100", "--stop-loss-price", "95"]
SUBMIT = ["--symbol", "AAPL", "--side", "buy", "--quantity", "10", "--limit-price", "101.5"]
LINES = {
    ("order", "submit"): SUBMIT,
    ("order", "preview"): SUBMIT,
    ("order", "get"): ["order-1"],
    ("order", "list"): [],
    ("order", "events"): ["order-1"],
    ("order", "cancel"): ["order-1"],
    ("order", "cancel-all"): [],
    ("order", "replace"): ["order-1", "--quantity", "11"],
    ("event", "watch"): ["--limit", "2", "--after", "0"],
    ("fill", "list"): [],
    ("account", "list"): [],
    ("account", "get"): [],
    ("broker", "reconcile"): [],
    ("broker", "orders"): [],
    ("broker", "resume"): ["--reason", "checked"],
    ("broker", "discrepancies"): ["--all"],
    ("broker", "resolve"): ["d-1", "--reason", "counted"],
    ("pnl",): [],
    ("decision", "record"): SUBMIT,
    ("decision", "get"): ["d-1"],
    ("decision", "list"): [],
    ("decision", "approve"): ["d-1"],
    ("decision", "reject"): ["d-1", "--reason", "no"],
    ("position", "list"): [],
    ("position", "get"): ["AAPL"],
    ("risk", "status"): [],
    ("risk", "halt"): ["--reason", "a test"],
    ("risk", "reduce"): ["--reason", "a test"],
    ("risk", "resume"): ["--reason", "a test"],
    ("risk", "reset"): ["--reason", "a test"],
    ("risk", "size"): ["--symbol", "AAPL", "--side", "buy", "--entry-price", "50", "--stop-loss-price", "49"],
    ("risk", "flatten"): ["--reason", "a test"],
    ("trade", "open"): SIGNAL,
    ("trade", "close"): ["trade-1"],
    ("trade", "move-stop"): ["trade-1", "--stop-price", "96"],
    ("trade", "rearm"): ["trade-1"],
    ("trade", "get"): ["trade-1"],
    ("trade", "list"): [],
    ("trade", "candle"): ["--candle-time", "2026-01-05T15:00:00Z"],
    ("trade", "cancel-pending"): [],
    ("desk", "watch"): ["--limit", "2", "--after", "0"],
    ("order", "resolve"): [
        "order-1",
        "--resolution",
        "not_placed",
        "--reason",
        "called them",
        "--evidence",
        "ticket 7",
    ],
    ("config", "show"): ["--origin"],
    ("doctor",): ["--database", "DIR/orderd.db"],
    ("backup",): ["--database", "DIR/orderd.db", "--to", "DIR/copy.db"],
    ("restore",): ["--from", "DIR/backup.db", "--database", "DIR/again.db", "--yes"],
    ("version",): [],
}
"""DIR is the test's own directory, with a journal and a backup of it."""
NO_SERVER = {("config", "show"), ("version",), ("doctor",), ("backup",), ("restore",)}
STAY = {("serve",), ("dev",), ("venue",)}
OFFLINE = {("journal", "compact")}
"""What needs a journal instead of a server: test_journal.py."""
COUNTS = {
    ("pnl",): 2, ("event", "watch"): 2, ("order", "list"): 2, ("order", "events"): 3, ("fill", "list"): 2,
    ("trade", "list"): 2, ("trade", "candle"): 1, ("desk", "watch"): 2,
    ("decision", "list"): 2,
}  # fmt: skip
SINGLE = {
    ("order", "submit"), ("order", "preview"), ("order", "get"), ("order", "cancel"), ("order", "replace"),
    ("account", "get"), ("broker", "reconcile"), ("broker", "resume"), ("version",),
    ("backup",), ("restore",),
    ("broker", "resolve"), ("order", "resolve"), ("position", "get"),
    ("risk", "status"), ("risk", "halt"), ("risk", "reduce"), ("risk", "resume"), ("risk", "reset"), ("risk", "size"),
    ("risk", "flatten"),
    ("trade", "open"), ("trade", "close"), ("trade", "move-stop"), ("trade", "rearm"), ("trade", "get"),
    ("decision", "record"), ("decision", "get"), ("decision", "approve"), ("decision", "reject"),
}  # fmt: skip
STREAMS = {("event", "watch"), ("desk", "watch")}


def _risk_answers(fake: Fake) -> None:
    risk = risk_pb.RiskStatus(account_id="paper", trading_state=accounts_pb.TRADING_STATE_HALTED, open_orders=3)
    fake.answer("GetRiskStatus", risk_pb.GetRiskStatusResponse(status=risk))
    fake.answer("SetTradingState", risk_pb.SetTradingStateResponse(status=risk))
    fake.answer("ResetCircuitBreaker", risk_pb.ResetCircuitBreakerResponse(status=risk))
    fake.answer("SizePosition", risk_pb.SizePositionResponse(sizing=risk_pb.Sizing(quantity="5", bound_by="RISK")))
    fake.answer("FlattenAccount", risk_pb.FlattenAccountResponse(is_flat=True, status=risk))


@pytest.fixture(autouse=True)
def _answers(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.answer("SubmitOrder", submitted)
    fake.answer("PreviewOrder", pb.PreviewOrderResponse(valid=True, estimated_cost="1015", broker_request='{"a":"b"}'))
    fake.answer("GetOrder", pb.GetOrderResponse(order=order(), fills=[fill(1), fill(2)]))
    fake.answer("ListOrders", pb.ListOrdersResponse(orders=[order(2, tags={"a": "b,c"}), order(1)]))
    fake.answer("ListOrderEvents", pb.ListOrderEventsResponse(events=events(0, 1, 2, 3).events.events))
    fake.answer("CancelOrder", pb.CancelOrderResponse(order=order()))
    fake.answer("ReplaceOrder", pb.ReplaceOrderResponse(order=order()))
    fake.answer("CancelAllOrders", pb.CancelAllOrdersResponse(results=[pb.CancelAllOrdersResult(order_id="order-1")]))
    fake.answer("ListFills", pb.ListFillsResponse(fills=[fill(1), fill(2)]))
    fake.answer("ListAccounts", accounts_pb.ListAccountsResponse(accounts=[account()]))
    fake.answer("GetAccount", accounts_pb.GetAccountResponse(account=account(equity="100000.25")))
    fake.answer("ResumeAccount", broker_pb.ResumeAccountResponse(account=account()))
    differing = broker_pb.Discrepancy(discrepancy_id="d-1", kind=broker_pb.DISCREPANCY_KIND_OVERFILL, symbol="AAPL")
    fake.answer("ListDiscrepancies", broker_pb.ListDiscrepanciesResponse(discrepancies=[differing]))
    fake.answer("ResolveDiscrepancy", broker_pb.ResolveDiscrepancyResponse(discrepancy=differing))
    summaries = [trades_pb.PerformanceSummary(strategy=name, trade_count=1, total_pnl="-3.5") for name in ("", "a")]
    worked = trades_pb.GetPerformanceResponse(summary=summaries[0], strategies=summaries[1:])
    fake.answer("GetPerformance", worked)
    held = positions_pb.Position(position_id="p-1", symbol="AAPL", fill_quantity="10", broker_quantity="10")
    fake.answer("ListPositions", positions_pb.ListPositionsResponse(positions=[held]))
    fake.answer("GetPosition", positions_pb.GetPositionResponse(position=held))
    _risk_answers(fake)
    fake.answer("ResolveOrder", broker_pb.ResolveOrderResponse(order=order()))
    entry = broker_pb.BrokerOrderEntry(agrees=True, order=order(), broker_order=broker_pb.BrokerOrder(quantity="10"))
    fake.answer("ListBrokerOrders", broker_pb.ListBrokerOrdersResponse(entries=[entry]))
    done = broker_pb.ReconcileResponse(stage=broker_pb.RECONCILE_STAGE_DONE, account_id="paper", broker_order_count=3)
    fake.stream("Reconcile", [done])
    fake.stream("StreamOrderEvents", [started(0), events(0, 1, 2)], [])
    decided = decision()
    fake.answer("RecordDecision", decisions_pb.RecordDecisionResponse(decision=decided, order=order()))
    fake.answer("GetDecision", decisions_pb.GetDecisionResponse(decision=decided, lifecycle="Entry filled"))
    entries = [decisions_pb.DecisionEntry(decision=decision(number), lifecycle="Entry filled") for number in (2, 1)]
    fake.answer("ListDecisions", decisions_pb.ListDecisionsResponse(decisions=entries))
    fake.answer("ApproveDecision", decisions_pb.ApproveDecisionResponse(decision=decided, order=order()))
    fake.answer("RejectDecision", decisions_pb.RejectDecisionResponse(decision=decided))
    closed = trade(state=trades_pb.TRADE_STATE_CLOSED)
    fake.answer("OpenTrade", trades_pb.OpenTradeResponse(trade=trade(), entry_order=order()))
    fake.answer("CloseTrade", trades_pb.CloseTradeResponse(trade=closed, exit_order=order()))
    fake.answer("MoveStop", trades_pb.MoveStopResponse(trade=trade()))
    fake.answer("RearmStop", trades_pb.RearmStopResponse(trade=trade()))
    fake.answer("GetTrade", trades_pb.GetTradeResponse(trade=trade(), orders=[order()], fills=[fill()]))
    fake.answer("ListTrades", trades_pb.ListTradesResponse(trades=[trade(2), trade(1)]))
    fake.answer("AdvanceCandle", trades_pb.AdvanceCandleResponse(trades=[trade()]))
    asked = trades_pb.CancelPendingEntriesResponse(results=[pb.CancelAllOrdersResult(order_id="order-1")])
    fake.answer("CancelPendingEntries", asked)
    fake.stream("StreamDeskEvents", [desk_started(0), desk_events(0, desk_event(1), desk_event(2))], [])
    (tmp_path / "orderd.toml").write_text('[accounts.paper]\nbroker = "simulated"\n', encoding="utf-8")
    monkeypatch.setenv("ORDERD_CONFIG", str(tmp_path / "orderd.toml"))


@pytest.fixture
def line(tmp_path: Path) -> Callable[[tuple[str, ...]], list[str]]:
    """A command with its arguments; what it needs on the disk is there."""

    async def begin() -> None:
        url = f"sqlite+aiosqlite:///{tmp_path}/orderd.db"
        await (await open_journal(url, clock=SystemClock(), ids=SystemIds())).close()

    def build(path: tuple[str, ...]) -> list[str]:
        if path in {("doctor",), ("backup",), ("restore",)}:
            asyncio.run(begin())
            now = SystemClock().now()
            back_up(tmp_path / "orderd.db", tmp_path / "backup.db", now=now, told=lambda _: None)
        return [*path, *(word.replace("DIR", str(tmp_path)) for word in LINES[path])]

    return build


def test_every_command_is_walked() -> None:
    assert set(commands()) == {*LINES, *STAY, *OFFLINE}


@pytest.mark.parametrize("path", LINES, ids=" ".join)
@pytest.mark.parametrize("form", [*Format, None])
def test_every_command_in_every_format(
    run: Run, line: Callable[[tuple[str, ...]], list[str]], path: tuple[str, ...], form: Format | None
) -> None:
    ran = run(*line(path), *(["-o", form] if form else []))
    assert ran.code == 0, ran.err
    used = form or (Format.JSONL if path in STREAMS else Format.JSON)
    count = COUNTS.get(path)
    match used:
        case Format.JSON if path in STREAMS:
            assert all(isinstance(json.loads(line), dict) for line in ran.out.splitlines())
        case Format.JSON:
            data = json.loads(ran.out)
            assert isinstance(data, dict if path in SINGLE else list)
            assert data
            assert count is None or len(data) == count
        case Format.JSONL:
            rows = [json.loads(line) for line in ran.out.splitlines()]
            assert rows
            assert all(isinstance(row, dict) for row in rows)
            assert count is None or len(rows) == count
        case Format.CSV:
            header, *cells = csv.reader(io.StringIO(ran.out))
            assert len(set(header)) == len(header)
            assert cells
            assert all(len(row) == len(header) for row in cells)
            assert count is None or len(cells) == count
        case Format.TABLE:
            assert ran.out.strip()
            with pytest.raises(json.JSONDecodeError):
                json.loads(ran.out)


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("path", [path for path in LINES if path not in NO_SERVER], ids=" ".join)
def test_a_refused_call_leaves_stdout_empty(run: Run, fake: Fake, path: tuple[str, ...], form: Format) -> None:
    refusal = Refusal(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", "not allowed")
    for method in [*fake.answers]:
        fake.answer(method, refusal)
    for method in [*fake.streams]:
        fake.stream(method, [refusal])
    ran = run(*path, *LINES[path], "-o", form)
    assert ran.code == 6
    assert "PERMISSION_DENIED: not allowed" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("form", list(Format))
def test_an_empty_list(run: Run, fake: Fake, form: Format) -> None:
    fake.answer("ListOrders", pb.ListOrdersResponse())
    ran = run("order", "list", "-o", form)
    assert ran.code == 0
    match form:
        case Format.JSON:
            assert json.loads(ran.out) == []
        case Format.JSONL:
            assert ran.out == ""
        case Format.CSV:
            assert ran.out.startswith("orderId,accountId,")
            assert len(ran.out.splitlines()) == 1
        case Format.TABLE:
            assert "orderId" in ran.out


def test_names_are_protojson_and_decimals_are_strings(run: Run, fake: Fake) -> None:
    shown = order(quantity="0.000000001", sequence=2**53 + 1, filled_quantity="12345678901234567890.5")
    fake.answer("GetOrder", pb.GetOrderResponse(order=shown))
    found = json.loads(run("order", "get", "order-1").out)["order"]
    assert found["quantity"] == "0.000000001"
    assert found["filledQuantity"] == "12345678901234567890.5"
    assert found["sequence"] == "9007199254740993"
    assert found["limitPrice"] == "101.5"
    assert found["status"] == "ORDER_STATUS_ACCEPTED"


def test_a_csv_has_every_field_and_reads_back(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("order", "list", "-o", "csv").out)))
    assert [row["orderId"] for row in rows] == ["order-2", "order-1"]
    assert (rows[0]["side"], rows[0]["status"], rows[0]["pendingCancel"]) == ("BUY", "ACCEPTED", "false")
    assert json.loads(rows[0]["tags"]) == {"a": "b,c"}
    assert rows[1]["tags"] == ""
    assert list(rows[0]) == [column.name for column in all_columns(order_pb2.Order)]


def test_the_columns_of_tables_exist() -> None:
    kinds = [
        order_pb2.Order, order_pb2.OrderEvent, order_pb2.Fill, accounts_pb.Account, broker_pb.BrokerOrderEntry,
        broker_pb.ReconcileResponse, broker_pb.Discrepancy, trades_pb.CompletedTrade, trades_pb.PerformanceSummary,
        trades_pb.Trade, trades_pb.DeskEvent, decisions_pb.DecisionEntry,
        positions_pb.Position, risk_pb.RiskStatus, risk_pb.Sizing,
    ]  # fmt: skip
    assert {kind.DESCRIPTOR.full_name for kind in kinds} == set(TABLES)
    for kind in kinds:
        assert [column.name for column in table_columns(kind)] == list(TABLES[kind.DESCRIPTOR.full_name])


def test_what_a_broker_writes_cannot_drive_the_terminal(run: Run, fake: Fake) -> None:
    evil = order_pb2.StatusReason(code="[bold]x", message="a\x1b[2Jb\nc")
    fake.answer("GetOrder", pb.GetOrderResponse(order=order(status_reason=evil)))
    for form in ("table", "csv"):
        ran = run("order", "get", "order-1", "-o", form)
        assert "\x1b" not in ran.out
        assert "a [2Jb c" in ran.out
        assert "[bold]x" in ran.out


def test_a_table_away_from_a_terminal_is_not_cut(run: Run, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    fake.answer("ListOrders", pb.ListOrdersResponse(orders=[order(strategy="s" * 120, client_order_id="k" * 100)]))
    ran = run("order", "list", "-o", "table")
    assert len(ran.out.splitlines()) == 2
    assert "s" * 120 in ran.out


def test_a_snapshot_is_streamed_before_the_events(run: Run, fake: Fake) -> None:
    fake.stream("StreamOrderEvents", [started(0), snapshot_page(order(1)), snapshot_end(7), events(7, 8)], [])
    ran = run("event", "watch", "--snapshot", "--limit", "1")
    first, second = (json.loads(line) for line in ran.out.splitlines())
    assert (first["orderId"], "toStatus" in first) == ("order-1", False)
    assert (second["sequence"], second["toStatus"]) == ("8", "ORDER_STATUS_PARTIALLY_FILLED")


def test_the_format_comes_from_the_environment_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERD_OUTPUT", "csv")
    assert run("account", "list").out.startswith("accountId,broker,")
