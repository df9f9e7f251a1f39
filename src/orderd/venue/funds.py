"""What an account is worth and what it may still buy. All in dollars."""

from decimal import Decimal

import msgspec

from orderd.venue.accounts import Account
from orderd.venue.money import ZERO
from orderd.venue.orders import AssetClass, Side
from orderd.venue.state import State

INITIAL_RATE = Decimal("0.5")
MAINTENANCE_RATE = Decimal("0.3")
REG_T = Decimal(2)


class Funds(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the account page."""

    cash: Decimal
    equity: Decimal
    long_value: Decimal
    short_value: Decimal
    """Negative."""
    initial_margin: Decimal
    maintenance_margin: Decimal
    buying_power: Decimal
    regt_buying_power: Decimal
    cash_buying_power: Decimal
    """For what cannot be bought on margin: coins and options."""


def funds_of(state: State, account: Account) -> Funds:
    """Value the positions at the last price; open opening orders already use buying power (reference, 5 and 13)."""
    long_value = short_value = ZERO
    for position in account.positions.values():
        value = position.quantity * state.quote(position.symbol).last * position.multiplier
        long_value += max(value, ZERO)
        short_value += min(value, ZERO)
    equity = account.cash + long_value + short_value
    gross = long_value - short_value
    used = gross + state.book.reserved(account.account_id)
    multiplier = min(account.multiplier, Decimal(account.configuration.max_margin_multiplier))
    return Funds(
        cash=account.cash,
        equity=equity,
        long_value=long_value,
        short_value=short_value,
        initial_margin=used * INITIAL_RATE,
        maintenance_margin=gross * MAINTENANCE_RATE,
        buying_power=max(equity * multiplier - used, ZERO),
        regt_buying_power=max(equity * REG_T - used, ZERO),
        cash_buying_power=max(min(account.cash, equity) - state.book.reserved(account.account_id), ZERO),
    )


def available_to(funds: Funds, asset_class: AssetClass) -> Decimal:
    """The buying power that counts for this class."""
    return funds.buying_power if asset_class is AssetClass.EQUITY else funds.cash_buying_power


def available_quantity(state: State, account: Account, symbol: str) -> tuple[Decimal, Decimal, tuple[str, ...]]:
    """Units of a position that no open order holds, units held, and the orders that hold them (all unsigned)."""
    signed = account.held(symbol)
    side = Side.SELL if signed > 0 else Side.BUY
    held, orders = state.book.held(account.account_id, symbol, side)
    return max(abs(signed) - held, ZERO), held, orders
