"""Requests and messages about risk."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from google.protobuf.message import Message

from oms.v1 import account_service_pb2 as account_pb
from oms.v1 import order_pb2 as opb
from oms.v1 import risk_service_pb2 as pb
from oms.v1 import trade_service_pb2 as desk_pb
from orderd.core.order import Side
from orderd.core.sizing import Setup
from orderd.core.values import Reason
from orderd.risk.breaker import Breaker, Cause, Trip
from orderd.risk.limits import Limits, TradingState
from orderd.risk.sizer import size
from orderd.risk.state import RiskEvent, RiskState
from orderd.wire.asks import Invalid
from orderd.wire.risk import (
    counted,
    counted_by_record,
    limit_messages,
    risk_event_bytes,
    sizing_message,
    status_message,
)
from orderd.wire.validate_risk import (
    FlattenAsk,
    ResetAsk,
    SizeAsk,
    StateAsk,
    flatten_ask,
    reset_ask,
    size_ask,
    state_ask,
)

AT = datetime(2026, 1, 5, 15, tzinfo=UTC)
HALTED = account_pb.TRADING_STATE_HALTED
STATE = {"account_id": "a", "trading_state": HALTED, "reason": "why", "operator_name": "ann"}
SIZE = {"symbol": "AAPL", "side": opb.SIDE_BUY, "entry_price": "50", "stop_loss_price": "49.5"}


def test_requests_arrive() -> None:
    assert state_ask(pb.SetTradingStateRequest(freeze_protection=True, **STATE)) == StateAsk(
        account_id="a", state=TradingState.HALTED, reason="why", freeze_protection=True, operator_name="ann"
    )
    assert reset_ask(pb.ResetCircuitBreakerRequest(reason="why")) == ResetAsk(
        account_id="", reason="why", operator_name=""
    )
    assert flatten_ask(pb.FlattenAccountRequest(reason="why", close_positions=True)) == FlattenAsk(
        account_id="", reason="why", operator_name="", close_positions=True
    )
    assert size_ask(pb.SizePositionRequest(equity="25000", **SIZE)) == SizeAsk(
        account_id="",
        symbol="AAPL",
        side=Side.BUY,
        entry_price=Decimal(50),
        stop_loss_price=Decimal("49.5"),
        equity=Decimal(25000),
    )
    assert not isinstance(size_ask(pb.SizePositionRequest(**(SIZE | {"stop_loss_price": "51"}))), Invalid), (
        "the sizer's"
    )


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.SetTradingStateRequest(), ["trading_state", "reason"]),
        (pb.SetTradingStateRequest(trading_state=9, reason="x"), ["trading_state"]),
        (pb.SetTradingStateRequest(trading_state=HALTED, reason=" "), ["reason"]),
        (pb.SetTradingStateRequest(trading_state=HALTED, reason="x" * 513), ["reason"]),
        (
            pb.SetTradingStateRequest(
                trading_state=account_pb.TRADING_STATE_ACTIVE, reason="x", freeze_protection=True
            ),
            ["freeze_protection"],
        ),
        (pb.SetTradingStateRequest(trading_state=HALTED, reason="x", operator_name="n" * 129), ["operator_name"]),
        (pb.SetTradingStateRequest(trading_state=HALTED, reason="x", account_id="n" * 129), ["account_id"]),
        (pb.ResetCircuitBreakerRequest(), ["reason"]),
        (pb.FlattenAccountRequest(close_positions=True), ["reason"]),
        (pb.SizePositionRequest(), ["symbol", "side", "entry_price", "stop_loss_price"]),
        (pb.SizePositionRequest(**(SIZE | {"symbol": "aapl"})), ["symbol"]),
        (pb.SizePositionRequest(**(SIZE | {"entry_price": "NaN"})), ["entry_price"]),
        (pb.SizePositionRequest(**(SIZE | {"entry_price": "0"})), ["entry_price"]),
        (pb.SizePositionRequest(**(SIZE | {"stop_loss_price": "-1"})), ["stop_loss_price"]),
        (pb.SizePositionRequest(**(SIZE | {"stop_loss_price": "1e3"})), ["stop_loss_price"]),
        (pb.SizePositionRequest(**(SIZE | {"side": 7})), ["side"]),
        (pb.SizePositionRequest(equity="Infinity", **SIZE), ["equity"]),
        (pb.SizePositionRequest(equity="-5", **SIZE), ["equity"]),
    ],
)
def test_requests_that_make_no_sense(request_: Message, fields: list[str]) -> None:
    asks = {"SetTradingState": state_ask, "ResetCircuitBreaker": reset_ask, "FlattenAccount": flatten_ask}
    check = asks.get(request_.DESCRIPTOR.name.removesuffix("Request"), size_ask)
    answer = check(request_)  # type: ignore[arg-type,operator]
    assert isinstance(answer, Invalid)
    assert [violation.field for violation in answer.violations] == fields


def test_a_status_shows_what_is_known_and_leaves_out_what_is_not() -> None:
    assert status_message("a", RiskState(), Limits()) == pb.RiskStatus(
        account_id="a",
        trading_state=account_pb.TRADING_STATE_ACTIVE,
        breaker=pb.CircuitBreaker(realized_pnl="0"),
    )
    breaker = Breaker(
        day=AT,
        base=Decimal(10000),
        realised=Decimal("-200.50"),
        latest=(("a", Decimal(-1)),),
        trip=Trip(cause=Cause.DAILY_LOSS, at=AT, message="m"),
    )
    state = RiskState(
        trading_state=TradingState.HALTED,
        freeze_protection=True,
        reason=Reason(code="TRADING_HALTED", message="why", origin="OPERATOR", operator_name="ann"),
        changed_time=AT,
        breaker=breaker,
        version=3,
    )
    limits = Limits(max_daily_loss_percent=Decimal(2), max_losses_in_a_row=5)
    message = status_message("a", state, limits, day_end=AT)
    assert (message.trading_state, message.freeze_protection, message.version) == (HALTED, True, 3)
    assert (message.reason.message, message.reason.source) == ("why", opb.EVENT_SOURCE_OPERATOR)
    told = message.breaker
    assert (told.is_tripped, told.cause, told.realized_pnl) == (True, pb.BREAKER_CAUSE_DAILY_LOSS, "-200.5")
    assert (told.base_equity, told.daily_loss_limit) == ("10000", "200")
    assert (told.losses_in_a_row, told.losses_in_a_row_limit) == (1, 5)
    assert all(told.HasField(name) for name in ("tripped_time", "day_start_time", "day_end_time"))


def test_limits_are_told_in_the_words_of_the_configuration() -> None:
    limits = Limits(
        max_order_notional=Decimal("100000.0"),
        max_open_orders=7,
        check_buying_power=True,
        allowed_symbols=frozenset({"MSFT", "AAPL"}),
    )
    assert limit_messages(limits, {"max_open_orders": "3"}) == [
        pb.LimitUse(name="max_order_notional", limit="100000"),
        pb.LimitUse(name="max_open_orders", limit="7", used="3"),
        pb.LimitUse(name="allowed_symbols", limit="AAPL,MSFT"),
        pb.LimitUse(name="check_buying_power", limit="true"),
    ]


def test_events_say_whose_word_they_are() -> None:
    word = Reason(code="TRADING_HALTED", message="why", origin="OPERATOR", operator_name="ann")
    event = desk_pb.DeskEvent.FromString(risk_event_bytes("a", RiskEvent.TRADING_STATE_CHANGED, word, AT))
    assert (event.type, event.source) == (desk_pb.DESK_EVENT_TYPE_TRADING_STATE_CHANGED, opb.EVENT_SOURCE_OPERATOR)
    assert (event.account_id, event.reason.operator_name) == ("a", "ann")
    silent = desk_pb.DeskEvent.FromString(risk_event_bytes("a", RiskEvent.CIRCUIT_BREAKER_RESET, None, AT))
    assert (silent.source, silent.HasField("reason")) == (opb.EVENT_SOURCE_RISK, False)


def test_a_sizing_and_a_size_of_nothing() -> None:
    setup = Setup(
        side=Side.BUY,
        entry=Decimal(50),
        stop=Decimal("49.50"),
        equity=Decimal(25_000),
        buying_power=Decimal(100_000),
    )
    assert sizing_message(size(setup, Limits())) == pb.Sizing(
        quantity="500", equity="25000", risk_amount="250", risk_per_unit="0.5", multiplier="1", step="1",
        bound_by="RISK", notional="25000",
    )  # fmt: skip
    wrong = sizing_message(
        size(Setup(**{**{n: getattr(setup, n) for n in setup.__struct_fields__}, "side": Side.SELL}), Limits())
    )
    assert (wrong.quantity, wrong.code, wrong.bound_by) == ("0", "STOP_WRONG_SIDE", "")


def test_results_are_read_as_they_stand() -> None:
    trade = desk_pb.CompletedTrade(completed_trade_id="c", version=2, pnl="-3.5")
    trade.exit_time.FromDatetime(AT)
    event = desk_pb.DeskEvent(completed_trade=trade).SerializeToString()
    told = counted(event)
    assert (told.result_id, told.version, told.pnl, told.at) == ("c", 2, Decimal("-3.5"), AT)
    trade.ClearField("exit_time")
    gone = counted_by_record(trade.SerializeToString())
    assert (gone.pnl, gone.at) == (None, None)
