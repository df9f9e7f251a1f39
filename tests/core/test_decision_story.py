"""The line that says how far a decision has come."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from orderd.core.decision_story import order_of, story
from orderd.core.decisions import DecisionKind, DecisionStatus
from orderd.core.order import BrokerLink, Order, OrderRole, OrderState
from orderd.core.trade import Protection, Trade, TradeState
from orderd.core.values import BrokerOrderId, OrderId, Reason
from tests.core.builders import created, intent, terms
from tests.core.test_decisions import decision
from tests.core.trade_model import a_trade

S, T, P = OrderState, TradeState, Protection
LINKED = (BrokerLink(broker_order_id=BrokerOrderId("b-1")),)


def order(state: OrderState, *, role: OrderRole | None = None, quantity: str | None = "10", **changes: Any) -> Order:  # noqa: ANN401
    size = {"quantity": None, "notional": Decimal(100)} if quantity is None else {"quantity": Decimal(quantity)}
    made = created(intent(role=role, terms=terms(**size)))
    return msgspec.structs.replace(made, state=state, terms=made.intent.terms, **changes)


def trade(state: TradeState, protection: Protection = P.NONE, **changes: Any) -> Trade:  # noqa: ANN401
    return msgspec.structs.replace(a_trade(), state=state, protection=protection, **changes)


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (DecisionStatus.RECORDED, "Recorded, nothing sent"),
        (DecisionStatus.PENDING_APPROVAL, "Waiting for approval, nothing sent"),
        (DecisionStatus.APPROVED, "Approved, nothing sent yet"),
        (DecisionStatus.REJECTED, "Rejected, nothing sent"),
        (DecisionStatus.EXPIRED, "Expired, nothing sent"),
        (DecisionStatus.EXECUTED, "Carried out"),
    ],
)
def test_without_an_order(status: DecisionStatus, line: str) -> None:
    assert story(decision(status), None, None) == line


@pytest.mark.parametrize(
    ("state", "changes", "line"),
    [
        (S.CREATED, {}, "Entry recorded, not sent yet"),
        (S.SUBMITTED, {}, "Entry sent, the broker has not answered"),
        (S.SUBMITTED, {"links": LINKED}, "Entry taken by the broker, not working yet"),
        (S.UNKNOWN, {}, "Entry sent, its outcome is not known yet"),
        (S.ACCEPTED, {"links": LINKED}, "Entry working at the broker"),
        (S.ACCEPTED, {}, "Entry sent, the broker has not answered"),
        (S.ACCEPTED, {"links": LINKED, "pending_cancel": True}, "Entry working at the broker, its cancel is asked for"),
        (S.PARTIALLY_FILLED, {"links": LINKED, "filled_quantity": Decimal(4)}, "Entry filled 4 of 10"),
        (S.CANCELED, {"filled_quantity": Decimal(4)}, "Entry filled 4 of 10, the rest canceled"),
        (S.FILLED, {"filled_quantity": Decimal(10)}, "Entry filled"),
        (S.CANCELED, {"pending_cancel": True}, "Entry canceled"),
        (S.EXPIRED, {}, "Entry expired at the broker"),
        (S.REJECTED, {}, "Entry rejected by the broker"),
        (S.DENIED, {}, "Entry denied by risk"),
        (S.SUBMIT_FAILED, {}, "Entry not placed at the broker"),
        (S.REPLACED, {}, "Entry replaced at the broker"),
    ],
)
def test_the_order_has_its_real_state(state: OrderState, changes: dict[str, Any], line: str) -> None:
    assert story(decision(DecisionStatus.EXECUTED), order(state, **changes), None) == line


@pytest.mark.parametrize("state", list(S))
def test_nothing_is_under_way_at_a_broker_that_has_not_answered(state: OrderState) -> None:
    line = story(decision(DecisionStatus.EXECUTED), order(state), None)
    assert "working" not in line
    assert "taken" not in line


def test_an_order_by_money_says_what_was_bought() -> None:
    part = order(S.PARTIALLY_FILLED, quantity=None, filled_quantity=Decimal("0.5"))
    assert story(decision(DecisionStatus.EXECUTED), part, None) == "Entry filled 0.5"


@pytest.mark.parametrize(
    ("of", "line"),
    [
        (trade(T.PENDING), "Entry filled"),
        (trade(T.OPEN, P.PROTECTED), "Entry filled, trade open"),
        (trade(T.OPEN, P.ARMING), "Entry filled, trade open, its stop is on the way"),
        (trade(T.OPEN, P.UNPROTECTED), "Entry filled, trade open, not protected"),
        (trade(T.OPEN, P.DISARMED), "Entry filled, trade open, not protected"),
        (trade(T.CLOSING), "Entry filled, trade closing"),
        (trade(T.CLOSED, realized_pnl=Decimal("-12.50")), "Entry filled, trade closed, P&L -12.5"),
        (trade(T.CLOSED), "Entry filled, trade closed"),
    ],
)
def test_the_trade_has_its_real_state(of: Trade, line: str) -> None:
    assert story(decision(DecisionStatus.EXECUTED), order(S.FILLED), of) == line


def test_a_trade_that_never_opened_says_why_when_there_is_no_order() -> None:
    why = trade(T.NEVER_OPENED, reason=Reason(code="ZERO_SIZE", message="less than a step"))
    bare = trade(T.NEVER_OPENED, reason=Reason(code="ZERO_SIZE"))
    done = decision(DecisionStatus.EXECUTED)
    assert story(done, None, why) == "Trade never opened, less than a step"
    assert story(done, None, bare) == "Trade never opened, ZERO_SIZE"
    assert story(done, None, trade(T.NEVER_OPENED)) == "Trade never opened"
    sent = decision(DecisionStatus.EXECUTED, order_ids=(OrderId("o"),))
    assert story(sent, order(S.DENIED), why) == "Entry denied by risk, trade never opened"


def test_an_exit_is_told_as_one() -> None:
    leaving = decision(DecisionStatus.EXECUTED, kind=DecisionKind.EXIT)
    assert story(leaving, order(S.FILLED), trade(T.CLOSED)) == "Exit filled, trade closed"


def test_which_order_a_decision_is_about() -> None:
    entry, stop, leave = (order(S.FILLED, role=role) for role in (OrderRole.ENTRY, OrderRole.STOP_LOSS, OrderRole.EXIT))
    plain = order(S.ACCEPTED)
    leg = order(S.ACCEPTED, parent_order_id=OrderId("parent"))
    entering, leaving = decision(), decision(kind=DecisionKind.EXIT)
    assert order_of(entering, [entry, stop, leave]) is entry
    assert order_of(entering, [entry, plain, leg]) is plain
    assert order_of(leaving, [entry, stop, leave]) is leave
    assert order_of(leaving, [stop]) is stop
    assert order_of(entering, []) is None
