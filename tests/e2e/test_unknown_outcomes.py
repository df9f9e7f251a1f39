"""Silence proves nothing: however the answer to a submit goes wrong, it ends in the truth and in one order."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.audit import audit
from tests.e2e.harness import House, state_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 1.0
"""What the account of the shared house waits for an answer, and its settle time."""
SETTLE_S = 1.0
KNOWN_WITHIN_S = 1.0
"""How soon after the cut, the bad answer or the timeout an order is UNKNOWN (promise P4)."""
VERDICT_WITHIN_S = SETTLE_S + 10.0
"""How soon there is a verdict (promise P4)."""
BY_CLIENT_ID = "/v2/orders:by_client_order_id"


def seconds_between(house: House, order_id: str, start: str, end: str) -> float:
    """From the first event of one type to the first one of another, by the journal's own times."""
    kinds = house.tape.types(order_id)
    story = house.tape.of(order_id)
    a, b = (story[kinds.index(kind)].recorded_time.ToNanoseconds() for kind in (start, end))
    return (b - a) / 1e9


TAKEN_UNHEARD: Mapping[str, dict[str, Any]] = {
    "lost": {"kind": "lose_answer"},
    "cut-at-byte-1": {"kind": "cut_answer", "at_byte": 1},
    "cut-in-the-head": {"kind": "cut_answer", "at_byte": 40},
    "cut-in-the-body": {"kind": "cut_answer", "at_byte": 500},
    "500": {"kind": "answer_status", "status": 500},
    "502-html": {"kind": "answer_status", "status": 502, "body": "html"},
    "504-empty": {"kind": "answer_status", "status": 504, "body": "empty"},
    "200-html": {"kind": "answer_status", "status": 200, "body": "html"},
    "200-empty": {"kind": "answer_status", "status": 200, "body": "empty"},
    "429-html-from-something-on-the-way": {"kind": "answer_status", "status": 429, "body": "html"},
    "403-html": {"kind": "answer_status", "status": 403, "body": "html"},
    "echo-with-another-quantity": {"kind": "lie", "fields": {"qty": "7"}},
    "echo-with-another-symbol": {"kind": "lie", "fields": {"symbol": "AAPL"}},
    "echo-with-another-side": {"kind": "lie", "fields": {"side": "sell"}},
    "echo-with-another-client-id": {"kind": "lie", "fields": {"client_order_id": "somebody-else"}},
}


async def taken_unheard(house: House, name: str, fault: Mapping[str, Any]) -> tuple[str, str, bool, int, int]:
    """One order whose answer goes wrong after it was taken; no frame tells of it before the lookup could."""
    await house.venue.arm("delay_frame", order=name, delay_ms=2000, times=0)
    await house.venue.arm(method="POST", path="/v2/orders", order=name, **fault)
    answered = await house.submit(client_order_id=name)
    order = await house.until(answered.order_id, "FILLED", within_s=VERDICT_WITHIN_S)
    waited_s = seconds_between(house, order.order_id, "SUBMITTED", "OUTCOME_UNKNOWN")
    rows = await house.venue.orders(name)
    assert order.broker_order_id == rows[0]["order_id"]
    posts = await house.venue.posts(name)
    return state_of(answered), state_of(order), waited_s < KNOWN_WITHIN_S, len(rows), len(posts)


async def test_an_order_that_was_taken_unheard_is_unknown_and_then_adopted(house: House) -> None:
    stories = await asyncio.gather(*(taken_unheard(house, name, fault) for name, fault in TAKEN_UNHEARD.items()))
    # The caller is told that the outcome is not known; it is looked up, not sent again.
    assert dict(zip(TAKEN_UNHEARD, stories, strict=True)) == dict.fromkeys(
        TAKEN_UNHEARD, ("UNKNOWN", "FILLED", True, 1, 1)
    )
    await audit(house)


NEVER_TAKEN: Mapping[str, dict[str, Any]] = {
    "request-lost": {"kind": "lose_request"},
    "500-before": {"kind": "answer_status", "status": 500, "is_accepted": False},
    "502-html-before": {"kind": "answer_status", "status": 502, "body": "html", "is_accepted": False},
    "504-empty-before": {"kind": "answer_status", "status": 504, "body": "empty", "is_accepted": False},
}


