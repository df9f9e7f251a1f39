"""The face's objects have exactly the keys and JSON types that the broker was recorded to send."""

from typing import Any

import pytest

from tests.venue.desk import Counter, sample

STREAM_ONLY = {"cancel_requested_at"}
REST_ONLY = {"source", "subtag"}


def keys(value: dict[str, Any]) -> set[str]:
    return set(value)


def alike(ours: object, theirs: object) -> bool:
    """Same JSON type; null agrees with anything, as prices and times come and go."""
    return ours is None or theirs is None or type(ours) is type(theirs)


def compare(ours: dict[str, Any], theirs: dict[str, Any], *, missing: frozenset[str] = frozenset()) -> None:
    assert keys(ours) - missing == keys(theirs) - missing
    for name in keys(theirs) - missing:
        assert alike(ours[name], theirs[name]), (name, ours[name], theirs[name])


@pytest.mark.parametrize("name", ["order_2026_limit_submit.json", "order_2026_limit_new.json"])
def test_a_limit_order_has_the_recorded_keys(name: str) -> None:
    counter = Counter()
    compare(counter.buy(type="limit", limit_price="1"), sample(name))


def test_a_submitted_order_equals_the_recorded_one_but_for_names_times_and_prices() -> None:
    counter, theirs = Counter(), sample("order_2026_limit_submit.json")
    ours = counter.buy(type="limit", limit_price=theirs["limit_price"], client_order_id=theirs["client_order_id"])
    varying = {"id", "asset_id", "created_at", "updated_at", "submitted_at"}
    assert {k: v for k, v in ours.items() if k not in varying} == {k: v for k, v in theirs.items() if k not in varying}
    assert ours["submitted_at"] == ours["created_at"]


def test_a_notional_order_before_and_after_its_fill() -> None:
    counter = Counter()
    first, last = sample("order_2026_notional_submit.json"), sample("order_2026_notional_filled.json")
    ours = counter.buy(qty=None, notional="5")
    compare(ours, first)
    assert (ours["qty"], ours["notional"], ours["status"]) == (None, "5", "pending_new")
    counter.go()
    ours = counter.json("GET", f"/orders/{ours['id']}")
    compare(ours, last)
    assert [ours[k] is None for k in last] == [last[k] is None for k in last]


def test_the_three_views_of_a_whole_share_sell() -> None:
    counter, views = Counter(), sample("orders_2026_whole_share_sell_progress.json")
    counter.buy()
    counter.go()
    ours = [counter.buy(side="sell")]
    counter.now = counter.venue.next_due() or counter.now
    ours.append(counter.json("GET", f"/orders/{ours[0]['id']}"))
    counter.go()
    ours.append(counter.json("GET", f"/orders/{ours[0]['id']}"))
    for mine, theirs in zip(ours, views, strict=True):
        compare(mine, theirs)
        assert mine["status"] == theirs["status"]
        assert mine["position_intent"] == theirs["position_intent"]
        assert [mine[k] is None for k in theirs] == [theirs[k] is None for k in theirs]
    assert ours[0]["submitted_at"] != ours[1]["submitted_at"] == ours[2]["submitted_at"]


def test_a_cancelled_order_has_the_recorded_nulls() -> None:
    counter, theirs = Counter(), sample("order_2026_limit_canceled.json")
    order = counter.buy(type="limit", limit_price="1")
    counter.go()
    assert counter.call("DELETE", f"/orders/{order['id']}").status == 204
    counter.go()
    ours = counter.json("GET", f"/orders/{order['id']}")
    compare(ours, theirs)
    assert ours["status"] == "canceled"
    assert [ours[k] is None for k in theirs] == [theirs[k] is None for k in theirs]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (
            "order_bracket_submit.json",
            {
                "order_class": "bracket",
                "take_profit": {"limit_price": "90"},
                "stop_loss": {"stop_price": "80", "limit_price": "79"},
            },
        ),
        ("order_oto_submit.json", {"order_class": "oto", "stop_loss": {"stop_price": "80"}}),
        (
            "order_oco_submit.json",
            {
                "order_class": "oco",
                "side": "sell",
                "type": "limit",
                "take_profit": {"limit_price": "90"},
                "stop_loss": {"stop_price": "80"},
            },
        ),
    ],
)
def test_groups_have_the_recorded_legs(name: str, fields: dict[str, Any]) -> None:
    """The recordings are of 2021: keys that came later are ours alone."""
    counter, theirs = Counter(), sample(name)
    counter.buy()
    counter.go()
    ours = counter.buy(**fields)
    for mine, other in zip([ours, *ours["legs"]], [theirs, *theirs["legs"]], strict=True):
        assert keys(other) <= keys(mine)
        for field in ("order_class", "order_type", "type", "side", "legs"):
            assert alike(mine[field], other[field])
            assert field == "legs" or mine[field] == other[field]
    assert [leg["status"] for leg in ours["legs"]] == [leg["status"] for leg in theirs["legs"]]
    assert all(leg["legs"] is None for leg in ours["legs"])


