"""GetOrder, ListOrders, ListFills, ListOrderEvents: stored bytes, pages, and tokens that belong to their filter."""

import grpc
import pytest

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from orderd.core.order import Order
from orderd.ports import Append, RawPayload
from tests.server.conftest import House, refused
from tests.server.stand_in import CLOCK, filled


async def work(house: House, order: opb.Order, broker_order_id: str) -> Order:
    """Send the order, accept it, and fill four of its ten."""
    await house.engine.work(order.order_id, broker_order_id)
    return await house.engine.take(
        order.order_id,
        filled(broker_order_id, "1", "1", f"{broker_order_id}-e1"),
        filled(broker_order_id, "3", "4", f"{broker_order_id}-e2"),
    )


# --------------------------------------------------------------------------------------------------------------- get


async def test_an_order_by_each_of_its_names(house: House) -> None:
    (order,) = await house.add(1)
    await work(house, order, "b-1")
    by_id = await house.orders.GetOrder(pb.GetOrderRequest(order_id=order.order_id))
    by_key = await house.orders.GetOrder(pb.GetOrderRequest(client_order_id=order.client_order_id))
    by_broker = await house.orders.GetOrder(pb.GetOrderRequest(broker_order_id="b-1", account_id="paper"))
    assert by_id == by_key == by_broker
    assert by_id.order.status == opb.ORDER_STATUS_PARTIALLY_FILLED
    assert [fill.quantity for fill in by_id.fills] == ["1", "3"]
    assert by_id.order.filled_quantity == "4"
    assert not by_id.HasField("decision")
    assert by_id.broker_snapshot_json == ""


async def test_the_bytes_are_those_of_the_journal(house: House) -> None:
    (order,) = await house.add(1, tags={"b": "2", "a": "1"})
    raw = await house.channel.unary_unary("/oms.v1.OrderService/GetOrder")(
        pb.GetOrderRequest(order_id=order.order_id).SerializeToString()
    )
    stored = house.engine.journal.order_data(order.order_id)
    assert stored is not None
    assert stored in raw
    assert pb.GetOrderResponse.FromString(raw).order == order


async def test_the_whole_story_behind_an_order(house: House) -> None:
    (order,) = await house.add(1, decision_id="d-1", trace_id="t-1", strategy="s-1")
    await work(house, order, "b-1")
    body = b'{"id": "b-1", "qty": "10.000"}'
    payload = RawPayload(account_id="paper", broker_order_id="b-1", kind="read", body=body, recorded_time=CLOCK.now())
    await house.engine.journal.append([Append(steps=(), raw=(payload,))])
    answer = await house.orders.GetOrder(pb.GetOrderRequest(order_id=order.order_id, full=True))
    assert answer.broker_snapshot_json == body.decode()
    assert answer.decision == opb.Decision(decision_id="d-1", account_id="paper", trace_id="t-1", strategy="s-1")


async def test_names_that_lead_nowhere(house: House) -> None:
    for name in ({"order_id": "no"}, {"client_order_id": "no"}, {"broker_order_id": "no"}):
        error = await refused(house.orders.GetOrder(pb.GetOrderRequest(**name)))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
        assert error.resource == ("orderd.Order", "no")


async def test_no_name_at_all(house: House) -> None:
    error = await refused(house.orders.GetOrder(pb.GetOrderRequest()))
    assert (error.code, error.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["order_id"])
    error = await refused(house.orders.GetOrder(pb.GetOrderRequest(client_order_id="", account_id="x" * 129)))
    assert sorted(error.fields) == ["account_id", "client_order_id"]


async def test_an_order_is_seen_in_its_own_account_only(two_accounts: House) -> None:
    (order,) = await two_accounts.add(1, account_id="paper")
    get = two_accounts.orders.GetOrder
    assert (await get(pb.GetOrderRequest(order_id=order.order_id))).order == order
    assert (await get(pb.GetOrderRequest(order_id=order.order_id, account_id="paper"))).order == order
    for name in ({"order_id": order.order_id}, {"client_order_id": order.client_order_id}):
        error = await refused(get(pb.GetOrderRequest(account_id="other", **name)))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
    error = await refused(get(pb.GetOrderRequest(order_id=order.order_id, account_id="nobody")))
    assert error.reason == "ACCOUNT_NOT_FOUND"
    error = await refused(get(pb.GetOrderRequest(broker_order_id="b")))
    assert (error.reason, error.fields) == ("ACCOUNT_REQUIRED", ["account_id"])


# -------------------------------------------------------------------------------------------------------------- list


