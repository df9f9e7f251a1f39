"""Page tokens: they lead on where the page ended, and only with the question they belong to."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_pb2 as pb
from oms.v1 import order_service_pb2 as service_pb
from orderd.wire import page_token
from orderd.wire.asks import INVALID_PAGE_TOKEN, Invalid
from orderd.wire.page_token import Listing, Position

keys = st.lists(st.integers(-(2**63), 2**63 - 1) | st.text(max_size=40), max_size=3).map(tuple)
JOURNAL = "journal-1"


def question(**changes: object) -> service_pb.ListOrdersRequest:
    request = service_pb.ListOrdersRequest(symbols=["AAPL", "MSFT"], open_only=True, page_size=10)
    request.MergeFrom(service_pb.ListOrdersRequest(**changes))  # type: ignore[arg-type]
    return request


def token_of(request: Listing, *, key: page_token.Key = (5, "id"), sequence: int = 9) -> str:
    return page_token.issue(request, journal_id=JOURNAL, key=key, sequence=sequence)


@given(keys, st.integers(0, 2**63 - 1))
def test_a_token_leads_back_to_its_position(key: page_token.Key, sequence: int) -> None:
    request = question()
    request.page_token = token_of(request, key=key, sequence=sequence)
    assert page_token.read(request, journal_id=JOURNAL) == Position(key=key, sequence=sequence)


def test_no_token_is_the_first_page() -> None:
    assert page_token.read(question(), journal_id=JOURNAL) is None


def test_the_page_size_may_change_between_pages() -> None:
    token = token_of(question())
    assert isinstance(page_token.read(question(page_token=token, page_size=99), journal_id=JOURNAL), Position)


def test_a_token_goes_on_from_a_page_that_had_one() -> None:
    second = question(page_token=token_of(question()))
    third = question(page_token=token_of(second, key=(4, "next")))
    assert page_token.read(third, journal_id=JOURNAL) == Position(key=(4, "next"), sequence=9)


@pytest.mark.parametrize(
    "changes",
    [
        {"symbols": ["TSLA"]},
        {"statuses": [pb.ORDER_STATUS_FILLED]},
        {"strategies": ["AAPL"]},
        {"external": False},
        {"expiry_date_from": "2025-01-17"},
        {"account_ids": ["paper"]},
    ],
)
def test_another_filter_is_refused(changes: dict[str, object]) -> None:
    other = question(page_token=token_of(question()), **changes)
    refused = page_token.read(other, journal_id=JOURNAL)
    assert isinstance(refused, Invalid)
    assert refused.reason == INVALID_PAGE_TOKEN
    assert [violation.field for violation in refused.violations] == ["page_token"]


def test_a_token_of_another_journal_is_refused() -> None:
    request = question(page_token=token_of(question()))
    assert isinstance(page_token.read(request, journal_id="journal-2"), Invalid)


@pytest.mark.parametrize(
    "other",
    [service_pb.ListFillsRequest(), service_pb.ListOrderEventsRequest(), broker_pb.ListBrokerOrdersRequest()],
)
def test_a_token_of_another_call_is_refused(other: Listing) -> None:
    other.page_token = token_of(service_pb.ListOrdersRequest())
    assert isinstance(page_token.read(other, journal_id=JOURNAL), Invalid)


@given(st.data())
def test_a_token_with_any_bit_changed_is_refused(data: st.DataObject) -> None:
    token = token_of(question())
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    changed = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert isinstance(page_token.read(question(page_token=changed), journal_id=JOURNAL), Invalid)


@given(st.text(min_size=1, max_size=100))
@pytest.mark.filterwarnings("error")
def test_garbage_is_refused(garbage: str) -> None:
    assert isinstance(page_token.read(question(page_token=garbage), journal_id=JOURNAL), Invalid)


@pytest.mark.parametrize("garbage", ["A", "====", "%%%", "\x00", "é", "A" * 100_000, "a b", "-_-_"])
def test_awkward_garbage_is_refused(garbage: str) -> None:
    assert isinstance(page_token.read(question(page_token=garbage), journal_id=JOURNAL), Invalid)


def test_a_token_with_a_position_of_another_shape_is_refused() -> None:
    # What an older or newer server may have issued: the digest is right, the position is not ours.
    odd = token_of(question(), key=(None,))  # type: ignore[arg-type]
    assert isinstance(page_token.read(question(page_token=odd), journal_id=JOURNAL), Invalid)


def test_a_token_with_a_position_that_is_no_text_is_refused() -> None:
    position = bytes.fromhex("9291a1ff05")  # [[b"\xff"], 5], which a right digest can be made for
    token = page_token._digest(question(), JOURNAL, position) + position
    odd = base64.urlsafe_b64encode(token).decode().rstrip("=")
    assert isinstance(page_token.read(question(page_token=odd), journal_id=JOURNAL), Invalid)