def test_a_trailing_stop_is_answered_as_recorded() -> None:
    counter, theirs = Counter(), sample("order_trailing_percent_submit.json")
    counter.buy()
    counter.go()
    ours = counter.buy(side="sell", type="trailing_stop", trail_percent="5")
    assert keys(theirs) <= keys(ours)
    assert (ours["status"], ours["trail_percent"]) == (theirs["status"], theirs["trail_percent"])
    assert (ours["hwm"], ours["stop_price"]) == ("86", "81.7")


def test_a_multi_leg_order_has_blank_parents_and_nested_legs() -> None:
    counter, theirs = Counter(), sample("order_mleg_filled.json")
    counter.venue.set_quote("AAPL261120C00200000", *map(type(counter.venue.quote("AAPL").bid), ("3", "3.1")))
    legs = [
        {"symbol": "AAPL261120C00190000", "ratio_qty": "1", "side": "buy", "position_intent": "buy_to_open"},
        {"symbol": "AAPL261120C00200000", "ratio_qty": "1", "side": "sell", "position_intent": "sell_to_open"},
    ]
    ours = counter.json(
        "POST",
        "/orders",
        {"order_class": "mleg", "type": "limit", "limit_price": "9", "qty": "1", "time_in_force": "day", "legs": legs},
    )
    counter.go()
    ours = counter.json("GET", f"/orders/{ours['id']}")
    assert keys(ours) - keys(theirs) == {"expires_at", "position_intent"}
    assert keys(theirs) <= keys(ours)
    for field in ("symbol", "asset_id", "asset_class", "side"):
        assert ours[field] == theirs[field] == ""
    for mine, other in zip(ours["legs"], theirs["legs"], strict=True):
        compare(mine, other)
        assert (mine["type"], mine["order_type"], mine["limit_price"]) == ("", "", None)
    assert ours["status"] == "filled"


def test_a_replacement_is_answered_as_recorded() -> None:
    counter, theirs = Counter(), sample("order_replace_response.json")
    old = counter.buy(type="limit", limit_price="1")
    counter.go()
    ours = counter.json("PATCH", f"/orders/{old['id']}", {"limit_price": "2"})
    assert keys(theirs) <= keys(ours)
    assert ours["replaces"] == old["id"]
    assert ours["created_at"] == old["created_at"]


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("ws_2026_3_pending_new.json", "pending_new"),
        ("ws_2026_4_new.json", "new"),
        ("ws_2026_5_fill.json", "fill"),
    ],
)
def test_stream_messages_have_the_recorded_keys(name: str, event: str) -> None:
    counter, theirs = Counter(), sample(name)["data"]
    counter.buy(symbol="BTC/USD", qty="0.1", time_in_force="gtc")
    counter.go()
    counter.listen()
    counter.buy(symbol="BTC/USD", qty="0.1", side="sell", time_in_force="gtc")
    counter.go()
    ours = next(frame for frame in counter.frames if frame["event"] == event)
    compare(ours, theirs)
    compare(ours["order"], theirs["order"])
    if event == "fill":
        assert ours["position_qty"] == "0"