async def pages(house: House, **fields: object) -> list[pb.ListOrdersResponse]:
    """Every page of a list of orders."""
    found = [await house.orders.ListOrders(pb.ListOrdersRequest(**fields))]
    while found[-1].next_page_token:
        fields["page_token"] = found[-1].next_page_token
        found.append(await house.orders.ListOrders(pb.ListOrdersRequest(**fields)))
    return found


async def test_pages_hold_every_order_once_newest_first(house: House) -> None:
    orders = await house.add(7)
    found = await pages(house, page_size=3)
    assert [len(page.orders) for page in found] == [3, 3, 1]
    listed = [order.order_id for page in found for order in page.orders]
    assert sorted(listed) == sorted(order.order_id for order in orders)
    keys = [(order.created_time.ToMicroseconds(), order.order_id) for page in found for order in page.orders]
    assert keys == sorted(keys, reverse=True)


async def test_the_sequence_of_a_list_is_its_first_pages_head(house: House) -> None:
    await house.add(3)
    first = await house.orders.ListOrders(pb.ListOrdersRequest(page_size=2))
    await house.add(2)
    second = await house.orders.ListOrders(pb.ListOrdersRequest(page_size=2, page_token=first.next_page_token))
    assert (first.sequence, second.sequence) == (3, 3)
    assert (await house.orders.ListOrders(pb.ListOrdersRequest())).sequence == 5


async def test_an_empty_list(house: House) -> None:
    answer = await house.orders.ListOrders(pb.ListOrdersRequest())
    assert (len(answer.orders), answer.next_page_token, answer.sequence) == (0, "", 0)


async def test_filters_narrow_a_list(house: House) -> None:
    (wanted,) = await house.add(1, symbol="MSFT", trace_id="t", strategy="s", decision_id="d")
    await house.add(2)
    for where in (
        {"symbols": ["MSFT", "TSLA"]},
        {"trace_ids": ["t"]},
        {"strategies": ["s"]},
        {"decision_ids": ["d"], "sides": [opb.SIDE_BUY]},
        {"symbols": ["MSFT"], "statuses": [opb.ORDER_STATUS_CREATED], "open_only": True},
    ):
        answer = await house.orders.ListOrders(pb.ListOrdersRequest(**where))
        assert [order.order_id for order in answer.orders] == [wanted.order_id], where
    none = await house.orders.ListOrders(pb.ListOrdersRequest(symbols=["MSFT"], trace_ids=["u"]))
    assert not none.orders


async def test_a_page_has_fifty_orders_and_never_more_than_a_thousand(house: House) -> None:
    for _ in range(3):
        await house.add(350)
    assert len((await house.orders.ListOrders(pb.ListOrdersRequest())).orders) == 50
    first = await house.orders.ListOrders(pb.ListOrdersRequest(page_size=100_000))
    # A thousand, or fewer when they pass a mebibyte.
    assert 500 < len(first.orders) <= 1000
    assert first.next_page_token
    assert sum(len(page.orders) for page in await pages(house, page_size=100_000)) == 1050


async def test_a_page_ends_at_a_mebibyte(house: House) -> None:
    tags = {f"k{n}": "v" * 256 for n in range(32)}
    for _ in range(2):
        await house.add(100, tags=tags)
    found = await pages(house, page_size=1000)
    assert len(found) > 1
    assert all(page.ByteSize() <= 1_048_576 + 100_000 for page in found)
    assert len({order.order_id for page in found for order in page.orders}) == 200


@pytest.mark.parametrize(
    ("where", "fields"),
    [
        ({"page_size": -1}, ["page_size"]),
        ({"statuses": [99], "symbols": [""]}, ["statuses[0]", "symbols[0]"]),
        ({"expiry_date_from": "2026-02-30"}, ["expiry_date_from"]),
        ({"trace_ids": ["x" * 129]}, ["trace_ids[0]"]),
    ],
)
async def test_bad_filters(house: House, where: dict[str, object], fields: list[str]) -> None:
    error = await refused(house.orders.ListOrders(pb.ListOrdersRequest(**where)))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    assert sorted(error.fields) == fields


