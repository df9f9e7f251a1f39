"""One buy and one sell, from the request to the last decimal, through alpaca-py and the venue's own sockets."""

from pathlib import Path

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.e2e.audit import audit
from tests.e2e.books import Books, totals
from tests.e2e.harness import trading

CARRIED = {
    "trace_id": "trace-1",
    "decision_id": "decision-1",
    "strategy": "momentum",
    "tags": {"model": "m-7", "run": "42"},
}


async def test_a_buy_and_a_sell(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        await house.venue.settings(is_auto_fill=False)
        bought = await house.submit(client_order_id="buy-1", quantity="10", **CARRIED)
        assert bought.broker_order_id
        assert bought.broker_order_id == (await house.venue.order("buy-1"))["order_id"]
        await house.until(bought.order_id, "ACCEPTED")
        for quantity, price in (("3", "86.01"), ("4", "86.0233"), ("3", "86.1")):
            await house.venue.fill("buy-1", quantity, price)
        order = await house.until(bought.order_id, "FILLED")
        quantity, average = totals(Books(await house.venue.ledger()).executions_of(bought.broker_order_id))
        assert (order.filled_quantity, order.leaves_quantity) == (str(quantity), "0")
        assert order.average_fill_price == str(average).rstrip("0")

        sold = await house.submit(client_order_id="sell-1", side=opb.SIDE_SELL, quantity="10", **CARRIED)
        await house.until(sold.order_id, "ACCEPTED")
        await house.venue.fill("sell-1", "6", "86.2")
        await house.venue.fill("sell-1", "4", "86.15")
        await house.until(sold.order_id, "FILLED")

        for event in house.tape.events:
            assert (event.trace_id, event.order.trace_id) == ("trace-1", "trace-1")
            assert (event.order.decision_id, event.order.strategy) == ("decision-1", "momentum")
            assert dict(event.order.tags) == CARRIED["tags"]
        fills = (await house.orders.ListFills(pb.ListFillsRequest())).fills
        assert [(fill.quantity, fill.price) for fill in fills] == [
            ("3", "86.01"),
            ("4", "86.0233"),
            ("3", "86.1"),
            ("6", "86.2"),
            ("4", "86.15"),
        ]
        for fill in fills:
            assert (fill.trace_id, fill.decision_id, fill.strategy) == ("trace-1", "decision-1", "momentum")
            assert fill.source == opb.EVENT_SOURCE_BROKER_STREAM
        story = ["CREATED", "SUBMITTED", "ACKNOWLEDGED", "ACCEPTED", "FILL", "FILL", "FILL"]
        assert house.tape.types(bought.order_id) == story
        await audit(house)
        assert house.tape.types(bought.order_id) == story, "comparing with the broker is no news"