async def never_taken(house: House, name: str, fault: Mapping[str, Any]) -> tuple[str, list[str], list[str]]:
    await house.venue.arm(method="POST", path="/v2/orders", order=name, **fault)
    answered = await house.submit(client_order_id=name)
    order = await house.until(answered.order_id, "FILLED", within_s=VERDICT_WITHIN_S)
    assert seconds_between(house, order.order_id, "SUBMITTED", "OUTCOME_UNKNOWN") < KNOWN_WITHIN_S
    assert seconds_between(house, order.order_id, "OUTCOME_UNKNOWN", "ACKNOWLEDGED") >= SETTLE_S
    verdicts = [row["verdict"] for row in await house.venue.posts(name)]
    return state_of(answered), house.tape.types(order.order_id)[:5], verdicts[1:]


async def test_an_order_that_never_arrived_is_sent_again_after_proof_with_the_same_id(house: House) -> None:
    stories = await asyncio.gather(*(never_taken(house, name, fault) for name, fault in NEVER_TAKEN.items()))
    story = ["CREATED", "SUBMITTED", "OUTCOME_UNKNOWN", "SUBMITTED", "ACKNOWLEDGED"]
    assert dict(zip(NEVER_TAKEN, stories, strict=True)) == dict.fromkeys(NEVER_TAKEN, ("UNKNOWN", story, ["accepted"]))
    await audit(house)


async def test_an_answer_that_is_held_too_long_is_unknown_at_the_timeout(house: House) -> None:
    await house.venue.arm("delay_frame", order="held", delay_ms=3000, times=0)
    await house.venue.arm("hold_answer", method="POST", order="held", barrier="held")
    answered = await house.submit(client_order_id="held")
    assert state_of(answered) == "UNKNOWN"
    order = await house.until(answered.order_id, "FILLED", within_s=VERDICT_WITHIN_S)
    waited_s = seconds_between(house, order.order_id, "SUBMITTED", "OUTCOME_UNKNOWN")
    assert TIMEOUT_S - 0.1 <= waited_s < TIMEOUT_S + KNOWN_WITHIN_S
    await house.venue.release("held")
    assert len(await house.venue.posts("held")) == 1
    await audit(house)


@pytest.mark.parametrize("status", [0, 503], ids=["silence", "503-at-once"])
async def test_a_request_that_lands_late_but_within_the_settle_time_is_found(house: House, status: int) -> None:
    name = f"late-{status}"
    landing_ms = 700 + (1000 if status == 0 else 0)
    await house.venue.arm("land_late", method="POST", order=name, status=status, delay_ms=landing_ms)
    answered = await house.submit(client_order_id=name)
    assert state_of(answered) == "UNKNOWN"
    await house.until(answered.order_id, "FILLED")
    assert len(await house.venue.orders(name)) == 1
    assert [row["verdict"] for row in await house.venue.posts(name)] == ["late", "accepted"]
    await audit(house)


async def test_a_request_that_lands_after_the_resend_is_refused_by_the_broker(house: House) -> None:
    await house.venue.arm("land_late", method="POST", order="very-late", barrier="very-late")
    order = await house.submit(client_order_id="very-late")
    await house.until(order.order_id, "FILLED", within_s=VERDICT_WITHIN_S)
    await house.venue.release("very-late")
    posts = await house.venue.until(lambda: house.venue.posts("very-late"), lambda rows: len(rows) == 3)
    assert [row["verdict"] for row in posts] == ["late", "accepted", "refused"]
    assert len(await house.venue.orders("very-late")) == 1
    await audit(house)


async def test_a_resend_that_is_refused_as_a_duplicate_adopts_the_first_send(house: House) -> None:
    """The landing overtakes the resend on its way: "duplicate id" then means that the first send worked."""
    name = "overtaken"
    await house.venue.arm("delay_frame", order=name, barrier="told", times=0)
    await house.venue.arm("land_late", method="POST", order=name, barrier="landing")
    await house.venue.arm("land_late", method="POST", order=name, barrier="landing", status=0)
    order = await house.submit(client_order_id=name)
    # Both sends wait at one gate: the first lands first, the second one is then the duplicate.
    await house.venue.until(lambda: house.venue.posts(name), lambda rows: len(rows) == 2)
    await house.venue.release("landing")
    await house.until_order(order.order_id, broker_order_id=(await house.venue.order(name))["order_id"])
    await house.venue.release("told")
    await house.until(order.order_id, "FILLED")
    verdicts = sorted(row["verdict"] for row in await house.venue.posts(name))
    assert verdicts == ["accepted", "late", "late", "refused"]
    await audit(house)


