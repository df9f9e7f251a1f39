"""Decisions through the real server and the real protocol: approved once, also over a death, and told whole."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from oms.v1 import decision_service_pb2 as pb
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as orders_pb
from oms.v1 import trade_service_pb2 as trades_pb
from oms.v1.decision_service_pb2_grpc import DecisionServiceStub
from oms.v1.trade_service_pb2_grpc import TradeServiceStub
from tests.e2e.errors import metadata_of, reason_of
from tests.e2e.harness import PATIENCE_S, House, submit_request, trading
from tests.reach import Reached, scaled

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKING = {"paper": {"risk": {"approval_above_notional": "500", "approval_price_percent": "2"}}}
SETTLED = frozenset({opb.DECISION_STATUS_EXECUTED, opb.DECISION_STATUS_PENDING_APPROVAL})
"""How an approval that was cut off may stand: it was written down and is carried out, or it was not."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asking(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A house where a person is asked above 500 dollars."""
    async with trading(tmp_path_factory.mktemp("asking"), accounts=ASKING) as house:
        await house.venue.settings(is_auto_fill=True)
        await house.venue.quote("KO", "80", "80")
        yield house


def calls(house: House) -> "DecisionServiceStub":
    return DecisionServiceStub(house.channel)


def to_buy(key: str, quantity: str = "10", **changes: object) -> pb.RecordDecisionRequest:
    """A decision to buy KO by a limit order."""
    order = submit_request(quantity=quantity, limit_price="80")
    given = {"decision_id": key, "trace_id": f"trace-{key}", "kind": opb.DECISION_KIND_ENTRY, "strategy": key}
    intent = pb.DecisionIntent(submit_order=order)
    return pb.RecordDecisionRequest(**({"intent": intent, "execute": True} | given | changes))


def to_open(key: str, **changes: object) -> pb.RecordDecisionRequest:
    """A decision to open a trade of KO."""
    signal = trades_pb.Signal(
        symbol="KO", side=opb.SIDE_BUY, entry_price="80", stop_loss_price="75", type=opb.ORDER_TYPE_MARKET
    )
    intent = pb.DecisionIntent(open_trade=trades_pb.OpenTradeRequest(signal=signal, quantity="10"))
    return to_buy(key, intent=intent, **changes)


def approving(key: str) -> pb.ApproveDecisionRequest:
    return pb.ApproveDecisionRequest(decision_id=key, reference_price="80.5", operator_name="ann", reason="yes")


async def chain(house: House, key: str) -> pb.GetDecisionResponse:
    return await calls(house).GetDecision(pb.GetDecisionRequest(decision_id=key))


async def until(house: House, key: str, holds: Callable[[pb.GetDecisionResponse], bool]) -> pb.GetDecisionResponse:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await chain(house, key)
            if holds(answer):
                return answer
            await asyncio.sleep(0.05)


