"""Every payload of the reference, read and compared: ids, quantities, prices, states, times."""

import json
from decimal import Decimal

import pytest

from orderd.brokers.alpaca import bodies, parse
from orderd.core.order import AssetClass, Order, OrderClass, OrderType, Side, TimeInForce
from orderd.core.values import BrokerOrderId
from tests.brokers import samples_errors, samples_figures, samples_stream
from tests.brokers.making import option_leg, order, terms
from tests.brokers.reference import ALPACA, sample, sections, shown
from tests.brokers.sample_checks import CHECKS, Check, checks

D = Decimal
ORDERS = sections("alpaca_orders.txt")
ENTRIES = sections("alpaca_207_entries.txt")
REGISTERED = (samples_errors, samples_figures, samples_stream)


def _orders(name: str) -> Check:
    def check(body: bytes) -> None:
        if body.lstrip().startswith(b"["):
            views = [view for view, raw in parse.orders(body) if json.loads(raw)["id"] == view.broker_order_id]
        else:
            views = [parse.order(body, asked_ns=7)]
            assert {views[0].asked_ns, *(leg.asked_ns for leg in views[0].legs)} == {7}
        assert "\n".join(shown(view) for view in views) == ORDERS[name]

    return check


def _entries(name: str) -> Check:
    def check(body: bytes) -> None:
        lines: list[str] = []
        for entry in parse.entries(body):
            said = f" {entry.code} {entry.message}" if entry.message else ""
            lines.append(f"{entry.name} {entry.status}{said}")
            if entry.order is not None:
                lines.append(shown(entry.order, "  "))
        assert "\n".join(lines) == ENTRIES[name]

    return check


CHECKS.update({name: _orders(name) for name in ORDERS} | {name: _entries(name) for name in ENTRIES})


DOCUMENTED_ORDERS: dict[str, Order] = {
    "Crypto": order(
        "k",
        terms(OrderType.LIMIT, "0.02", limit="2100", tif=TimeInForce.GTC),
        symbol="ETH/USD",
        asset_class=AssetClass.CRYPTO,
    ),
    "Equity": order("k", terms(OrderType.LIMIT, "2", limit="150", tif=TimeInForce.GTC)),
    "IPO": order("k", terms(OrderType.MARKET, None, notional="500", tif=TimeInForce.GTC), symbol="FI111225"),
    "MultilegOptions": order(
        "k",
        terms(OrderType.LIMIT, "3", limit="10"),
        symbol="",
        side=None,
        asset_class=AssetClass.US_OPTION,
        order_class=OrderClass.MULTILEG,
        legs=(option_leg("AAPL241213C00250000", Side.BUY, "3"), option_leg("AAPL241213C00260000", Side.SELL)),
    ),
    "Options": order(
        "k", terms(OrderType.LIMIT, "2", limit="10"), symbol="AAPL250620C00100000", asset_class=AssetClass.US_OPTION
    ),
}


@checks("request_post_orders_examples.json")
def _posts(body: bytes) -> None:
    """The documented requests are what the same orders make, but for the client order id that is always sent."""
    made = {name: json.loads(bodies.submit(asked)) for name, asked in DOCUMENTED_ORDERS.items()}
    assert {one.pop("client_order_id") for one in made.values()} == {"k"}
    assert made == json.loads(body)


@checks("request_patch_orders_examples.json")
def _patches(body: bytes) -> None:
    documented = json.loads(body)
    old = terms(OrderType.LIMIT, "2", limit="150")
    equity = bodies.replace(old, terms(OrderType.LIMIT, "4", limit="155", tif=TimeInForce.GTC), "r")
    option = bodies.replace(
        terms(OrderType.LIMIT, "2", limit="10", tif=TimeInForce.GTC), terms(OrderType.LIMIT, "2", limit="11.25"), "r"
    )
    assert json.loads(equity) == documented["Equity"] | {"client_order_id": "r"}
    assert json.loads(option) == documented["Options"] | {"client_order_id": "r"}
    assert documented["IPO"] == {"notional": "750"}  # a notional order is never replaced from here


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_the_payload_is_read_as_it_must_be(name: str) -> None:
    CHECKS[name](sample(name))


def test_no_payload_is_without_its_assertion() -> None:
    listed = set(json.loads(sample("index.json")))
    there = {path.name for path in ALPACA.glob("*.json")} - {"index.json"}
    assert listed == there == set(CHECKS)
    assert len(CHECKS) == 91


def test_a_leg_is_cancelled_by_its_own_id_though_the_answer_shows_its_parent() -> None:
    leg, *_ = parse.entries(sample("orders_cancel_all_207_complex.json"))
    assert leg.order is not None
    assert leg.name == leg.order.legs[0].broker_order_id
    assert leg.name != leg.order.broker_order_id
    assert leg.order.legs[0].parent_broker_order_id == BrokerOrderId("50719434-384b-4157-b736-2f783f7fe855")