async def test_the_brokers_own_429_is_not_a_send(house: House) -> None:
    await house.venue.arm("answer_status", method="POST", order="limited", status=429, is_accepted=False, times=1)
    answered = await house.submit(client_order_id="limited")
    order = await house.until(answered.order_id, "FILLED")
    assert "OUTCOME_UNKNOWN" not in house.tape.types(order.order_id)
    assert "NOT_SENT" in {event.reason.code for event in house.tape.of(order.order_id)}
    assert len(await house.venue.posts("limited")) == 2
    await audit(house)


async def test_a_429_that_lies_ends_in_one_order(house: House) -> None:
    await house.venue.arm("delay_frame", order="lying", barrier="lying", times=0)
    await house.venue.arm("answer_status", method="POST", order="lying", status=429)
    answered = await house.submit(client_order_id="lying")
    broker_order_id = (await house.venue.order("lying"))["order_id"]
    await house.until_order(answered.order_id, broker_order_id=broker_order_id)
    assert [row["verdict"] for row in await house.venue.posts("lying")] == ["accepted", "refused"]
    await house.venue.release("lying")
    await house.until(answered.order_id, "FILLED")
    await audit(house)


async def test_a_definite_refusal_is_a_rejection_with_the_brokers_words_and_stays_one(house: House) -> None:
    for _ in range(2):
        order = await house.submit(client_order_id="too-much", quantity="100000000")
        assert state_of(order) == "REJECTED"
        assert "buying power" in order.status_reason.message
    assert len(await house.venue.posts("too-much")) == 1
    await audit(house)


async def test_a_cancel_of_an_unknown_order_is_remembered_and_sent_when_it_is_found(house: House) -> None:
    await house.venue.settings(is_auto_fill=False)
    await house.venue.arm("drop_frame", order="regretted", times=2)
    await house.venue.arm("lose_answer", method="POST", order="regretted")
    await house.venue.arm("lose_request", method="GET", path=BY_CLIENT_ID, order="regretted", times=3)
    order = await house.submit(client_order_id="regretted")
    assert state_of(order) == "UNKNOWN"
    asked = await house.cancel(order.order_id, reason="changed my mind")
    assert asked.pending_cancel or state_of(asked) == "CANCELED"
    await house.until(order.order_id, "CANCELED")
    assert (await house.venue.order("regretted"))["status"] == "canceled"
    await audit(house)


async def test_a_cancelled_order_that_never_arrived_is_not_sent_again(house: House) -> None:
    await house.venue.arm("lose_request", method="POST", order="dropped")
    order = await house.submit(client_order_id="dropped")
    await house.cancel(order.order_id)
    await house.until(order.order_id, "CANCELED")
    assert len(await house.venue.posts("dropped")) == 1
    assert await house.venue.orders("dropped") == []
    await audit(house)


async def test_while_nothing_can_be_proven_it_stays_unknown(house: House) -> None:
    await house.venue.arm("lose_request", method="GET", path="/v2/orders", times=0)
    await house.venue.arm("lose_request", method="POST", order="unproven")
    order = await house.submit(client_order_id="unproven")
    with pytest.raises(TimeoutError):
        await house.until(order.order_id, "FILLED", "SUBMIT_FAILED", "SUBMITTED", within_s=SETTLE_S + 2)
    assert (await house.account()).unknown_order_count == 1
    await house.venue.calm()
    await house.until(order.order_id, "FILLED")
    await audit(house)


async def test_an_echo_with_another_type_or_price_is_restated(house: House) -> None:
    await house.venue.settings(is_auto_fill=False)
    await house.venue.arm("lie", method="POST", order="repriced", fields={"limit_price": "50.10"})
    await house.venue.arm("drop_frame", order="repriced", times=0)
    order = await house.submit(client_order_id="repriced", limit_price="50")
    assert state_of(order) in {"SUBMITTED", "ACCEPTED"}
    assert order.limit_price == "50.1"
    kinds = house.tape.types(order.order_id)
    assert "OUTCOME_UNKNOWN" not in kinds
    await house.venue.calm()
    await house.cancel(order.order_id)
    await house.until(order.order_id, "CANCELED")
