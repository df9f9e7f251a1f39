"""Exact decimals end to end: what a caller writes, what the venue executes and what everybody reads is one number.

The numbers go through everything there is: gRPC, core, journal, the broker's JSON both ways, the venue, events, lists.
"""

import asyncio
import random
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path

import pytest

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.canary import KEY_ID
from tests.e2e.audit import audit
from tests.e2e.harness import House, trading
from tests.reach import Reached, scaled

SMALLEST, LARGEST = Decimal("0.000000001"), Decimal("1000000000000")
EDGES = (SMALLEST, LARGEST, Decimal("999999999999.999999999"), Decimal("0.1"), Decimal("1.000000001"), Decimal(3))
WIDE = Context(prec=100, rounding=ROUND_HALF_EVEN)
AT_ONCE = 8


def some_number(chance: random.Random) -> Decimal:
    """From 1e-9 to 1e12, each size as likely as any other, with up to 9 places."""
    if chance.randrange(10) == 0:
        return chance.choice(EDGES)
    size = chance.randint(-9, 11)
    digits = Decimal(chance.randint(1, 10**9 - 1)).scaleb(size - 8)
    return min(max(digits.quantize(SMALLEST, context=WIDE), SMALLEST), LARGEST)


def plain(value: Decimal) -> str:
    """The one spelling: no exponent, no zeros at the end."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def average(parts: list[tuple[Decimal, Decimal]]) -> str:
    """Of quantities and prices, to the 18 places that the wire has."""
    total = sum((quantity for quantity, _ in parts), Decimal(0))
    paid = Decimal(0)
    for quantity, price in parts:
        paid = WIDE.add(paid, WIDE.multiply(quantity, price))
    return plain(WIDE.divide(paid, total).quantize(Decimal(1).scaleb(-18), context=WIDE))


async def trade(house: House, number: int, chance: random.Random) -> Mapping[str, str]:
    """One order of an odd quantity, executed in two parts at odd prices. Its numbers as they have to be read."""
    key = f"d-{number}"
    first, second, prices = some_number(chance), some_number(chance), [some_number(chance), some_number(chance)]
    quantity = first + second
    order = await house.steady_submit(client_order_id=key, quantity=plain(quantity))
    assert order.quantity == plain(quantity)
    order = await house.until(order.order_id, "ACCEPTED", "REJECTED")
    assert order.status == opb.ORDER_STATUS_ACCEPTED, order.status_reason
    await house.venue.fill(key, plain(first), plain(prices[0]))
    await house.venue.fill(key, plain(second), plain(prices[1]))
    filled = await house.until(order.order_id, "FILLED")
    parts = [(first, prices[0]), (second, prices[1])]
    expected = [(plain(quantity), plain(price)) for quantity, price in parts]
    assert [(fill.quantity, fill.price) for fill in house.tape.fills(order.order_id)] == expected
    assert (filled.filled_quantity, filled.leaves_quantity) == (plain(quantity), "0")
    assert filled.average_fill_price == average(parts)
    assert (await house.get(order.order_id)) == filled
    fills = await house.orders.ListFills(pb.ListFillsRequest(order_ids=[order.order_id]))
    assert [(fill.quantity, fill.price) for fill in fills.fills] == expected
    return {fill.fill_id: f"{fill.quantity} at {fill.price}" for fill in fills.fills}


@pytest.mark.scaled
async def test_numbers_from_a_billionth_to_a_million_millions(tmp_path: Path, reached: Reached) -> None:
    count = scaled(400, part=20)
    async with trading(tmp_path, accounts={"paper": {"parallel_submits": 16}}, is_started=False) as house:
        await house.venue.call("POST", f"accounts/{KEY_ID}/reset", {"cash": "1" + "0" * 28})
        await house.venue.settings(is_auto_fill=False)
        await house.start()
        told: dict[str, str] = {}
        for begin in range(0, count, AT_ONCE):
            numbers = range(begin, min(begin + AT_ONCE, count))
            for fills in await asyncio.gather(*(trade(house, n, random.Random(n)) for n in numbers)):
                told |= fills
        await audit(house)
        assert await house.terminate() == 0
        with closing(sqlite3.connect(house.database)) as reader:
            rows = reader.execute("SELECT fill_id, quantity || ' at ' || price, typeof(quantity) FROM fills").fetchall()
        assert {row[0]: row[1] for row in rows} == told
        assert {row[2] for row in rows} == {"text"}
        no_float_in(house.database)
    reached(
        "P17", "quantities and prices from 1e-9 to 1e12 through the whole path, read back to the last digit", count * 6
    )


def no_float_in(path: Path) -> None:
    """No column of the journal is declared to hold a float, and no cell holds one."""
    with closing(sqlite3.connect(path)) as reader:
        tables = [row[0] for row in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert "fills" in tables
        for table in tables:
            for column in reader.execute(f'PRAGMA table_info("{table}")').fetchall():
                assert column[2].upper() in {"INTEGER", "TEXT", "BLOB", "VARCHAR(32)"}, (table, column)
                kinds = reader.execute(f'SELECT DISTINCT typeof("{column[1]}") FROM "{table}"').fetchall()
                assert ("real",) not in kinds, (table, column[1])
