"""What the samples of accounts, positions, activities and reference data must be read as."""

from decimal import Decimal

from orderd.brokers.alpaca import assets, parse
from orderd.brokers.alpaca.fields import as_list, as_object, decode, flag, number, text
from orderd.core.facts import Execution
from orderd.core.order import AssetClass
from tests.brokers.sample_checks import CHECKS, Check, at, checks

D = Decimal

ACCOUNTS = {
    "account_2026_after_round_trips.json": (
        "<scrubbed>", "100005.82", "100003.74258806517", "100005.82", "400023.28", "4",
    ),
    "account_2026_flat.json": ("<scrubbed>", "100005.83", "100003.74258806517", "100005.83", "400023.32", "4"),
    "account_alpaca_py_mock.json": ("010203ABCD", "103820.56", "103529.24", "-23140.2", "262113.632", "4"),
    "account_docs_pre2026.json": ("010203ABCD", "103820.56", "103529.24", "-23140.2", "262113.632", "4"),
    "account_spec_example.json": (
        "PALPACA_123", "123346.11", "122011.09751111286868", "122086.5", "245432.61", "2",
    ),
}  # fmt: skip


def _account(name: str) -> Check:
    def check(body: bytes) -> None:
        account = parse.account(body)
        money = (account.equity, account.last_equity, account.cash, account.buying_power, account.multiplier)
        assert (account.number, *map(str, money)) == ACCOUNTS[name]
        assert (account.status, account.currency, account.is_trading_blocked) == ("ACTIVE", "USD", False)
        assert account.raw == body

    return check


CHECKS.update({name: _account(name) for name in ACCOUNTS})

POSITIONS = {
    "position_crypto_docs.json": [
        ("BTC/USD", "2.61937", "19660.5738784516887649", "50931.03028", "51498.3174", "-567.28712", "2.61937"),
    ],
    "position_short.json": [("XLK", "-24", "82.69", "-2011.44", "-1984.56", "-26.88", "-24")],
    "position_spec_examples.json": [
        ("AAPL", "5", "100.0", "600.0", "500.0", "100.0", "4"),
        ("AAPL", "2", "174.78", "348.58", "349.56", "-0.98", "2"),
    ],
    "positions_2020_list.json": [
        ("TSLA", "5", "892.736", "4411.95", "4463.68", "-51.73", "None"),
        ("GOOG", "5", "1431.01", "7157.5", "7155.05", "2.45", "None"),
        ("AAPL", "2", "321.33", "646.4", "642.66", "3.74", "None"),
    ],
    "positions_2026_fractional.json": [
        ("KO", "0.557436865", "86.879891", "48.430115", "48.430054", "0.000061", "0.557436865"),
    ],
}


def _positions(name: str) -> Check:
    def check(body: bytes) -> None:
        listed = body if body.lstrip().startswith(b"[") else b"[" + body + b"]"
        got = [
            (p.symbol, *map(str, (p.quantity, p.average_entry_price, p.market_value, p.cost_basis, p.unrealized_pl,
                                  p.quantity_available)))
            for p in parse.positions(listed)
        ]  # fmt: skip
        assert got == POSITIONS[name]

    return check


CHECKS.update({name: _positions(name) for name in POSITIONS})

Row = tuple[str, str, str, str, str]
ACTIVITIES: dict[str, list[Row]] = {
    "activity_trade_example.json": [
        ("20220202135509981::2d7be4ff-d1f3-43e9-856a-0f5cf5c5088e", "b5abe576", "2", "174.78", "2"),
    ],
    "activities_2020_list.json": [
        ("20200603093014199::486a1a31-4d0c-494b-aaca-afa36477ddb8", "c47ff82f", "5", "886.55", "5"),
        ("20200603093004179::5fcf57bf-f076-4e6b-97b9-85407d7258f0", "888e4b05", "2", "324.9", "2"),
        ("20200603093002274::f8f99c37-0633-4c5b-83cf-0ac21225dbbe", "3dd828ae", "5", "1437.01", "5"),
        ("20200602093229623::deef5aa4-42d7-414d-a467-07952a29ce5b", "36e3e15f", "1", "889.68", "5"),
        ("20200602093022170::6e0a9fb0-1505-4021-b7f7-cdc2f86d201a", "36e3e15f", "4", "893.5", "4"),
        ("20200602093021488::83d1ccf5-d406-4441-9b61-2c657f168a7a", "142b4101", "1", "321.41", "1"),
        ("20200602093015030::d088575b-d22b-43f0-8581-9273eb36d8bb", "c8c18333", "5", "1431.01", "5"),
        ("20200602093005948::a594c3f5-aa4a-4718-b565-12f3e5b68d6b", "534fcff6", "1", "321.25", "1"),
    ],
    "activities_2026_fills.json": [
        ("20261008111018097::fc1f73e1-a5c2-4d43-81ec-fb503c42ca5c", "f1a08ee3", "0.057436865", "86.878", "0.057436865"),
        ("20261008111019061::5f19ad50-36aa-44e1-9313-094944098fd6", "61d1feca", "1", "86.88", "1"),
        ("20261008111019730::f16616ea-a1dc-4ea6-b96e-b9b4b270d50d", "4825c6d6", "0.5", "86.872", "0.5"),
        ("20261008111024010::ee7cc649-8afc-409b-af86-6e8491996365", "d92d343a", "1", "0.9858", "1"),
        ("20261008111040503::dae49bf5-19f3-4ff6-8478-ed284a3269b3", "5ccb847e", "0.557436865", "86.882", "0.557436865"),
        ("20261008111042191::600f978b-ee00-4b5c-ac5f-bd9f045c61e1", "bf4ad4dc", "1", "0.9808", "1"),
    ],
    "activities_mixed_alpaca_py_mock.json": [
        (
            "20220304135420903::047e252a-a8a3-4e35-84e2-29814cbf5057",
            "cddf433b",
            "1.792161878",
            "2907.15",
            "1.792161878",
        ),
        ("20220304135420898::2b9e8979-48b4-4b70-9ba0-008210b76ebf", "cddf433b", "1", "2907.15", "2.792161878"),
        (
            "20220304123922801::3b8a937c-b1d9-4ebe-ae94-5e0b52c3f350",
            "642695e3",
            "0.058773239",
            "2644.84",
            "0.058773239",
        ),
        ("20220304123922310::b53b6d71-a644-4be1-9f88-39d1c8d29831", "5f4a07dc", "1.998065556", "837.45", "1.998065556"),
        ("20220304123922305::bc84b8a8-8758-42aa-be3b-618d097c2867", "5f4a07dc", "4", "837.45", "5.998065556"),
    ],
}
FIRST_TIMES = {
    "activity_trade_example.json": at(2022, 2, 2, 18, 55, 9, 981482),
    "activities_2020_list.json": at(2020, 6, 3, 13, 30, 14, 199812),
    "activities_2026_fills.json": at(2026, 10, 8, 15, 10, 18, 97465),
    "activities_mixed_alpaca_py_mock.json": at(2022, 3, 4, 18, 54, 20, 903569),
}


