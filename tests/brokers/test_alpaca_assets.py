"""What Alpaca says of an instrument, and what is not believed of it."""

import json
from decimal import Decimal

import pytest

from orderd.brokers.alpaca import assets
from orderd.brokers.alpaca.client import AnswerLost, NotConnected, Request
from orderd.brokers.alpaca.fields import ParseError
from orderd.core.assets import Asset
from orderd.core.order import AssetClass
from orderd.ports import CannotTell, Lane, NoAsset
from tests.brokers.test_alpaca_adapter import Answer, Scripted, adapter

D = Decimal
SHARE: dict[str, object] = {
    "class": "us_equity", "symbol": "KO", "status": "active", "tradable": True, "shortable": True, "fractionable": True,
}  # fmt: skip
COIN: dict[str, object] = {
    "class": "crypto", "symbol": "BTC/USD", "status": "active", "tradable": True, "shortable": False,
    "fractionable": True, "min_order_size": "0.0001", "min_trade_increment": "0.00001", "price_increment": "0.5",
}  # fmt: skip


def said(row: dict[str, object], **changes: object) -> bytes:
    return json.dumps({**row, **changes}).encode()


def test_a_share_and_a_coin() -> None:
    assert assets.parse(said(SHARE)) == Asset(
        symbol="KO",
        asset_class=AssetClass.US_EQUITY,
        is_tradable=True,
        is_shortable=True,
        is_fractionable=True,
        quantity_step=D("1e-9"),
    )
    assert assets.parse(said(COIN)) == Asset(
        symbol="BTC/USD",
        asset_class=AssetClass.CRYPTO,
        is_tradable=True,
        is_shortable=False,
        is_fractionable=True,
        quantity_step=D("0.00001"),
        minimum_quantity=D("0.0001"),
        price_step=D("0.5"),
    )


@pytest.mark.parametrize(
    ("changes", "step"),
    [({"fractionable": False}, "1"), ({"fractionable": None}, None), ({"min_trade_increment": "0.01"}, "0.01")],
)
def test_the_step_of_a_share(changes: dict[str, object], step: str | None) -> None:
    assert assets.parse(said(SHARE, **changes)).quantity_step == (None if step is None else D(step))


@pytest.mark.parametrize(
    ("attributes", "splits"),
    [(None, None), ([], False), (["has_options"], False), (["x", "fractional_eh_enabled"], True)],
)
def test_whether_parts_of_a_share_are_traded_outside_the_session(attributes: object, splits: bool | None) -> None:
    assert assets.parse(said(SHARE, attributes=attributes)).splits_outside_session is splits


def test_what_is_not_said_is_not_known() -> None:
    assert assets.parse(b'{"symbol": "KO"}') == Asset(symbol="KO")
    assert assets.parse(said(SHARE, **{"class": "treasury"})).quantity_step is None
    assert assets.parse(said(SHARE, status="inactive")).is_tradable is False
    assert assets.parse(said(SHARE, status="resting")).is_tradable is True


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"<html>", b"{}", said(SHARE, symbol=""), said(SHARE, symbol=7.5),
        said(SHARE, attributes="ipo"), said(SHARE, attributes=[1]),
        said(SHARE, tradable="yes"), said(SHARE, shortable=1), said(SHARE, fractionable="true"),
        *(said(COIN, **{name: value}) for name in ("min_trade_increment", "min_order_size", "price_increment")
          for value in ("0", "-0.1", "NaN", "Infinity", "1e999", "a lot", True, [])),
    ],
)  # fmt: skip
def test_nonsense_is_no_asset(body: bytes) -> None:
    with pytest.raises(ParseError):
        assets.parse(body)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (said(SHARE), Asset),
        (said(SHARE, symbol="KOO"), CannotTell),
        (said(SHARE, tradable="yes"), CannotTell),
        (b"", CannotTell),
        (404, CannotTell),  # somebody's, not Alpaca's own words
        (429, CannotTell),
        (500, CannotTell),
        (NotConnected("no"), CannotTell),
        (AnswerLost("no"), CannotTell),
    ],
)
async def test_an_asset_is_read_or_it_cannot_be_told(answer: Answer, outcome: type) -> None:
    client = Scripted(lambda _: answer)
    assert type(await adapter(client).asset("KO", timeout_s=1)) is outcome
    assert client.asked == [(Lane.READ, Request(method="GET", path="/v2/assets/KO"))]


def test_only_alpacas_own_words_say_that_there_is_none() -> None:
    absent = {"code": 40410000, "message": "asset not found for FFFFF"}
    cases = [(404, absent, NoAsset), (404, {**absent, "code": 1}, CannotTell), (200, absent, CannotTell)]
    cases += [(404, {**absent, "message": "endpoint not found."}, CannotTell), (403, absent, CannotTell)]
    for status, body, outcome in cases:
        response = assets.Response(status=status, headers={}, body=json.dumps(body).encode())
        assert type(assets.outcome("FFFFF", response)) is outcome


def test_a_pair_is_asked_for_with_its_slash_encoded() -> None:
    assert assets.request("BTC/USD").path == "/v2/assets/BTC%2FUSD"
    assert assets.request("BRK.B").path == "/v2/assets/BRK.B"
