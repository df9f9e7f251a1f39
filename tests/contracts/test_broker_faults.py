"""What every broker must keep when the wire, or the broker itself, misbehaves: nothing is guessed, nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from orderd.core.order import Order, OrderType, Phase, Side
from orderd.core.values import BrokerOrderId, ClientOrderId
from orderd.ports import (
    Absent,
    Acked,
    BrokerError,
    BrokerReport,
    CannotTell,
    Found,
    NotSent,
    Refused,
    ReplaceRequest,
    ReportKind,
    StreamDown,
    StreamUp,
    Unknown,
    Unreadable,
)
from orderd.venue.alpaca.face import Options
from orderd.venue.faults import AnswerBody, Fault, FaultKind
from orderd.venue.orders import EventKind, NewOrder, Status
from orderd.venue.orders import OrderType as VenueType
from orderd.venue.orders import Side as VenueSide
from orderd.venue.orders import TimeInForce as VenueTime
from tests.brokers.making import limit_order, order, staged, terms
from tests.contracts.broker_desks import KINDS, Desk, open_desk

D = Decimal


@pytest.fixture(params=KINDS)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with open_desk(str(request.param)) as opened:
        yield opened


@pytest.fixture(params=KINDS)
async def deaf_desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with open_desk(str(request.param), is_listening=False) as opened:
        yield opened


def on_post(kind: FaultKind, **more: object) -> Fault:
    """A fault of the next submit."""
    return Fault(kind=kind, method="POST", path="/v2/orders", **more)  # type: ignore[arg-type]


async def send(desk: Desk, asked: Order | None = None, timeout_s: float = 5) -> object:
    return await desk.broker.submit(staged(asked or limit_order("key-1")), timeout_s=timeout_s)


async def test_a_lost_answer_is_unknown_and_the_order_is_there(desk: Desk) -> None:
    desk.arm(on_post(FaultKind.LOSE_ANSWER))
    assert isinstance(await send(desk), Unknown)
    assert isinstance(await desk.broker.find("key-1", timeout_s=5), Found)


async def test_a_lost_request_is_unknown_and_the_order_is_not_there(desk: Desk) -> None:
    desk.arm(on_post(FaultKind.LOSE_REQUEST))
    assert isinstance(await send(desk), Unknown)
    assert await desk.broker.find("key-1", timeout_s=5) == Absent()


async def test_a_submit_is_never_sent_twice_by_itself(desk: Desk) -> None:
    for fault in (FaultKind.LOSE_ANSWER, FaultKind.LOSE_REQUEST):
        desk.arm(on_post(fault))
        await send(desk)
    for status in (500, 502, 503, 504, 429):
        desk.arm(on_post(FaultKind.ANSWER_STATUS, status=status, is_accepted=False))
        await send(desk)
    posts = [each for each in desk.venue.ledger.received if each.method == "POST"]
    assert len(posts) == 7


@pytest.mark.parametrize("at_byte", [0, 1, 20, 200, 400, 700])
async def test_an_answer_cut_short_is_unknown(desk: Desk, at_byte: int) -> None:
    desk.arm(on_post(FaultKind.CUT_ANSWER, at_byte=at_byte))
    assert isinstance(await send(desk), Unknown)
    assert isinstance(await desk.broker.find("key-1", timeout_s=5), Found)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 418, 301, 202])
@pytest.mark.parametrize("body", list(AnswerBody))
async def test_an_answer_that_proves_nothing_is_unknown(desk: Desk, status: int, body: AnswerBody) -> None:
    desk.arm(on_post(FaultKind.ANSWER_STATUS, status=status, body=body))
    assert isinstance(await send(desk), Unknown)


@pytest.mark.parametrize("status", [200, 403, 422, 429])
@pytest.mark.parametrize("body", [AnswerBody.HTML, AnswerBody.EMPTY])
async def test_a_definite_status_without_alpacas_own_body_is_unknown(desk: Desk, status: int, body: AnswerBody) -> None:
    desk.arm(on_post(FaultKind.ANSWER_STATUS, status=status, body=body))
    assert isinstance(await send(desk), Unknown)


async def test_a_listed_429_was_not_sent(desk: Desk) -> None:
    desk.arm(on_post(FaultKind.ANSWER_STATUS, status=429, is_accepted=False))
    answer = await send(desk)
    assert isinstance(answer, NotSent)
    assert answer.code == "42910000"


@pytest.mark.parametrize(
    ("field", "value"),
    [("symbol", "MSFT"), ("side", "sell"), ("qty", "11"), ("client_order_id", "someone-else"), ("qty", None)],
)
async def test_an_echo_of_another_order_is_unknown(desk: Desk, field: str, value: str | None) -> None:
    desk.arm(on_post(FaultKind.LIE, fields={field: value}))
    answer = await send(desk)
    assert isinstance(answer, Unknown)
    assert answer.code == "ECHO_MISMATCH"
    assert answer.raw


async def test_an_echo_with_another_price_is_a_yes(desk: Desk) -> None:
    """Prices are restated, not disowned: in 2021 sub-penny prices were truncated."""
    desk.arm(on_post(FaultKind.LIE, fields={"limit_price": "49.99"}))
    answer = await send(desk)
    assert isinstance(answer, Acked)
    assert answer.view.terms is not None
    assert answer.view.terms.limit_price == D("49.99")


async def test_an_unknown_status_is_a_yes_whose_word_is_kept(desk: Desk) -> None:
    desk.arm(on_post(FaultKind.UNKNOWN_STATUS, word="galloping"))
    answer = await send(desk)
    assert isinstance(answer, Acked)
    assert (answer.view.phase, answer.view.status) == (Phase.UNKNOWN, "galloping")


async def test_a_silent_broker_is_unknown_at_the_deadline_and_heard_late(desk: Desk) -> None:
    desk.arm(on_post(FaultKind.HOLD_ANSWER, barrier="gate"))
    async with asyncio.timeout(3):
        assert isinstance(await send(desk, timeout_s=0.3), Unknown)
    desk.venue.faults.barriers.release("gate")
    (late,) = await desk.heard("late_answer")
    assert late.view is not None
    assert (late.view.client_order_id, late.kind) == ("key-1", ReportKind.UPDATE)
    assert late.view.asked_ns is not None


async def test_a_request_that_lands_late_is_absent_then_found(desk: Desk) -> None:
    desk.arm(on_post(FaultKind.LAND_LATE, barrier="gate", status=0))
    assert isinstance(await send(desk, timeout_s=0.3), Unknown)
    assert await desk.broker.find("key-1", timeout_s=5) == Absent()
    desk.venue.faults.barriers.release("gate")
    desk.pump()
    await desk.heard("pending_new", client_order_id="key-1")
    assert isinstance(await desk.broker.find("key-1", timeout_s=5), Found)


async def test_a_lookup_that_fails_says_nothing(desk: Desk) -> None:
    await send(desk)
    for status, body in (
        (404, AnswerBody.HTML),
        (404, AnswerBody.EMPTY),
        (502, AnswerBody.HTML),
        (200, AnswerBody.EMPTY),
    ):
        desk.arm(Fault(kind=FaultKind.ANSWER_STATUS, method="GET", path="/v2/orders:", status=status, body=body))
        assert isinstance(await desk.broker.find("key-1", timeout_s=5), CannotTell)
    desk.arm(Fault(kind=FaultKind.LIE, method="GET", path="/v2/orders:", fields={"client_order_id": "key-2"}))
    assert isinstance(await desk.broker.find("key-1", timeout_s=5), CannotTell)


async def test_a_list_with_a_bad_page_is_no_list(desk: Desk) -> None:
    await send(desk)
    reads = (
        desk.broker.open_orders,
        lambda: desk.broker.orders_since(desk.clock.now()),
        lambda: desk.broker.executions_since(desk.clock.now()),
        desk.broker.positions,
        desk.broker.account,
        desk.broker.clock,
    )
    for read in reads:
        for kind, more in (
            (FaultKind.ANSWER_STATUS, {"status": 502, "body": AnswerBody.HTML}),
            (FaultKind.ANSWER_STATUS, {"status": 200, "body": AnswerBody.HTML}),
            (FaultKind.LOSE_ANSWER, {}),
            (FaultKind.CUT_ANSWER, {"at_byte": 150}),
        ):
            desk.arm(Fault(kind=kind, method="GET", **more))  # type: ignore[arg-type]
            with pytest.raises(BrokerError):
                await read()


async def test_a_lost_cancel_or_replace_is_unknown(desk: Desk) -> None:
    answer = await send(desk)
    assert isinstance(answer, Acked)
    await desk.heard("new", client_order_id="key-1")
    old = limit_order("key-1", broker_order_id=answer.view.broker_order_id)
    asked = ReplaceRequest(
        order=old, terms=terms(OrderType.LIMIT, "12", limit="50"), client_order_id=ClientOrderId("key-1-r1")
    )
    desk.arm(Fault(kind=FaultKind.LOSE_ANSWER, method="PATCH"))
    assert isinstance(await desk.broker.replace(asked, timeout_s=5), Unknown)
    successor = await desk.broker.find("key-1-r1", timeout_s=5)
    assert isinstance(successor, Found)
    for fault in (
        Fault(kind=FaultKind.LOSE_ANSWER, method="DELETE"),
        Fault(kind=FaultKind.ANSWER_STATUS, method="DELETE", status=404, body=AnswerBody.HTML),
        Fault(kind=FaultKind.ANSWER_STATUS, method="DELETE", status=500),
    ):
        desk.arm(fault)
        assert isinstance(await desk.broker.cancel(successor.view.broker_order_id, timeout_s=5), Unknown)


# ------------------------------------------------------------------------------------------------------------- stream


async def test_a_cut_stream_says_so_and_says_when_it_is_back(desk: Desk) -> None:
    desk.arm(Fault(kind=FaultKind.DISCONNECT, event="new", code=1011))
    await send(desk)
    await desk.until(lambda: sum(isinstance(each, StreamUp) for each in desk.said) == 2)
    kinds = [type(each) for each in desk.said if not isinstance(each, BrokerReport)]
    assert kinds == [StreamUp, StreamDown, StreamUp]
    await desk.broker.cancel(BrokerOrderId(desk.venue.find("key-1").order_id), timeout_s=5)
    await desk.heard("canceled", client_order_id="key-1")


async def test_a_stream_that_vanishes_without_a_word_comes_back(desk: Desk) -> None:
    desk.arm(Fault(kind=FaultKind.DISCONNECT, event="new", code=0))
    await send(desk)
    await desk.until(lambda: sum(isinstance(each, StreamUp) for each in desk.said) == 2)


async def test_a_reader_that_left_may_come_back(deaf_desk: Desk) -> None:
    """A supervisor starts the listener anew: the new one hears from its own `StreamUp` on."""
    desk = deaf_desk
    first, second = desk.broker.updates(), desk.broker.updates()
    assert isinstance(await anext(first), StreamUp)
    await first.aclose()  # type: ignore[attr-defined]
    await send(desk)
    assert isinstance(await anext(second), StreamUp)
    await desk.broker.cancel(BrokerOrderId(desk.venue.find("key-1").order_id), timeout_s=5)
    async with asyncio.timeout(5):
        while not (isinstance(told := await anext(second), BrokerReport) and told.event == "canceled"):
            pass
    await second.aclose()  # type: ignore[attr-defined]


async def test_one_unreadable_frame_is_kept_and_the_stream_goes_on(desk: Desk) -> None:
    desk.arm(Fault(kind=FaultKind.UNREADABLE_FRAME, event="new"))
    await send(desk)
    desk.venue.fill("key-1", price=D("49.99"))
    desk.pump()
    await desk.heard("pending_new", "fill", client_order_id="key-1")
    (bad,) = [each for each in desk.said if isinstance(each, Unreadable)]
    assert bad.raw.startswith(b'{"stream":"trade_updates"')


async def test_unknown_words_are_kept_and_the_fill_that_follows_is_read(desk: Desk) -> None:
    desk.arm(Fault(kind=FaultKind.UNKNOWN_EVENT, event="pending_new", word="teleported"))
    desk.arm(Fault(kind=FaultKind.UNKNOWN_FRAME_STATUS, event="new", word="floating"))
    await send(desk)
    teleported, floating = await desk.heard("teleported", "new", client_order_id="key-1")
    assert teleported.kind is ReportKind.UPDATE
    assert teleported.view is not None
    assert teleported.view.phase is Phase.QUEUED
    assert floating.view is not None
    assert (floating.view.phase, floating.view.status) == (Phase.UNKNOWN, "floating")


async def test_repeated_frames_are_repeated_reports(desk: Desk) -> None:
    desk.arm(Fault(kind=FaultKind.DUPLICATE_FRAME, event="fill"))
    await send(desk, order("key-1", terms(quantity="1")))
    first, second = await desk.heard("fill", "fill", client_order_id="key-1")
    assert first.executions == second.executions


async def test_partial_fills_carry_their_running_total(desk: Desk) -> None:
    await send(desk, limit_order("key-1", "10", "50"))
    for quantity, price in (("3", "49.9"), ("3", "49.9"), ("4", "49.8")):
        desk.venue.fill("key-1", D(quantity), D(price))
    desk.pump()
    told = await desk.heard("partial_fill", "partial_fill", "fill", client_order_id="key-1")
    got = [(each.executions[0].quantity, each.executions[0].price, each.executions[0].cum_after) for each in told]
    assert got == [(3, D("49.9"), 3), (3, D("49.9"), 6), (4, D("49.8"), 10)]
    assert len({each.executions[0].execution_id for each in told}) == 3


async def test_busts_and_corrections_name_the_execution_they_undo(desk: Desk) -> None:
    await send(desk, limit_order("key-1", "10", "50"))
    desk.venue.fill("key-1", D(6), D("49.9"))
    desk.venue.fill("key-1", D(4), D("49.9"))
    desk.pump()
    first, second = (
        each.executions[0].execution_id or ""
        for each in await desk.heard("partial_fill", "fill", client_order_id="key-1")
    )
    desk.venue.correct(first, D(5), D("49.5"))
    desk.venue.bust(second)
    desk.pump()
    corrected, busted = await desk.heard("trade_correct", "trade_bust", client_order_id="key-1")
    assert (corrected.kind, corrected.previous_execution_id) == (ReportKind.CORRECT, first)
    (new,) = corrected.executions
    assert (new.quantity, new.price, new.execution_id not in {first, second, None}) == (5, D("49.5"), True)
    assert (busted.kind, busted.previous_execution_id) == (ReportKind.BUST, second)
    assert busted.view is not None
    assert busted.view.filled_quantity == 5


@pytest.mark.parametrize(
    ("kind", "report"),
    [
        (EventKind.ORDER_CANCEL_REJECTED, ReportKind.CANCEL_REJECTED),
        (EventKind.ORDER_REPLACE_REJECTED, ReportKind.REPLACE_REJECTED),
        (EventKind.RESTATED, ReportKind.UPDATE),
        (EventKind.SUSPENDED, ReportKind.UPDATE),
    ],
)
async def test_refused_changes_are_told_apart(desk: Desk, kind: EventKind, report: ReportKind) -> None:
    await send(desk)
    await desk.heard("new", client_order_id="key-1")
    desk.venue.mark("key-1", Status.NEW, kind)
    desk.pump()
    (told,) = await desk.heard(kind.value, client_order_id="key-1")
    assert told.kind is report
    assert told.view is not None
    assert told.view.phase is Phase.WORKING


async def test_an_order_made_elsewhere_is_reported_too(desk: Desk) -> None:
    desk.venue.set_quote("MSFT", D(400), D(401))
    account = desk.face.account_of("contract-key")
    desk.venue.submit(
        account,
        NewOrder(
            type=VenueType.MARKET,
            time_in_force=VenueTime.DAY,
            symbol="MSFT",
            side=VenueSide.BUY,
            quantity=D(2),
            client_order_id="by-hand",
        ),
    )
    desk.pump()
    (fill,) = await desk.heard("fill", client_order_id="by-hand")
    assert fill.view is not None
    assert (fill.view.symbol, fill.view.side, fill.executions[0].quantity) == ("MSFT", Side.BUY, 2)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_budget_keeps_a_429_away_and_cancels_free(kind: str) -> None:
    """Reads wait for the next minute long before the broker would refuse them; a cancel does not wait with them."""
    async with open_desk(kind, Options(requests_per_minute=30), requests_per_minute=200) as desk:
        answer = await send(desk)
        assert isinstance(answer, Acked)
        reads = [asyncio.create_task(desk.broker.clock()) for _ in range(40)]
        try:
            async with asyncio.timeout(5):
                await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
                taken = await desk.broker.cancel(answer.view.broker_order_id, timeout_s=2)
            assert not isinstance(taken, NotSent | Unknown | Refused)
            assert [each.status for each in desk.venue.ledger.received if each.status == 429] == []
            assert not all(task.done() for task in reads)
        finally:
            for task in reads:
                task.cancel()
            await asyncio.gather(*reads, return_exceptions=True)
