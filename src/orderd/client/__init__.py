"""The Python client: typed calls with deadlines, safe repeats, decoded errors, and a stream that survives restarts.

async with Client("127.0.0.1:50051") as orderd:
    answer = await orderd.submit(
        SubmitOrderRequest(symbol="AAPL", side=SIDE_BUY, quantity="1",
                           type=ORDER_TYPE_MARKET, time_in_force=TIME_IN_FORCE_DAY)
    )
    async for event in orderd.follow(after_sequence=answer.order.sequence):
        ...
"""

from orderd.client.calls import DEFAULT_ADDRESS
from orderd.client.client import Client, keyed
from orderd.client.desk import keyed_trade
from orderd.client.errors import FieldViolation, OrderdError
from orderd.client.follow import DeskFollower, Follower, GapError

__all__ = [
    "DEFAULT_ADDRESS",
    "Client",
    "DeskFollower",
    "FieldViolation",
    "Follower",
    "GapError",
    "OrderdError",
    "keyed",
    "keyed_trade",
]
