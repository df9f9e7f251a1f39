"""Positions: what one account holds of one symbol by its fills, and each strategy's share of it.

Rule 1: quantities are exact sums. The shares of all strategies add up to what the account holds, always.
Rule 2: what a strategy trades meets its own lots first in, first out, in the order the journal tells of it. What
happens to the account as a whole (an opening balance, a fee in kind, an expiry, an operator's adjustment) takes the
oldest lots on the other side, whoever's they are; what it finds no lot for belongs to nobody.
Rule 3: a position lives from flat to flat. A fill that crosses zero closes one and opens the next.
Rule 4: what is taken back counts as if it had never been, as long as the tape reaches; beyond it, it is undone by the
opposite trade at its price, which comes to the same money.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, Overflow
from typing import Final

import msgspec

from orderd.core.adjustments import Adjustment
from orderd.core.order import AssetClass
from orderd.core.values import AVERAGE_PLACES, ZERO, AccountId, Value, add, divide, multiply, subtract

_WIDE: Final = Context(prec=300, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])
TAPE: Final = 32
"""Changes that are kept to take one back from among them; older ones are in the lots only."""


class Traded(Value, frozen=True, kw_only=True, tag=True):
    """A counted fill of a strategy's order; `strategy` is empty for orders without one and those of others."""

    change_id: str
    """The fill's id."""
    quantity: Decimal
    """Signed: negative when sold."""
    price: Decimal | None
    strategy: str = ""


class Happened(Value, frozen=True, kw_only=True, tag=True):
    """Something that changed the account's holding and was nobody's trade."""

    change_id: str
    quantity: Decimal
    """Signed."""
    price: Decimal | None
    """What each unit came or went at; None: nobody knows."""


class Divided(Value, frozen=True, kw_only=True, tag=True):
    """A split: of every `old` units there are `new` now. Quantities change, what was paid does not."""

    change_id: str
    new: Decimal
    old: Decimal


Change = Traded | Happened | Divided


class Lot(Value, frozen=True, kw_only=True):
    """What is left of a change that added to a share. Quantity and value are negative when short."""

    change_id: str
    quantity: Decimal
    value: Decimal | None
    """quantity * what a unit of it cost; None: the price is not known."""
    price: Decimal | None = None
    """None when it is not known, or when a split made it one that need not be exact."""


class Share(Value, frozen=True, kw_only=True):
    """What one strategy holds of a position. All its lots are on one side, oldest first."""

    strategy: str = ""
    lots: tuple[Lot, ...] = ()
    realized: Decimal | None = ZERO
    """Sum of (exit - entry) * quantity of what was closed, per unit of the multiplier. None: a price is not known."""

    @property
    def quantity(self) -> Decimal:
        """Signed."""
        return _sum(lot.quantity for lot in self.lots)

    @property
    def average_price(self) -> Decimal | None:
        """Of what is held; None when nothing is, or when a price is not known."""
        return average(self.lots)


Shares = tuple[Share, ...]


class Holding(Value, frozen=True, kw_only=True):
    """What is held of one symbol: each strategy's share, and the changes that may still be taken back."""

    shares: Shares = ()
    base: Shares = ()
    """The shares before the first change of the tape."""
    tape: tuple[Change, ...] = ()

    @property
    def quantity(self) -> Decimal:
        """Signed, of all shares together."""
        return _sum(share.quantity for share in self.shares)

    @property
    def is_flat(self) -> bool:
        """Whether no strategy holds anything. Two that stand against each other are not flat, though the sum is 0."""
        return not any(share.lots for share in self.shares)

    @property
    def average_price(self) -> Decimal | None:
        """Of what is held; None when nothing is, when a price is not known, or when shares stand against each other."""
        return average([lot for share in self.shares for lot in share.lots])


class Position(Value, frozen=True, kw_only=True):
    """One account's holding of one symbol, from flat to flat."""

    position_id: str
    account_id: AccountId
    symbol: str
    asset_class: AssetClass
    multiplier: Decimal | None = Decimal(1)
    """Units per contract; None when it is not known."""
    holding: Holding = Holding()
    opening_quantity: Decimal = ZERO
    """What was held before anything of it was on record; signed."""
    bought: Decimal = ZERO
    """Everything that was bought of it, and `charged` what the broker took of that as a fee in kind."""
    charged: Decimal = ZERO
    adjustments: tuple[Adjustment, ...] = ()
    """What activities did to it, as it was booked."""
    opened_time: datetime
    closed_time: datetime | None = None
    updated_time: datetime
    version: int = 0
    """Of its last record; 0 before the first."""
    sequence: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.closed_time is None


OPENING: Final = "opening:"
"""How the ids of opening balances begin."""
FEE: Final = "fee:"
"""How the ids of fees in kind begin."""
UNDOING: Final = "undo:"
"""How the ids of opposite trades begin that undo what the tape no longer reaches."""
FEE_FRACTION: Final = Decimal("0.0025")
"""The most of a bought coin that is taken as a fee in kind (the broker's crypto fee schedule: 25 basis points)."""