async def refusal(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value


async def sent_for(house: House, key: str) -> list[opb.Order]:
    found = await house.orders.ListOrders(orders_pb.ListOrdersRequest(decision_ids=[key]))
    return [order for order in found.orders if order.role != opb.ORDER_ROLE_STOP_LOSS]


async def bought(house: House, key: str) -> None:
    """A decision that was approved and is filled. Saying it again changes nothing."""
    await calls(house).RecordDecision(to_buy(key))
    await calls(house).ApproveDecision(approving(key))
    await until(house, key, lambda answer: answer.lifecycle == "Entry filled")


async def traded(house: House, key: str) -> str:
    """A decision whose trade was opened, and closed by another decision, `key`-exit; our id of the trade."""
    described = to_open(key, rationale="two\nlines", confidence="0.8", signals={"rsi": "28"})
    await calls(house).RecordDecision(described)
    trade_id = (await calls(house).ApproveDecision(approving(key))).trade.trade_id
    opened = await until(house, key, lambda answer: answer.lifecycle.startswith("Entry filled, trade "))
    if opened.lifecycle.startswith("Entry filled, trade open"):
        opened = await until(house, key, lambda answer: answer.lifecycle == "Entry filled, trade open")
        roles = [order.role for order in opened.orders]
        assert roles == [opb.ORDER_ROLE_ENTRY, opb.ORDER_ROLE_STOP_LOSS]
        assert {order.trace_id for order in opened.orders} == {f"trace-{key}"}
    leaving = pb.RecordDecisionRequest(
        decision_id=f"{key}-exit", kind=opb.DECISION_KIND_EXIT, linked_trade_id=trade_id, trace_id=f"trace-{key}-exit"
    )
    recorded = await calls(house).RecordDecision(leaving)
    assert (recorded.decision.symbol, recorded.decision.side) == ("KO", opb.SIDE_SELL)
    closing = trades_pb.CloseTradeRequest(trade_id=trade_id, decision_id=f"{key}-exit", request_id=key, reason="target")
    await TradeServiceStub(house.channel).CloseTrade(closing)
    await until(house, key, lambda answer: bool(answer.completed_trades))
    await until(house, f"{key}-exit", lambda answer: answer.lifecycle.startswith("Exit filled, trade closed"))
    return trade_id


async def test_a_large_decision_waits_and_fifty_approvals_are_one_order(asking: House) -> None:
    made = await calls(asking).RecordDecision(to_buy("a-1"))
    assert made.decision.status == opb.DECISION_STATUS_PENDING_APPROVAL
    assert made.decision.status_reason.code == "APPROVAL_REQUIRED"
    again = await calls(asking).RecordDecision(to_buy("a-1", trace_id="another"))
    assert (again.replayed, again.decision.trace_id) == (True, "trace-a-1")
    refused = await refusal(asking.orders.SubmitOrder(submit_request(decision_id="a-1", quantity="1")))
    assert (refused.code(), reason_of(refused)) == (grpc.StatusCode.FAILED_PRECONDITION, "APPROVAL_REQUIRED")
    answers = await asyncio.gather(*(calls(asking).ApproveDecision(approving("a-1")) for _ in range(50)))
    assert {answer.decision.status for answer in answers} == {opb.DECISION_STATUS_EXECUTED}
    assert len({answer.order.order_id for answer in answers}) == 1
    assert all(answer.order.broker_order_id for answer in answers), "the broker has answered"
    assert len(await sent_for(asking, "a-1")) == 1
    whole = await until(asking, "a-1", lambda answer: answer.lifecycle == "Entry filled")
    assert [fill.quantity for fill in whole.fills] == ["10"]
    assert whole.intent.submit_order.decision_id == "a-1"


async def test_the_whole_chain_of_a_trade_from_one_call(asking: House) -> None:
    trade_id = await traded(asking, "a-2")
    whole = await chain(asking, "a-2")
    assert whole.lifecycle == "Entry filled, trade closed, P&L 0"
    assert [order.role for order in whole.orders].count(opb.ORDER_ROLE_EXIT) == 1
    assert whole.trades[0].trade_id == trade_id
    assert len(whole.fills) == len(("bought", "sold"))
    left = await chain(asking, "a-2-exit")
    assert left.decision.status == opb.DECISION_STATUS_EXECUTED
    assert left.lifecycle == "Exit filled, trade closed, P&L 0"
    assert left.decision.order_ids[0] in whole.decision.order_ids, "also told with the trade it closes"
    one = await asking.orders.GetOrder(orders_pb.GetOrderRequest(order_id=whole.orders[0].order_id, full=True))
    assert one.decision.rationale == "two\nlines"
    assert dict(one.decision.signals) == {"rsi": "28"}


async def test_lists_by_decision_trace_and_trade(asking: House) -> None:
    await bought(asking, "l-1")
    trade_id = await traded(asking, "l-2")
    listing = pb.ListDecisionsRequest(decision_ids=["l-1", "l-2", "l-2-exit"], page_size=2)
    first = await calls(asking).ListDecisions(listing)
    listing.page_token = first.next_page_token
    rest = await calls(asking).ListDecisions(listing)
    entries = [*first.decisions, *rest.decisions]
    assert [entry.decision.decision_id for entry in entries] == ["l-2-exit", "l-2", "l-1"]
    assert [entry.order_status for entry in entries] == [opb.ORDER_STATUS_FILLED] * 3
    assert all(entry.broker_order_id for entry in entries)
    assert entries[1].trade_state == trades_pb.TRADE_STATE_CLOSED
    assert entries[1].decision.trade_id == trade_id
    of_trade = await calls(asking).ListDecisions(pb.ListDecisionsRequest(trade_ids=[trade_id]))
    assert [entry.decision.decision_id for entry in of_trade.decisions] == ["l-2-exit", "l-2"]
    exits = pb.ListDecisionsRequest(kinds=[opb.DECISION_KIND_EXIT], statuses=[opb.DECISION_STATUS_EXECUTED])
    found = (await calls(asking).ListDecisions(exits)).decisions
    assert "l-2-exit" in {one.decision.decision_id for one in found}
    assert {one.decision.kind for one in found} == {opb.DECISION_KIND_EXIT}
    by_trace = pb.ListDecisionsRequest(trace_ids=["trace-l-1"])
    assert [one.decision.decision_id for one in (await calls(asking).ListDecisions(by_trace)).decisions] == ["l-1"]
    for filters, count in (
        ({"decision_ids": ["l-1"]}, 1),
        ({"trace_ids": ["trace-l-2"]}, 2),
        ({"trade_ids": [trade_id]}, 2),
        ({"decision_ids": ["l-1"], "trace_ids": ["trace-l-2"]}, 0),
    ):
        assert len((await asking.orders.ListFills(orders_pb.ListFillsRequest(**filters))).fills) == count, filters
    trades = TradeServiceStub(asking.channel)
    for filters in ({"decision_ids": ["l-2"]}, {"trace_ids": ["trace-l-2"]}, {"trade_ids": [trade_id]}):
        listed = await trades.ListTrades(trades_pb.ListTradesRequest(**filters))
        assert [trade.trade_id for trade in listed.trades] == [trade_id], filters


async def test_the_decisions_events_are_streamed(asking: House) -> None:
    await bought(asking, "s-1")
    asked = trades_pb.StreamDeskEventsRequest(after_sequence=0, decision_ids=["s-1"])
    types: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        async for message in TradeServiceStub(asking.channel).StreamDeskEvents(asked):
            types += [event.type for event in message.events.events]
            if trades_pb.DESK_EVENT_TYPE_DECISION_EXECUTED in types:
                break
    assert types[:4] == [
        trades_pb.DESK_EVENT_TYPE_DECISION_RECORDED,
        trades_pb.DESK_EVENT_TYPE_APPROVAL_REQUESTED,
        trades_pb.DESK_EVENT_TYPE_DECISION_APPROVED,
        trades_pb.DESK_EVENT_TYPE_DECISION_EXECUTED,
    ]


async def test_what_is_refused_says_why(asking: House) -> None:
    await calls(asking).RecordDecision(to_buy("a-4"))
    other = await refusal(calls(asking).RecordDecision(to_buy("a-4", quantity="11", model="m")))
    assert (other.code(), reason_of(other)) == (grpc.StatusCode.ALREADY_EXISTS, "DECISION_ID_REUSED")
    assert metadata_of(other)["differing_fields"] == "model,intent.submit_order.quantity"
    moved = pb.ApproveDecisionRequest(decision_id="a-4", reference_price="90")
    assert reason_of(await refusal(calls(asking).ApproveDecision(moved))) == "PRICE_MOVED"
    await calls(asking).RejectDecision(pb.RejectDecisionRequest(decision_id="a-4", reason="no", operator_name="ann"))
    assert reason_of(await refusal(calls(asking).ApproveDecision(approving("a-4")))) == "DECISION_ENDED"
    assert (await chain(asking, "a-4")).lifecycle == "Rejected, nothing sent"
    nobody = await refusal(chain(asking, "nobody"))
    assert (nobody.code(), reason_of(nobody)) == (grpc.StatusCode.NOT_FOUND, "DECISION_NOT_FOUND")
    wrong = pb.ListDecisionsRequest(page_token="x")
    assert reason_of(await refusal(calls(asking).ListDecisions(wrong))) == "INVALID_PAGE_TOKEN"
    assert reason_of(await refusal(calls(asking).RecordDecision(pb.RecordDecisionRequest()))) == "INVALID_FIELDS"


async def test_a_decision_expires(asking: House) -> None:
    soon = to_buy("a-5")
    soon.expires_time.GetCurrentTime()
    soon.expires_time.seconds += 2
    made = await calls(asking).RecordDecision(soon)
    assert made.decision.status == opb.DECISION_STATUS_PENDING_APPROVAL
    await until(asking, "a-5", lambda answer: answer.lifecycle == "Expired, nothing sent")
    assert reason_of(await refusal(calls(asking).ApproveDecision(approving("a-5")))) == "DECISION_EXPIRED"
    assert not await sent_for(asking, "a-5")


@pytest.mark.scaled
async def test_a_kill_around_the_approval_sends_once(tmp_path: Path, reached: Reached) -> None:
    chance, ends = random.Random(11), Counter[str]()
    async with trading(tmp_path, accounts=ASKING) as house:
        await house.venue.settings(is_auto_fill=True)
        await house.venue.quote("KO", "80", "80")
        kills = scaled(20)
        for number in range(kills):
            key = f"k-{number}"
            await calls(house).RecordDecision((to_open if number % 2 else to_buy)(key))
            pressed = asyncio.ensure_future(calls(house).ApproveDecision(approving(key)))
            await asyncio.sleep(chance.uniform(0, 0.02))
            await house.kill()
            with suppress(grpc.aio.AioRpcError):
                await pressed
            await house.restart()
            after = await until(house, key, lambda answer: answer.decision.status in SETTLED)
            ends[opb.DecisionStatus.Name(after.decision.status)] += 1
            again = await calls(house).ApproveDecision(approving(key))
            assert again.decision.status == opb.DECISION_STATUS_EXECUTED
            await until(house, key, lambda answer: answer.lifecycle.startswith("Entry filled"))
            (sent,) = await sent_for(house, key)
            assert sent.filled_quantity == "10"
            if again.trade.trade_id:  # its stop would be opposite to the next order
                closing = trades_pb.CloseTradeRequest(trade_id=again.trade.trade_id)
                await TradeServiceStub(house.channel).CloseTrade(closing)
        filled = await house.orders.ListFills(orders_pb.ListFillsRequest())
        assert len([fill for fill in filled.fills if fill.side == opb.SIDE_BUY]) == kills
    assert sum(ends.values()) == kills
    reached("P1", "approvals cut off by kill -9 and pressed again: one order each", kills)