def _activities(name: str) -> Check:
    def check(body: bytes) -> None:
        listed = parse.activities(body if body.lstrip().startswith(b"[") else b"[" + body + b"]")
        got: list[Row] = []
        for row in listed:
            done = row.execution
            assert isinstance(done, Execution)
            assert row.holding is None
            assert done.execution_id == row.id.partition("::")[2]
            first = done.broker_order_id.partition("-")[0]
            got.append((row.id, first, str(done.quantity), str(done.price), str(done.cum_after)))
        assert got == ACTIVITIES[name]
        assert listed[0].execution is not None
        assert listed[0].execution.occurred_time == FIRST_TIMES[name]

    return check


CHECKS.update({name: _activities(name) for name in ACTIVITIES})


@checks("activity_non_trade_example.json")
def _dividend(body: bytes) -> None:
    (row,) = parse.activities(b"[" + body + b"]")
    assert (row.type, row.symbol, row.quantity, row.net_amount, row.execution) == ("DIV", "T", 2, D("1.02"), None)
    assert row.holding is None, "its quantity is what it was paid for"


@checks("clock_2020_closed.json")
def _clock(body: bytes) -> None:
    clock = parse.clock(body)
    assert not clock.is_open
    assert clock.time == at(2020, 6, 9, 2, 38, 49, 42731)
    assert clock.next_open == at(2020, 6, 9, 13, 30, 0, 0)
    assert clock.next_close == at(2020, 6, 9, 20, 0, 0, 0)


@checks("calendar_range.json")
def _calendar(body: bytes) -> None:
    days = [as_object(row, "day") for row in as_list(decode(body), "calendar")]
    assert [text(day, "date") for day in days] == [f"2020-02-{n}" for n in (10, 11, 12, 13, 14, 18)]
    assert {(text(day, "open"), text(day, "close")) for day in days} == {("09:30", "16:00")}


@checks("asset_2026_crypto.json")
def _coin(body: bytes) -> None:
    asset = as_object(decode(body), "asset")
    assert text(asset, "symbol") == "DOGE/USDC"
    assert (number(asset, "min_order_size"), number(asset, "price_increment")) == (D("12.421789309"), D("0.000000001"))
    assert number(asset, "maintenance_margin_requirement") == 100  # the one that comes as a number
    read = assets.parse(body)
    assert (read.symbol, read.asset_class, read.is_tradable, read.is_shortable) == (
        "DOGE/USDC",
        AssetClass.CRYPTO,
        True,
        False,
    )
    assert (read.quantity_step, read.price_step, read.minimum_quantity) == (D("1e-9"), D("1e-9"), D("12.421789309"))


@checks("asset_2026_equity_fractionable.json")
def _share(body: bytes) -> None:
    asset = as_object(decode(body), "asset")
    assert (text(asset, "symbol"), text(asset, "exchange")) == ("KO", "NYSE")
    assert flag(asset, "fractionable")
    assert flag(asset, "shortable")
    assert number(asset, "margin_requirement_long") == number(asset, "maintenance_margin_requirement") == 30
    read = assets.parse(body)
    assert (read.symbol, read.is_tradable, read.is_shortable, read.is_fractionable) == ("KO", True, True, True)
    assert (read.quantity_step, read.price_step, read.minimum_quantity) == (D("1e-9"), None, None)


@checks("option_contracts_alpaca_py_mock.json")
def _contracts(body: bytes) -> None:
    (row,) = as_list(as_object(decode(body), "answer")["option_contracts"], "contracts")
    contract = as_object(row, "contract")
    assert text(contract, "symbol") == "AAPL231103C00170000"
    assert (number(contract, "strike_price"), number(contract, "size")) == (170, 100)
    assert text(contract, "expiration_date") == "2023-11-03"


@checks("account_configurations_example.json")
def _configuration(body: bytes) -> None:
    row = as_object(decode(body), "configuration")
    assert (flag(row, "no_shorting"), flag(row, "fractional_trading"), flag(row, "suspend_trade")) == (
        False,
        True,
        False,
    )
    assert number(row, "max_margin_multiplier") == 4
