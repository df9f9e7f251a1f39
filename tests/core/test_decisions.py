"""What a decision is allowed to become, what needs a person's word, and what is done for it now."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from orderd.core.decisions import (
    MOVES,
    OVER,
    Decided,
    Decision,
    DecisionEvent,
    DecisionKind,
    DecisionStatus,
    Refusal,
    SendClose,
    SendOpen,
    SendOrder,
    Todo,
    approved,
    differences,
    first,
    forbidden,
    is_its_own,
    is_large,
    is_near,
    linked,
    move,
    to_be_approved,
    todo,
    unapproved,
)
from orderd.core.order import EventSource, OrderType, Side
from orderd.core.trade import Signal
from orderd.core.values import AccountId, ClientOrderId, OrderId, Reason
from tests.core.builders import AT, intent

S, E = DecisionStatus, DecisionEvent
ENGINE = EventSource.ENGINE
WHY = Reason(code="WHY")


def said(**changes: Any) -> Decided:  # noqa: ANN401
    given: dict[str, Any] = {"decision_id": "d-1", "account_id": AccountId("paper"), "kind": DecisionKind.ENTRY}
    return Decided(**(given | changes))


def decision(status: DecisionStatus = S.RECORDED, **changes: Any) -> Decision:  # noqa: ANN401
    of_caller = said(**{name: changes.pop(name) for name in list(changes) if name in Decided.__struct_fields__})
    return msgspec.structs.replace(first("r-1", of_caller, AT).after, status=status, **changes)


def signal(**changes: Any) -> Signal:  # noqa: ANN401
    given = {"symbol": "KO", "side": Side.BUY, "entry_price": Decimal(80), "stop_loss_price": Decimal(75)}
    return Signal(**(given | {"type": OrderType.LIMIT} | changes))


def test_the_first_version() -> None:
    step = first("r-1", said(), AT)
    assert (step.event, step.source) == (E.DECISION_RECORDED, EventSource.CLIENT)
    assert (step.after.status, step.after.version, step.after.name) == (S.RECORDED, 1, ("paper", "d-1"))


@pytest.mark.parametrize("event", list(MOVES))
@pytest.mark.parametrize("status", list(S))
def test_each_move_is_allowed_or_names_what_would_be(event: DecisionEvent, status: DecisionStatus) -> None:
    allowed, after = MOVES[event]
    before = decision(status)
    if status in allowed:
        step = move(before, event, ENGINE, AT, WHY)
        assert (step.after.status, step.after.version, step.after.reason) == (after, 2, WHY)
    else:
        with pytest.raises(ValueError, match=f"{event} of a decision that is {status}; allowed from"):
            move(before, event, ENGINE, AT)


def test_nothing_leaves_an_end_but_the_proof_of_an_order() -> None:
    leaving = {event for event, (allowed, _) in MOVES.items() if allowed & OVER}
    assert leaving == {E.DECISION_EXECUTED}


def test_an_approval_is_kept_and_forgotten_when_it_came_to_nothing() -> None:
    yes = approved(decision(S.PENDING_APPROVAL), EventSource.OPERATOR, AT, WHY, by_person=True).after
    assert (yes.status, yes.approved_time, yes.is_approved_by_person) == (S.APPROVED, AT, True)
    again = to_be_approved(yes, AT, WHY).after
    assert (again.status, again.approved_time, again.is_approved_by_person) == (S.PENDING_APPROVAL, None, False)


def test_orders_and_the_trade_are_linked_once_each() -> None:
    one = linked(decision(S.REJECTED), AT, order_id=OrderId("o-1"))
    assert one is not None
    assert (one.after.status, one.after.order_ids, one.order_id) == (S.EXECUTED, ("o-1",), "o-1")
    assert linked(one.after, AT, order_id=OrderId("o-1")) is None
    two = linked(one.after, AT, order_id=OrderId("o-2"), trade_id="t-1")
    assert two is not None
    assert (two.after.order_ids, two.after.trade_id) == (("o-1", "o-2"), "t-1")
    assert linked(two.after, AT, trade_id="t-2") is None, "a decision has one trade"
    assert linked(decision(), AT) is None
    trade = linked(decision(), AT, trade_id="t-1")
    assert trade is not None
    assert trade.order_id is None


@pytest.mark.parametrize(
    ("notional", "limit", "expected"),
    [
        ("100", None, False),
        (None, None, False),
        ("100", "100", False),
        ("100.01", "100", True),
        (None, "100", True),
        ("NaN", "100", True),
        ("Infinity", "100", True),
    ],
)
def test_what_is_too_large(notional: str | None, limit: str | None, expected: object) -> None:
    value = None if notional is None else Decimal(notional)
    assert is_large(value, None if limit is None else Decimal(limit)) is expected


@pytest.mark.parametrize(
    ("then", "now", "percent", "expected"),
    [
        ("100", "102", "2", True),
        ("100", "102.01", "2", False),
        ("100", "98", "2", True),
        ("100", "97.99", "2", False),
        ("-1.50", "-1.53", "2", True),
        ("-1.50", "1.50", "2", False),
        ("0.0001", "0.000101", "1", True),
    ],
)
def test_what_is_near(then: str, now: str, percent: str, expected: object) -> None:
    assert is_near(Decimal(then), Decimal(now), Decimal(percent)) is expected


def test_what_may_not_stand_any_more() -> None:
    soon = AT + timedelta(seconds=1)
    assert forbidden(decision(S.REJECTED), AT) is Refusal.DECISION_ENDED
    assert forbidden(decision(S.EXPIRED), AT) is Refusal.DECISION_EXPIRED
    assert forbidden(decision(S.EXECUTED, expires_time=AT), AT) is Refusal.DECISION_EXPIRED
    assert forbidden(decision(expires_time=soon), AT) is None
    assert forbidden(decision(), AT) is None


@pytest.mark.parametrize("status", list(S))
def test_whoever_names_one_that_waits_waits(status: DecisionStatus) -> None:
    waits = status in {S.PENDING_APPROVAL, S.APPROVED}
    assert (unapproved(decision(status), is_large=False) is Refusal.APPROVAL_REQUIRED) is waits
    assert unapproved(decision(status), is_large=True) is Refusal.APPROVAL_REQUIRED


@pytest.mark.parametrize("status", list(S))
def test_what_is_done_now(status: DecisionStatus) -> None:
    one = decision(status, expires_time=AT + timedelta(seconds=9))
    expected = Todo.SEND if status is S.APPROVED else Todo.NOTHING
    assert todo(one, AT, age_s=60, send_within_s=60) is expected
    past = todo(one, AT + timedelta(seconds=9), age_s=0, send_within_s=60)
    assert past is (Todo.NOTHING if status in OVER else Todo.EXPIRE)


def test_an_approval_has_an_age_and_an_exit_has_none() -> None:
    assert todo(decision(S.APPROVED), AT, age_s=61, send_within_s=60) is Todo.LAPSE
    leaving = decision(S.APPROVED, kind=DecisionKind.EXIT)
    assert todo(leaving, AT, age_s=10_000, send_within_s=60) is Todo.SEND


@pytest.mark.parametrize("status", list(S))
def test_which_are_watched(status: DecisionStatus) -> None:
    assert decision(status).is_watched is (status is S.APPROVED)
    assert decision(status, expires_time=AT).is_watched is (status not in OVER)
    assert decision(status).is_over is (status in OVER)


def test_which_order_is_what_a_decision_asks_for() -> None:
    own, other = intent(), intent(client_order_id=ClientOrderId("another"))
    asks_order = decision(intent=SendOrder(order=own))
    assert is_its_own(asks_order, own)
    assert not is_its_own(asks_order, other)
    asks_trade = decision(intent=SendOpen(client_trade_id="c", signal=signal()))
    entry = msgspec.structs.replace(other, trade_id="t")
    assert not is_its_own(asks_trade, other), "no trade yet"
    assert is_its_own(msgspec.structs.replace(asks_trade, trade_id="t"), entry)
    assert not is_its_own(msgspec.structs.replace(asks_trade, trade_id="t"), other)
    assert not is_its_own(decision(), own)


def test_the_content_of_an_id() -> None:
    order = SendOrder(order=intent())
    other_order = SendOrder(order=intent(client_order_id=ClientOrderId("another"), symbol="MSFT"))
    opening = SendOpen(client_trade_id="c", signal=signal())
    closing = SendClose(trade_id="t", request_id="r", text="because")
    assert differences(said(trace_id="a"), said(trace_id="b", sent=b"x", price=Decimal(1))) == ()
    assert differences(said(model="a", rationale="x"), said(model="b", rationale="y")) == ("model", "rationale")
    assert differences(said(intent=order), said(intent=order)) == ()
    assert differences(said(intent=order), said(intent=other_order)) == (
        "intent.submit_order.client_order_id",
        "intent.submit_order.symbol",
    )
    tagged = msgspec.structs.replace(opening, tags=(("a", "b"),))
    assert differences(said(intent=opening), said(intent=tagged)) == ()
    moved = msgspec.structs.replace(opening, quantity=Decimal(1), signal=signal(entry_price=Decimal(81)))
    assert differences(said(intent=opening), said(intent=moved)) == (
        "intent.open_trade.signal",
        "intent.open_trade.quantity",
    )
    retold = msgspec.structs.replace(closing, text="as said")
    assert differences(said(intent=closing), said(intent=retold)) == ()
    part = msgspec.structs.replace(closing, quantity=Decimal(2))
    assert differences(said(intent=closing), said(intent=part)) == ("intent.close_trade.quantity",)
    assert differences(said(intent=closing), said(intent=order)) == ("intent",)
    assert differences(said(intent=closing), said()) == ("intent",)
    assert differences(said(), said()) == ()


def test_a_decision_survives_its_encoding() -> None:
    whole = decision(
        intent=SendOpen(client_trade_id="c", signal=signal(), quantity=Decimal("1.5"), tags=(("a", "b"),)),
        signals=(("rsi", "30"),),
        confidence=Decimal("0.8"),
        expires_time=AT,
        reason=WHY,
        order_ids=(OrderId("o"),),
    )
    for one in (
        whole,
        decision(intent=SendOrder(order=intent())),
        decision(intent=SendClose(trade_id="t", request_id="r")),
    ):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Decision) == one
