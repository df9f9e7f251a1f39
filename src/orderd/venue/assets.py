"""What can be traded here: a small list of shares and coins, and any option on one of the shares."""

import re
import uuid
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from orderd.venue.money import CENT, NANO, ONE, SUB_CENT, ZERO
from orderd.venue.orders import AssetClass

NAMESPACE: Final = uuid.UUID("6f7264e7-d000-5000-8000-76656e756500")
OPTION_SIZE: Final = Decimal(100)
_OPTION: Final = re.compile(r"^([A-Z]{1,6})(\d{2})(\d{2})(\d{2})([CP])(\d{8})$")


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument. The id is made from the symbol, so it is the same in every venue."""

    symbol: str
    name: str
    price: Decimal
    """Where its quotes start, in dollars."""
    asset_class: AssetClass = AssetClass.EQUITY
    exchange: str = "NASDAQ"
    is_tradable: bool = True
    is_fractionable: bool = True
    is_shortable: bool = True
    is_marginable: bool = True
    is_active: bool = True
    """False: still listed, traded no more."""
    is_halted: bool = False
    """True: orders are taken and rest, nothing executes."""
    splits_outside_session: bool = True
    """Whether a part of a share is traded in extended hours."""
    quantity_step: Decimal | None = None
    """Told as the least increment of a quantity; None: what its class has."""
    minimum_quantity: Decimal | None = None
    """Told as the least quantity of an order; None: what its class has."""

    @property
    def asset_id(self) -> str:
        """A UUID that depends on the symbol only."""
        return str(uuid.uuid5(NAMESPACE, self.symbol))

    @property
    def multiplier(self) -> Decimal:
        """Units of the underlying in one contract; 1 for shares and coins."""
        return OPTION_SIZE if self.asset_class is AssetClass.OPTION else ONE

    @property
    def position_symbol(self) -> str:
        """How positions name it: crypto pairs lose their slash there (reference, section 5)."""
        return self.symbol.replace("/", "")

    def tick(self, price: Decimal) -> Decimal:
        """The price step at this price."""
        if self.asset_class is AssetClass.CRYPTO:
            return NANO
        return CENT if price >= 1 else SUB_CENT


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What an option symbol says."""

    underlying: str
    expiration: date
    is_call: bool
    strike: Decimal


def contract_of(symbol: str) -> Contract | None:
    """Read a compact option symbol (root, YYMMDD, C or P, strike x 1000); None for anything else."""
    found = _OPTION.match(symbol)
    if found is None:
        return None
    root, year, month, day, kind, strike = found.groups()
    try:
        expiration = date(2000 + int(year), int(month), int(day))
    except ValueError:
        return None
    return Contract(
        underlying=root, expiration=expiration, is_call=kind == "C", strike=Decimal(strike).scaleb(-3).normalize()
    )


def option_symbol(contract: Contract) -> str:
    """The compact symbol of a contract."""
    strike = int(contract.strike * 1000)
    return f"{contract.underlying}{contract.expiration:%y%m%d}{'C' if contract.is_call else 'P'}{strike:08d}"


def option_price(contract: Contract, underlying: Decimal) -> Decimal:
    """A price for a contract that nobody quoted: what it is worth now, plus a little time."""
    gap = underlying - contract.strike if contract.is_call else contract.strike - underlying
    time_value = max(underlying * Decimal("0.02") - abs(gap) * Decimal("0.05"), CENT)
    return (max(gap, ZERO) + time_value).quantize(CENT)


def _share(symbol: str, name: str, price: str, exchange: str = "NASDAQ") -> Asset:
    return Asset(symbol=symbol, name=name, price=Decimal(price), exchange=exchange)


def _coin(symbol: str, name: str, price: str) -> Asset:
    return Asset(
        symbol=symbol,
        name=name,
        price=Decimal(price),
        asset_class=AssetClass.CRYPTO,
        exchange="CRYPTO",
        is_shortable=False,
        is_marginable=False,
    )


DEFAULT_ASSETS: Final = (
    _share("AAPL", "Apple Inc. Common Stock", "190"),
    _share("MSFT", "Microsoft Corporation Common Stock", "420"),
    _share("AMZN", "Amazon.com, Inc. Common Stock", "185"),
    _share("NVDA", "NVIDIA Corporation Common Stock", "125"),
    _share("GOOG", "Alphabet Inc. Class C Capital Stock", "175"),
    _share("TSLA", "Tesla, Inc. Common Stock", "250"),
    _share("META", "Meta Platforms, Inc. Class A Common Stock", "500"),
    _share("AMD", "Advanced Micro Devices, Inc. Common Stock", "160"),
    _share("SPY", "SPDR S&P 500 ETF Trust", "550", "ARCA"),
    _share("QQQ", "Invesco QQQ Trust, Series 1", "480"),
    _share("KO", "Coca-Cola Company", "86", "NYSE"),
    _share("F", "Ford Motor Company", "11", "NYSE"),
    _share("BRK.B", "Berkshire Hathaway Inc. Class B", "440", "NYSE"),
    Asset(symbol="OCGN", name="Ocugen, Inc.", price=Decimal("0.98"), is_fractionable=False, is_shortable=False),
    Asset(symbol="RGC", name="Regencell Bioscience Holdings", price=Decimal(12), is_tradable=False),
    _coin("BTC/USD", "Bitcoin / US Dollar", "65000"),
    _coin("ETH/USD", "Ethereum / US Dollar", "3000"),
)


class Assets:
    """The list, found by symbol, by id, or by a crypto pair without its slash."""

    def __init__(self, listed: Iterable[Asset] = DEFAULT_ASSETS) -> None:
        self._by_name: dict[str, Asset] = {}
        self._listed: dict[str, Asset] = {}
        for asset in listed:
            self.add(asset)

    def add(self, asset: Asset) -> None:
        """List an instrument, or change one."""
        self._listed[asset.symbol] = asset
        for name in (asset.symbol, asset.position_symbol, asset.asset_id):
            self._by_name[name] = asset

    def find(self, name: str) -> Asset | None:
        """By symbol, pair or asset id. An option on a listed share is listed when first asked for."""
        return self._by_name.get(name) or self._option(name)

    def all(self) -> list[Asset]:
        """Every instrument, in the order it was listed."""
        return list(self._listed.values())

    def _option(self, symbol: str) -> Asset | None:
        contract = contract_of(symbol)
        if contract is None or (share := self._by_name.get(contract.underlying)) is None:
            return None
        kind = "Call" if contract.is_call else "Put"
        asset = Asset(
            symbol=symbol,
            name=f"{contract.underlying} {contract.expiration:%b %d %Y} {contract.strike:f} {kind}",
            price=option_price(contract, share.price),
            asset_class=AssetClass.OPTION,
            exchange="",
            is_fractionable=False,
            is_marginable=False,
        )
        self.add(asset)
        return asset
