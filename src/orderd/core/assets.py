"""An instrument as its broker describes it: what may be traded of it, and in which steps."""

from decimal import Decimal
from typing import Final

from orderd.core.order import AssetClass
from orderd.core.values import EXACT, Value

WHOLE: Final = Decimal(1)
"""One unit: a share, a coin, a contract."""


class Asset(Value, frozen=True, kw_only=True):
    """The broker's words. None where it does not say: that is not judged here.

    Quantities in units of the instrument, prices in the quote currency per unit.
    """

    symbol: str
    asset_class: AssetClass | None = None
    is_tradable: bool | None = None
    is_shortable: bool | None = None
    is_fractionable: bool | None = None
    quantity_step: Decimal | None = None
    """The smallest change of a quantity; positive."""
    minimum_quantity: Decimal | None = None
    """The smallest quantity of an order."""
    price_step: Decimal | None = None
    """The smallest change of a price, where it is one for all prices; positive."""
    splits_outside_session: bool | None = None
    """Whether a part of a unit is traded outside the regular session."""


def is_whole(value: Decimal, step: Decimal) -> bool:
    """Whether a value is a whole number of (positive) steps. Exact up to 100 digits."""
    return not EXACT.remainder(value, step)
