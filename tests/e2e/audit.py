"""At rest, orderd's record is compared with the venue's own ledger: never with itself."""

from oms.v1 import broker_service_pb2 as bpb
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.e2e.books import Books
from tests.e2e.harness import House
from tests.e2e.raw import journal_bytes
from tests.storage.integrity import sound

MOST_TURNS = 6
"""Of a reconciliation that waits for the broker's budget, each 10 s long."""


async def audit(house: House, *, discrepancies: int = 0, is_simple: bool = True) -> None:
    """Reconcile twice (the second time finds nothing to do), then compare every order with the venue.

    `is_simple`: every client id was to become one broker order.
    """
    for account_id in house.account_ids:
        await _reconciled(house, account_id)
    books = Books(await house.venue.ledger())
    differing: list[str] = []
    for order in await every_order(house):
        if order.order_id not in house.left_alone:
            answer = await house.orders.GetOrder(pb.GetOrderRequest(order_id=order.order_id))
            differing += books.disagreements(order, answer.fills)
    assert not differing
    assert not is_simple or not books.doubles()
    assert not books.unrecorded(house.venue.made_by_hand)
    found = await open_discrepancies(house) - house.known_discrepancies
    assert found == discrepancies, house.server.said()
    await _told_what_is_kept(house)


async def open_discrepancies(house: House) -> int:
    """Of all accounts."""
    return sum([(await house.account(account_id)).open_discrepancy_count for account_id in house.account_ids])


async def _reconciled(house: House, account_id: str) -> None:
    first = await house.reconcile(account_id)
    for _ in range(MOST_TURNS):  # reads go last: after a burst one may not get its turn in time, and says so
        if first.stage == bpb.RECONCILE_STAGE_DONE or "waiting for its turn" not in first.message:
            break
        first = await house.reconcile(account_id)
    assert first.stage == bpb.RECONCILE_STAGE_DONE, first
    again = await house.reconcile(account_id)
    assert (again.changed_order_count, again.imported_order_count) == (0, 0), "a second run found something to do"


async def every_order(house: House) -> list[opb.Order]:
    """ListOrders, all pages."""
    orders: list[opb.Order] = []
    token = ""
    while True:
        page = await house.orders.ListOrders(pb.ListOrdersRequest(page_size=1000, page_token=token))
        orders += page.orders
        token = page.next_page_token
        if not token:
            return orders


async def _told_what_is_kept(house: House) -> None:
    """What the subscriber heard is what the journal keeps, byte for byte."""
    kept = journal_bytes(house.database)
    await house.tape.until(lambda: len(house.tape.bytes) >= len(kept))
    assert house.tape.bytes == kept
    sound(house.database)