def changed(position: Position, change: Change, at: datetime) -> Position:
    """The position after one more change; it does not cross zero (`parts`)."""
    bought, charged, opening = position.bought, position.charged, position.opening_quantity
    match change:
        case Traded():
            bought = add(bought, max(change.quantity, ZERO))
        case Happened() if change.change_id.startswith(FEE):
            charged = subtract(charged, change.quantity)
        case Happened() if change.change_id.startswith(OPENING):
            opening = add(opening, change.quantity)
        case _:
            pass
    counted = msgspec.structs.replace(position, bought=bought, charged=charged, opening_quantity=opening)
    return after(counted, apply(position.holding, change), at)


def restated(position: Position, gone: Sequence[Traded], instead: Sequence[Traded], at: datetime) -> Position:
    """The position with these fills in the place of those, which its tape reaches."""
    bought = position.bought
    for trade in gone:
        bought = subtract(bought, max(trade.quantity, ZERO))
    for trade in instead:
        bought = add(bought, max(trade.quantity, ZERO))
    counted = msgspec.structs.replace(position, bought=bought)
    return after(counted, exchange(position.holding, gone, instead), at)


def divided(position: Position, split: Divided, later: Iterable[str], at: datetime) -> Position | None:
    """The position with a split before these fills, which are in the new units already; None when its tape does not
    reach all of them.
    """
    tape, ids = position.holding.tape, set(later)
    if not ids.issubset(change.change_id for change in tape):
        return None
    place = next((n for n, change in enumerate(tape) if change.change_id in ids), len(tape))
    base = position.holding.base
    told = (*tape[:place], split, *tape[place:])
    return after(position, Holding(shares=fold(base, told), base=base, tape=told), at)


def after(position: Position, holding: Holding, at: datetime) -> Position:
    """The position with another holding: over when that is flat, and open again when it is not."""
    closed = at if holding.is_flat else None
    return msgspec.structs.replace(position, holding=holding, closed_time=closed, updated_time=at)


def awaits_fee(position: Position, difference: Decimal) -> bool:
    """Whether the broker may hold so much less of a coin (difference < 0) for a fee in kind that it has not told yet.

    It takes them with the trade, and tells of them at the end of the day.
    """
    if position.asset_class is not AssetClass.CRYPTO or difference >= 0:
        return False
    left = subtract(multiply(position.bought, FEE_FRACTION), position.charged)
    return difference.copy_abs() <= left


def average(lots: Sequence[Lot]) -> Decimal | None:
    """What a unit of these lots cost, half-even at 18 places; None when that is not known or makes no sense."""
    quantity, value = ZERO, ZERO
    for lot in lots:
        if lot.value is None or _is_against(lot, lots[0].quantity):
            return None
        quantity, value = add(quantity, lot.quantity), add(value, lot.value)
    return divide(value, quantity) if quantity else None


# ------------------------------------------------------------------------------------------------------------- changes


def parts(holding: Holding, change: Change) -> tuple[Change, Change | None]:
    """What of a change belongs to this position, and what to the one after it: a change that crosses zero is two."""
    if isinstance(change, Divided) or holding.is_flat:
        return change, None
    met = [share for share in holding.shares if isinstance(change, Happened) or share.strategy == change.strategy]
    others = any(share.lots for share in holding.shares if share not in met)
    if others or any(share.lots and not _is_against(share.lots[0], change.quantity) for share in met):
        return change, None
    rest = _beyond(change.quantity, met)
    if not rest:
        return change, None
    closing = msgspec.structs.replace(change, quantity=subtract(change.quantity, rest))
    return closing, msgspec.structs.replace(change, quantity=rest)


def _beyond(quantity: Decimal, met: Iterable[Share]) -> Decimal:
    """What is left of a quantity when it has closed all of these; nothing when they are more. No more is looked at
    than that takes: a position may have thousands of lots.
    """
    left = quantity
    for share in met:
        for lot in share.lots:
            left = add(left, lot.quantity)
            if not left or left.is_signed() is not quantity.is_signed():
                return ZERO
    return left


def apply(holding: Holding, change: Change) -> Holding:
    """The holding after one more change."""
    tape = (*holding.tape, change)
    base = holding.base
    if len(tape) > TAPE:
        base, tape = fold(base, tape[:1]), tape[1:]
    return Holding(shares=fold(holding.shares, (change,)), base=base, tape=tape)


def reaches(holding: Holding, changes: Iterable[Traded]) -> bool:
    """Whether all of these can be taken back as if they had never been: whole, and not too long ago."""
    known = {change.change_id: change for change in holding.tape if isinstance(change, Traded)}
    return all(change.change_id in known and known[change.change_id].quantity == change.quantity for change in changes)