def test_a_multi_leg_fill_on_the_stream() -> None:
    counter, theirs = Counter(), sample("sse_trade_event_mleg_fill.json")
    counter.listen()
    legs = [
        {"symbol": "AAPL261120C00190000", "ratio_qty": "1", "side": "buy"},
        {"symbol": "AAPL261120P00180000", "ratio_qty": "1", "side": "buy"},
    ]
    counter.json(
        "POST",
        "/orders",
        {"order_class": "mleg", "type": "market", "qty": 1, "time_in_force": "day", "legs": legs},
    )
    counter.go()
    ours = counter.frames[-1]
    assert "execution_id" not in ours
    assert keys(theirs) - keys(ours) == {"account_id"}  # the broker's own stream only
    assert [keys(leg) for leg in ours["legs"]] == [keys(leg) for leg in theirs["legs"]]
    assert set(ours["position_qtys"]) == {leg["symbol"] for leg in legs}


@pytest.mark.parametrize("name", ["account_2026_flat.json", "account_2026_after_round_trips.json"])
def test_the_account_has_the_recorded_keys(name: str) -> None:
    compare(Counter().json("GET", "/account"), sample(name))


def test_a_flat_account_s_figures_relate_as_recorded() -> None:
    ours = Counter().json("GET", "/account")
    assert (ours["cash"], ours["buying_power"], ours["regt_buying_power"], ours["multiplier"]) == (
        "100000",
        "400000",
        "200000",
        "4",
    )


def test_positions_have_the_recorded_keys_long_and_short() -> None:
    counter = Counter()
    counter.buy(qty="0.5")
    counter.buy(symbol="MSFT", side="sell", qty="2")
    counter.go()
    long, short = counter.json("GET", "/positions")
    compare(long, sample("positions_2026_fractional.json")[0])
    theirs = sample("position_short.json")
    assert keys(theirs) <= keys(short)
    for field in ("qty", "qty_available", "market_value", "cost_basis"):
        assert short[field].startswith("-"), field
        assert theirs[field].startswith("-")
    assert (short["side"], long["side"]) == ("short", "long")


def test_fill_activities_have_the_recorded_keys() -> None:
    counter, theirs = Counter(), sample("activities_2026_fills.json")
    counter.buy()
    counter.go()
    ours = counter.json("GET", "/account/activities/FILL")
    compare(ours[0], theirs[0])
    execution = next(iter(counter.venue.ledger.executions.values()))
    assert ours[0]["id"].startswith("20261008110000")  # New York, as recorded
    assert ours[0]["id"].endswith(f"::{execution.execution_id}")


@pytest.mark.parametrize(
    ("name", "path"),
    [("asset_2026_equity_fractionable.json", "KO"), ("asset_2026_crypto.json", "BTC%2FUSD")],
)
def test_assets_have_the_recorded_keys(name: str, path: str) -> None:
    compare(Counter().json("GET", f"/assets/{path}"), sample(name))


def test_clock_and_calendar_have_the_recorded_keys() -> None:
    counter = Counter()
    compare(counter.json("GET", "/clock"), sample("clock_2020_closed.json"))
    rows = counter.json("GET", "/calendar", query={"start": "2020-02-10", "end": "2020-02-18"})
    theirs = sample("calendar_range.json")
    assert [row["date"] for row in rows] == [row["date"] for row in theirs]
    assert keys(theirs[0]) | {"settlement_date"} == keys(rows[0])


def test_cancel_all_entries_carry_the_whole_order() -> None:
    counter, theirs = Counter(), sample("orders_cancel_all_207_complex.json")
    counter.buy(type="limit", limit_price="1")
    counter.go()
    (ours,) = counter.json("DELETE", "/orders", status=207)
    assert keys(ours) == keys(theirs[0])
    assert ours["body"]["id"] == ours["id"]
    assert ours["body"]["status"] == "pending_cancel"


def test_a_contract_has_the_keys_that_clients_know() -> None:
    theirs = sample("option_contracts_alpaca_py_mock.json")
    ours = Counter().json("GET", "/options/contracts", query={"underlying_symbols": "AAPL"})
    assert keys(ours) == keys(theirs)
    assert keys(theirs["option_contracts"][0]) <= keys(ours["option_contracts"][0])


def test_configurations_keep_their_keys_but_for_the_retired_ones() -> None:
    theirs = keys(sample("account_configurations_example.json")) - {"dtbp_check", "pdt_check"}
    assert theirs <= keys(Counter().json("GET", "/account/configurations"))
