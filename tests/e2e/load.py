"""Trading for whoever listens: buys and resting orders at the venue inside the server's process."""

import asyncio

import grpc

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.e2e.harness import House, submit_request

SYMBOLS = ("KO", "F", "OCGN")
"""Cheap ones: the account's money must do."""
SIMULATED = {"sim": {"broker": "simulated", "queue_limit": 100_000, "send_within_s": 3600}}
"""Whatever is taken is sent, however long the line is: the venue allows 10,000 requests a minute."""
ENDS = frozenset({opb.ORDER_STATUS_FILLED, opb.ORDER_STATUS_CANCELED, opb.ORDER_STATUS_REJECTED})


async def trade(house: House, orders: int, *, first: int = 0, resting: bool = False) -> None:
    """Buys and resting orders, a hundred a call; every tenth is cancelled, or with `resting` goes on resting."""
    for start in range(first, first + orders, 100):
        requests = [_request(n) for n in range(start, start + 100)]
        answer = await house.orders.BatchSubmitOrders(pb.BatchSubmitOrdersRequest(requests=requests))
        ids = [result.response.order.order_id for result in answer.results]
        if not resting:
            await asyncio.gather(*(_cancel(house, order_id) for order_id in ids[5::10]))


def _request(number: int) -> pb.SubmitOrderRequest:
    resting = {"limit_price": "0.5"} if number % 10 == 5 else {}
    return submit_request(client_order_id=f"s-{number}", symbol=SYMBOLS[number % len(SYMBOLS)], quantity="1", **resting)


async def _cancel(house: House, order_id: str) -> None:
    try:
        await house.orders.CancelOrder(pb.CancelOrderRequest(order_id=order_id, wait=pb.SUBMIT_WAIT_JOURNAL))
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise


async def ended(house: House, orders: int) -> None:
    """Wait until every order has come to its end: a tenth of a second for each, and two minutes at least."""
    left: list[str] = []

    def is_over() -> bool:
        """Each order is looked at once when it is over: this is asked after every event."""
        told = house.tape.orders
        if len(told) != orders:
            return False
        left.extend(told if not left else ())
        while left and told[left[-1]].status in ENDS:
            left.pop()
        return not left

    await house.tape.until(is_over, within_s=max(120, orders / 10))
