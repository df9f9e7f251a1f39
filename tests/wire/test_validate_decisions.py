"""Requests about decisions: what passes, and every field that does not."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from oms.v1 import decision_service_pb2 as pb
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as orders_pb
from oms.v1 import trade_service_pb2 as trades_pb
from orderd.core.decisions import Decided, DecisionKind, DecisionStatus, SendClose, SendOpen, SendOrder
from orderd.core.keys import close_key, open_trade_key
from orderd.core.order import EventSource, Side
from orderd.core.values import Reason
from orderd.wire.asks import Invalid
from orderd.wire.validate_decisions import (
    DecisionName,
    DecisionsAsk,
    WordAsk,
    approve_ask,
    decisions_ask,
    get_decision_ask,
    record_ask,
    reject_ask,
)
from tests.wire.samples import fields_of

ENTRY, EXIT = opb.DECISION_KIND_ENTRY, opb.DECISION_KIND_EXIT
AT = Timestamp(seconds=1_800_000_000)
LATER = Timestamp(seconds=1_800_000_060)
BROKEN = Timestamp(seconds=1, nanos=-1)


def order(**changes: Any) -> pb.DecisionIntent:  # noqa: ANN401
    given = {"symbol": "KO", "side": opb.SIDE_BUY, "quantity": "10", "type": opb.ORDER_TYPE_LIMIT, "limit_price": "80"}
    given |= {"time_in_force": opb.TIME_IN_FORCE_DAY}
    return pb.DecisionIntent(submit_order=orders_pb.SubmitOrderRequest(**(given | changes)))


def opening(**changes: Any) -> pb.DecisionIntent:  # noqa: ANN401
    seen = {"symbol": "KO", "side": opb.SIDE_BUY, "entry_price": "80", "stop_loss_price": "75"}
    signal = trades_pb.Signal(**(seen | {"type": opb.ORDER_TYPE_MARKET} | changes.pop("signal", {})))
    return pb.DecisionIntent(open_trade=trades_pb.OpenTradeRequest(signal=signal, **changes))


def closing(**changes: Any) -> pb.DecisionIntent:  # noqa: ANN401
    return pb.DecisionIntent(close_trade=trades_pb.CloseTradeRequest(**({"trade_id": "t-1"} | changes)))


def request(**changes: Any) -> pb.RecordDecisionRequest:  # noqa: ANN401
    given = {"decision_id": "d-1", "kind": ENTRY, "symbol": "KO", "side": opb.SIDE_BUY}
    return pb.RecordDecisionRequest(**(given | changes))


def asked(**changes: Any) -> Decided:  # noqa: ANN401
    said = record_ask(request(**changes), account_id="paper")
    assert isinstance(said, Decided), said
    return said


def test_a_decision_without_an_intent() -> None:
    said = asked(
        trace_id="t", confidence="0.80", signals={"rsi": "28", "adx": "40"}, model="m", provider="p",
        rationale="two\nlines\tand a tab", decided_time=AT, expires_time=LATER, strategy="s",
    )  # fmt: skip
    assert said == Decided(
        decision_id="d-1",
        account_id=said.account_id,
        kind=DecisionKind.ENTRY,
        symbol="KO",
        side=Side.BUY,
        trace_id="t",
        strategy="s",
        confidence=Decimal("0.8"),
        signals=(("adx", "40"), ("rsi", "28")),
        model="m",
        provider="p",
        rationale="two\nlines\tand a tab",
        decided_time=datetime.fromtimestamp(1_800_000_000, UTC),
        expires_time=datetime.fromtimestamp(1_800_000_060, UTC),
    )


def test_an_order_takes_what_is_its_decisions() -> None:
    said = asked(intent=order(), symbol="", side=0, trace_id="t", strategy="s", decided_time=AT)
    assert isinstance(said.intent, SendOrder)
    intent = said.intent.order
    assert (intent.account_id, intent.decision_id, intent.trace_id, intent.strategy) == ("paper", "d-1", "t", "s")
    assert intent.decided_time == said.decided_time
    assert (said.symbol, said.side, said.price) == ("KO", Side.BUY, 80)
    sent = pb.DecisionIntent.FromString(said.sent).submit_order
    assert (sent.account_id, sent.decision_id) == ("paper", "d-1")
    again = asked(intent=order(), symbol="", side=0, trace_id="t", strategy="s", decided_time=AT)
    assert isinstance(again.intent, SendOrder)
    assert again.intent.order.client_order_id == intent.client_order_id, "derived from the decision"


@pytest.mark.parametrize(
    ("changes", "price"),
    [
        ({"type": opb.ORDER_TYPE_MARKET, "limit_price": ""}, None),
        ({"type": opb.ORDER_TYPE_MARKET, "limit_price": "", "reference_price": "79"}, 79),
        ({"type": opb.ORDER_TYPE_STOP, "limit_price": "", "stop_price": "81"}, 81),
    ],
)
def test_the_price_of_an_order(changes: dict[str, Any], price: int | None) -> None:
    assert asked(intent=order(**changes)).price == price


def test_a_trade_and_the_end_of_one() -> None:
    said = asked(intent=opening(quantity="10"), symbol="", side=0, strategy="s")
    assert isinstance(said.intent, SendOpen)
    assert said.intent.client_trade_id == open_trade_key("paper", "d-1", said.intent.signal)
    assert (said.intent.signal.strategy, said.price, said.symbol) == ("s", 80, "KO")
    left = asked(kind=EXIT, intent=closing(reason="why"), symbol="", side=0)
    assert left.intent == SendClose(trade_id="t-1", request_id=close_key("paper", "d-1"), text="why")
    assert left.linked_trade_id == "t-1"
    part = asked(kind=EXIT, intent=closing(quantity="3", request_id="r"), symbol="", side=0)
    assert part.intent == SendClose(trade_id="t-1", request_id="r", quantity=Decimal(3))
    linked = asked(kind=EXIT, linked_trade_id="t-1", symbol="", side=0)
    assert (linked.linked_trade_id, linked.side) == ("t-1", None)


def test_a_multi_leg_order_has_no_symbol_of_its_own() -> None:
    legs = [
        opb.Leg(symbol="AAPL250117C00150000", ratio=1, side=opb.SIDE_BUY),
        opb.Leg(symbol="AAPL250117C00160000", ratio=1, side=opb.SIDE_SELL),
    ]
    spread = order(symbol="", side=0, quantity="1", limit_price="1.5", order_class=opb.ORDER_CLASS_MULTILEG, legs=legs)
    said = asked(intent=spread, symbol="", side=0)
    assert (said.symbol, said.side, said.price) == ("", None, Decimal("1.5"))


LONG = "x" * 129


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"decision_id": ""}, ["decision_id"]),
        ({"decision_id": "d 1"}, ["decision_id"]),
        ({"decision_id": LONG}, ["decision_id"]),
        ({"trace_id": LONG}, ["trace_id"]),
        ({"trace_id": "a\nb"}, ["trace_id"]),
        ({"symbol": ""}, ["symbol"]),
        ({"symbol": "ko"}, ["symbol"]),
        ({"side": 0}, ["side"]),
        ({"side": 9}, ["side"]),
        ({"kind": 0}, ["kind"]),
        ({"kind": 9}, ["kind"]),
        ({"confidence": "1.01"}, ["confidence"]),
        ({"confidence": "-0.1"}, ["confidence"]),
        ({"confidence": "NaN"}, ["confidence"]),
        ({"confidence": "80%"}, ["confidence"]),
        ({"signals": {f"n{n}": "" for n in range(33)}}, ["signals"]),
        ({"signals": {"": "x"}}, ["signals (a key)"]),
        ({"signals": {"a": "x" * 257}}, ['signals["a"]']),
        ({"model": LONG}, ["model"]),
        ({"provider": LONG}, ["provider"]),
        ({"rationale": "x" * 8193}, ["rationale"]),
        ({"rationale": "\u00e4" * 4097}, ["rationale"]),
        ({"rationale": "\x1b[31m"}, ["rationale"]),
        ({"decided_time": BROKEN}, ["decided_time"]),
        ({"expires_time": BROKEN}, ["expires_time"]),
        ({"decided_time": LATER, "expires_time": AT}, ["expires_time"]),
        ({"decided_time": AT, "expires_time": AT}, ["expires_time"]),
        ({"strategy": LONG}, ["strategy"]),
        ({"linked_trade_id": "t-1"}, ["linked_trade_id"]),
        ({"kind": EXIT, "linked_trade_id": LONG}, ["linked_trade_id"]),
        ({"execute": True}, ["execute"]),
        ({"intent": pb.DecisionIntent()}, ["intent.request"]),
        ({"intent": order(quantity="0")}, ["intent.submit_order.quantity"]),
        ({"intent": order(account_id="other")}, ["intent.submit_order.account_id"]),
        ({"intent": order(decision_id="d-2")}, ["intent.submit_order.decision_id"]),
        ({"intent": order(trace_id="x")}, ["intent.submit_order.trace_id"]),
        ({"intent": order(strategy="x")}, ["intent.submit_order.strategy"]),
        ({"intent": order(), "symbol": "F"}, ["symbol"]),
        ({"intent": order(), "side": opb.SIDE_SELL}, ["side"]),
        ({"intent": opening(signal={"stop_loss_price": "85"})}, ["intent.open_trade.signal.stop_loss_price"]),
        ({"intent": opening(signal={"stop_loss_price": "80"})}, ["intent.open_trade.signal.stop_loss_price"]),
        ({"intent": opening(signal={"entry_price": "NaN"})}, ["intent.open_trade.signal.entry_price"]),
        ({"intent": opening(decision_id="d-2")}, ["intent.open_trade.decision_id"]),
        ({"intent": opening(signal={"strategy": "x"})}, ["intent.open_trade.signal.strategy"]),
        ({"intent": opening(), "kind": EXIT}, ["kind"]),
        ({"intent": closing(), "symbol": "", "side": 0}, ["kind"]),
        ({"intent": closing(trade_id=""), "kind": EXIT}, ["intent.close_trade.trade_id"]),
        ({"intent": closing(decision_id="d-2"), "kind": EXIT}, ["intent.close_trade.decision_id"]),
        ({"intent": closing(), "kind": EXIT, "linked_trade_id": "t-2"}, ["linked_trade_id"]),
    ],
)
def test_a_decision_that_is_not_in_order(given: dict[str, Any], fields: list[str]) -> None:
    found = record_ask(request(**given), account_id="paper")
    assert isinstance(found, Invalid)
    assert sorted(fields_of(found)) == sorted(fields)


def test_which_account_is_said_once() -> None:
    found = record_ask(request(intent=order()), account_id="")
    assert isinstance(found, Invalid)
    assert (found.reason, fields_of(found)) == ("ACCOUNT_REQUIRED", ["account_id"])


def test_a_persons_word() -> None:
    yes = approve_ask(
        pb.ApproveDecisionRequest(
            decision_id="d-1", account_id="paper", reason="fine", operator_name="ann", reference_price="80.50"
        )
    )
    assert yes == WordAsk(
        name=DecisionName(decision_id="d-1", account_id="paper"),
        word=Reason(code="APPROVED", message="fine", origin=EventSource.OPERATOR, operator_name="ann"),
        reference_price=Decimal("80.5"),
    )
    no = reject_ask(pb.RejectDecisionRequest(decision_id="d-1", reason="too large"))
    assert no == WordAsk(
        name=DecisionName(decision_id="d-1", account_id=""),
        word=Reason(code="REJECTED", message="too large", origin=EventSource.OPERATOR),
    )
    assert get_decision_ask(pb.GetDecisionRequest(decision_id="d-1")) == DecisionName(decision_id="d-1", account_id="")


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"decision_id": ""}, ["decision_id"]),
        ({"decision_id": "d\n"}, ["decision_id"]),
        ({"account_id": LONG}, ["account_id"]),
        ({"reason": "r" * 513}, ["reason"]),
        ({"reason": "two\nlines"}, ["reason"]),
        ({"operator_name": LONG}, ["operator_name"]),
    ],
)
def test_a_persons_word_that_is_not_in_order(given: dict[str, Any], fields: list[str]) -> None:
    said = {"decision_id": "d-1", "reason": "r"} | given
    assert fields_of(approve_ask(pb.ApproveDecisionRequest(**said))) == fields
    assert fields_of(reject_ask(pb.RejectDecisionRequest(**said))) == fields
    named = {name: text for name, text in said.items() if name in {"decision_id", "account_id"}}
    if fields[0] in named:
        assert fields_of(get_decision_ask(pb.GetDecisionRequest(**named))) == fields


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "1e3", "abc"])
def test_a_reference_price_that_is_none(price: str) -> None:
    ask = approve_ask(pb.ApproveDecisionRequest(decision_id="d-1", reference_price=price))
    assert fields_of(ask) == ["reference_price"]


def test_a_no_needs_a_reason() -> None:
    assert fields_of(reject_ask(pb.RejectDecisionRequest(decision_id="d-1"))) == ["reason"]
    assert fields_of(reject_ask(pb.RejectDecisionRequest(decision_id="d-1", reason="  "))) == ["reason"]


def test_a_list() -> None:
    ask = decisions_ask(
        pb.ListDecisionsRequest(
            account_ids=["a"], statuses=[opb.DECISION_STATUS_RECORDED], kinds=[EXIT], symbols=["KO", "KO"],
            strategies=["s"], trace_ids=["t"], decision_ids=["d"], trade_ids=["r"], created_after_time=AT,
            created_before_time=LATER, page_size=2000,
        )
    )  # fmt: skip
    assert isinstance(ask, DecisionsAsk)
    assert (ask.where.statuses, ask.where.kinds) == ((DecisionStatus.RECORDED,), (DecisionKind.EXIT,))
    assert (ask.where.symbols, ask.where.trade_ids, ask.page_size) == (("KO",), ("r",), 1000)


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"account_ids": [""]}, ["account_ids[0]"]),
        ({"statuses": [99]}, ["statuses[0]"]),
        ({"statuses": [0]}, ["statuses[0]"]),
        ({"kinds": [99]}, ["kinds[0]"]),
        ({"symbols": ["x" * 33]}, ["symbols[0]"]),
        ({"strategies": ["\x00"]}, ["strategies[0]"]),
        ({"trace_ids": [LONG]}, ["trace_ids[0]"]),
        ({"decision_ids": ["d"] * 501}, ["decision_ids"]),
        ({"trade_ids": [""]}, ["trade_ids[0]"]),
        ({"created_after_time": BROKEN}, ["created_after_time"]),
        ({"created_before_time": BROKEN}, ["created_before_time"]),
        ({"created_after_time": LATER, "created_before_time": AT}, ["created_before_time"]),
        ({"page_size": -1}, ["page_size"]),
    ],
)
def test_a_list_that_is_not_in_order(given: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(decisions_ask(pb.ListDecisionsRequest(**given))) == fields
