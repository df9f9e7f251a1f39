"""Submit one order and follow it to its end.

Start a server first (`make run`), then: .venv/bin/python examples/python/submit_and_follow.py AAPL 1

The order has a key of its own. Whatever happens to this program or to the server on the way, running the last line of
its output again, with the same key, never makes a second order.
"""

import asyncio
import sys
import uuid

from oms.v1 import order_pb2 as pb
from oms.v1.order_service_pb2 import StreamOrderEventsRequest, SubmitOrderRequest
from orderd.client import Client, OrderdError


async def buy(symbol: str, quantity: str, key: str) -> int:
    """Buy at the market, print every event, and return the exit code."""
    intent = SubmitOrderRequest(
        client_order_id=key,
        symbol=symbol,
        side=pb.SIDE_BUY,
        quantity=quantity,
        type=pb.ORDER_TYPE_MARKET,
        time_in_force=pb.TIME_IN_FORCE_DAY,
        strategy="example",
    )
    async with Client() as client:  # ORDERD_GRPC_ADDRESS, or 127.0.0.1:50051
        order = (await client.submit(intent)).order
        print(f"{order.order_id} is {pb.OrderStatus.Name(order.status)}")
        # From the first event on: 0 is the beginning of the journal, and the filter leaves this order.
        request = StreamOrderEventsRequest(order_ids=[order.order_id])
        async with client.follow(request, after_sequence=0) as events:
            async for event in events:
                status = pb.OrderStatus.Name(event.to_status)
                fill = f" {event.fill.quantity} at {event.fill.price}" if event.HasField("fill") else ""
                print(f"{event.sequence}: {pb.OrderEventType.Name(event.type)} -> {status}{fill}")
                if event.order.HasField("closed_time"):
                    return 0 if event.to_status == pb.ORDER_STATUS_FILLED else 4
    return 1


def main() -> int:
    """Read the command line."""
    symbol, quantity, *rest = sys.argv[1:] or ["AAPL", "1"]
    key = rest[0] if rest else str(uuid.uuid4())
    try:
        return asyncio.run(buy(symbol, quantity, key))
    except OrderdError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        print(f"again: {sys.executable} {sys.argv[0]} {symbol} {quantity} {key}")


if __name__ == "__main__":
    sys.exit(main())