async def test_a_filter_by_an_account_that_is_not_there(house: House) -> None:
    for call in (
        house.orders.ListOrders(pb.ListOrdersRequest(account_ids=["paper", "nobody"])),
        house.orders.ListFills(pb.ListFillsRequest(account_ids=["nobody"])),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
        assert error.resource == ("orderd.Account", "nobody")


async def test_a_token_belongs_to_its_filter(house: House) -> None:
    await house.add(3)
    token = (await house.orders.ListOrders(pb.ListOrdersRequest(page_size=1))).next_page_token
    for request in (
        pb.ListOrdersRequest(page_token=token, symbols=["AAPL"]),
        pb.ListOrdersRequest(page_token=token[:-2]),
        pb.ListOrdersRequest(page_token="made up"),
    ):
        error = await refused(house.orders.ListOrders(request))
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
        assert error.fields == ["page_token"]
    error = await refused(house.orders.ListFills(pb.ListFillsRequest(page_token=token)))
    assert error.reason == "INVALID_PAGE_TOKEN"
    bigger = await house.orders.ListOrders(pb.ListOrdersRequest(page_token=token, page_size=2))
    assert len(bigger.orders) == 2


# ------------------------------------------------------------------------------------------------------------- fills


async def test_fills_are_listed_oldest_first(house: House) -> None:
    first, second = await house.add(2)
    await work(house, first, "b-1")
    await work(house, second, "b-2")
    answer = await house.orders.ListFills(pb.ListFillsRequest())
    assert [fill.execution_id for fill in answer.fills] == ["b-1-e1", "b-1-e2", "b-2-e1", "b-2-e2"]
    one = await house.orders.ListFills(pb.ListFillsRequest(order_ids=[second.order_id]))
    assert [fill.execution_id for fill in one.fills] == ["b-2-e1", "b-2-e2"]
    none = await house.orders.ListFills(pb.ListFillsRequest(symbols=["MSFT"]))
    assert not none.fills


async def test_fills_of_several_orders_page_in_one_order(house: House) -> None:
    orders = await house.add(3)
    for number, order in enumerate(orders):
        await work(house, order, f"b-{number}")
    wanted = [orders[2].order_id, orders[0].order_id]
    request = pb.ListFillsRequest(order_ids=wanted, page_size=3)
    first = await house.orders.ListFills(request)
    request.page_token = first.next_page_token
    second = await house.orders.ListFills(request)
    assert [fill.execution_id for fill in first.fills] == ["b-0-e1", "b-0-e2", "b-2-e1"]
    assert [fill.execution_id for fill in second.fills] == ["b-2-e2"]
    assert second.next_page_token == ""


async def test_bad_fill_filters(house: House) -> None:
    request = pb.ListFillsRequest(page_size=-5, order_ids=["x" * 129])
    request.after_time.seconds, request.before_time.seconds = 20, 10
    error = await refused(house.orders.ListFills(request))
    assert sorted(error.fields) == ["before_time", "order_ids[0]", "page_size"]


# ------------------------------------------------------------------------------------------------------------- story


async def test_an_orders_story_in_the_bytes_of_the_stream(house: House) -> None:
    (order,) = await house.add(1)
    last = await work(house, order, "b-1")
    story: list[opb.OrderEvent] = []
    request = pb.ListOrderEventsRequest(order_id=order.order_id, page_size=2)
    while True:
        page = await house.orders.ListOrderEvents(request)
        story += page.events
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert [event.version for event in story] == list(range(1, last.version + 1))
    stream = house.stream(after_sequence=0)
    assert await stream.until(last.version) == story


async def test_a_story_whose_beginning_was_let_go_says_so(house: House) -> None:
    over, still_open = await house.add(2)
    await work(house, over, "b-1")
    ended = await house.engine.take(over.order_id, filled("b-1", "6", "10", "b-1-e3"))
    await house.compact()
    late = await house.engine.take(over.order_id, filled("b-1", "1", "11", "late"))
    told = await house.orders.ListOrderEvents(pb.ListOrderEventsRequest(order_id=over.order_id))
    assert told.compacted_versions == ended.version
    assert [event.version for event in told.events] == list(range(ended.version + 1, late.version + 1))
    whole = await house.orders.ListOrderEvents(pb.ListOrderEventsRequest(order_id=still_open.order_id))
    assert (whole.compacted_versions, len(whole.events)) == (0, 1)


async def test_a_story_that_was_let_go_leaves_the_order_and_its_fills(house: House) -> None:
    (order,) = await house.add(1)
    await work(house, order, "b-1")
    ended = await house.engine.take(order.order_id, filled("b-1", "6", "10", "b-1-e3"))
    await house.compact()
    told = await house.orders.ListOrderEvents(pb.ListOrderEventsRequest(order_id=order.order_id, page_size=1))
    assert (told.compacted_versions, list(told.events), told.next_page_token) == (ended.version, [], "")
    answer = await house.orders.GetOrder(pb.GetOrderRequest(order_id=order.order_id))
    assert answer.order.version == ended.version
    assert len(answer.fills) == 3


async def test_whose_story(house: House) -> None:
    error = await refused(house.orders.ListOrderEvents(pb.ListOrderEventsRequest(page_size=-1)))
    assert sorted(error.fields) == ["order_id", "page_size"]
    error = await refused(house.orders.ListOrderEvents(pb.ListOrderEventsRequest(order_id="nobody")))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