def exchange(holding: Holding, gone: Sequence[Traded], instead: Sequence[Traded] = ()) -> Holding:
    """The holding with these changes in the place of those, which its tape reaches."""
    ids, tape = {change.change_id for change in gone}, list[Change]()
    for change in holding.tape:
        if change.change_id not in ids:
            tape.append(change)
        elif change.change_id == gone[0].change_id:
            tape += instead
    return Holding(shares=fold(holding.base, tape), base=holding.base, tape=tuple(tape))


def undone(change: Traded) -> Traded:
    """The opposite trade, at its price."""
    quantity = change.quantity.copy_negate()
    return msgspec.structs.replace(change, change_id=f"{UNDOING}{change.change_id}", quantity=quantity)


def fold(shares: Shares, changes: Iterable[Change]) -> Shares:
    """The shares after these changes, in their order."""
    for change in changes:
        match change:
            case Traded():
                shares = _traded(shares, change)
            case Happened():
                shares = _happened(shares, change)
            case Divided():  # pragma: no branch - the last of its kind
                shares = _divided(shares, change)
    return shares


def _traded(shares: Shares, change: Traded) -> Shares:
    """The strategy's own lots are closed, oldest first; what is left opens one."""
    before = next((share for share in shares if share.strategy == change.strategy), Share(strategy=change.strategy))
    lots, realized, left = before.lots, before.realized, change.quantity
    while left and lots and _is_against(lots[0], left):
        lots, realized, left = _closed(lots, realized, left, change.price)
    if left:
        lots = (*lots, _opened(change.change_id, left, change.price))
    after = Share(strategy=change.strategy, lots=lots, realized=realized)
    if before in shares:
        return tuple(after if share is before else share for share in shares)
    return (*shares, after)


def _happened(shares: Shares, change: Happened) -> Shares:
    """The oldest lots on the other side are closed, share by share in the order they came; what is left is nobody's."""
    left = change.quantity
    after: list[Share] = []
    for share in shares:
        lots, realized = share.lots, share.realized
        while left and lots and _is_against(lots[0], left):
            lots, realized, left = _closed(lots, realized, left, change.price)
        after.append(Share(strategy=share.strategy, lots=lots, realized=realized))
    if not left:
        return tuple(after)
    return _traded(tuple(after), Traded(change_id=change.change_id, quantity=left, price=change.price))


def _closed(
    lots: tuple[Lot, ...], realized: Decimal | None, left: Decimal, price: Decimal | None
) -> tuple[tuple[Lot, ...], Decimal | None, Decimal]:
    """Close as much of the oldest lot as is left; the lots, the result so far, and what is left then."""
    lot = lots[0]
    quantity = lot.quantity if lot.quantity.copy_abs() <= left.copy_abs() else left.copy_negate()
    value = _part(lot, quantity)
    if realized is not None:
        realized = None if price is None or value is None else add(realized, subtract(multiply(price, quantity), value))
    rest = msgspec.structs.replace(
        lot,
        quantity=subtract(lot.quantity, quantity),
        value=None if lot.value is None or value is None else subtract(lot.value, value),
    )
    kept = (rest,) if rest.quantity else ()
    return kept + lots[1:], realized, add(left, quantity)


def _part(lot: Lot, quantity: Decimal) -> Decimal | None:
    """What so much of a lot cost: exact by its price, else its part of the value, half-even at 18 places."""
    if lot.price is not None:
        return multiply(lot.price, quantity)
    return lot.value if quantity == lot.quantity else _share(lot.value, quantity, lot.quantity)


def _is_against(lot: Lot, quantity: Decimal) -> bool:
    return lot.quantity.is_signed() is not quantity.is_signed()


def _opened(change_id: str, quantity: Decimal, price: Decimal | None) -> Lot:
    value = None if price is None else multiply(price, quantity)
    return Lot(change_id=change_id, quantity=quantity, value=value, price=price)


def _divided(shares: Shares, change: Divided) -> Shares:
    """Every lot in the new units. What rounding takes from one is given to the next: the sum is right to 18 places."""
    before, after = ZERO, ZERO
    shown: list[Share] = []
    for share in shares:
        lots: list[Lot] = []
        for lot in share.lots:
            before = add(before, lot.quantity)
            quantity = subtract(_share(before, change.new, change.old) or ZERO, after)
            after = add(after, quantity)
            if quantity:
                lots.append(Lot(change_id=lot.change_id, quantity=quantity, value=lot.value))
        shown.append(msgspec.structs.replace(share, lots=tuple(lots)))
    return tuple(shown)


def _share(whole: Decimal | None, part: Decimal, parts_: Decimal) -> Decimal | None:
    """whole * part / parts, half-even at 18 places: the rest keeps the difference."""
    if not whole:
        return whole
    return _WIDE.divide(_WIDE.multiply(whole, part), parts_).quantize(AVERAGE_PLACES, context=_WIDE)


def _sum(values: Iterable[Decimal]) -> Decimal:
    held = ZERO
    for value in values:
        held = add(held, value)
    return held
