"""Completed trades: the fills of one strategy in one symbol, paired first in, first out.

Rule 1: a ledger is one (account, strategy, symbol). Nothing of another one, and nothing that was done outside orderd,
ever consumes its lots.
Rule 2: fills are paired in the order they were executed in (the broker's time), not in the order we heard of them.
What is told late, taken back or restated gives what a fold of everything anew would give.
Rule 3: money is shared out exactly: what is rounded off one part stays in the rest, so parts add up to the whole.
Rule 4: a fill of an order that is meant to close never opens: what it finds no lot for stays unmatched.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, Overflow

import msgspec

from orderd.core.adjustments import Split
from orderd.core.order import Side
from orderd.core.slices import Booked, Key, Match, Slice, by_slice, grown
from orderd.core.values import AVERAGE_PLACES, ZERO, FillId, OrderId, Value, add, multiply, subtract

_WIDE = Context(prec=300, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])
"""Wide enough for a product of three 38-digit figures before the one division that rounds."""


class Fills(Value, frozen=True, kw_only=True):
    """A change of the ledger: fills that count no more, and fills that count from now on."""

    added: tuple[Booked, ...] = ()
    removed: tuple[Booked, ...] = ()
    """As they were booked, but for their place in the journal."""


class Charged(Value, frozen=True, kw_only=True):
    """The broker named fees for an order as a whole: all of them so far, beside those of its single fills."""

    order_id: OrderId
    fees: Decimal


Change = Fills | Charged | Split
Find = Callable[[str], Slice | None]

MOST_FLATS = 24


class Lot(Value, frozen=True, kw_only=True):
    """What is still open of a fill: `value` is its part of what was paid (price * quantity), `fees` of its fees."""

    fill: Booked
    quantity: Decimal
    value: Decimal | None
    fees: Decimal
    is_split: bool = False


class Ledger(Value, frozen=True, kw_only=True):
    """What is open of one (account, strategy, symbol), and what of its past a restatement needs beside its slices.

    All lots are of one side, oldest first.
    """

    lots: tuple[Lot, ...] = ()
    unmatched: tuple[Booked, ...] = ()
    """Fills of closing orders that found less than they closed."""
    splits: tuple[Split, ...] = ()
    charges: tuple[tuple[OrderId, Decimal], ...] = ()
    newest: Key | None = None
    newest_exit: Key | None = None
    """The last fill that closed something."""
    flats: tuple[Key, ...] = ()
    """Some of the fills after which nothing was held, rising: what comes later can be folded anew from there."""

    @property
    def quantity(self) -> Decimal:
        """The open quantity: negative when short."""
        held = ZERO
        for lot in self.lots:
            held = add(held, lot.quantity)
        return held if not self.lots or self.lots[0].fill.ticket.side is Side.BUY else -held


class Outcome(Value, frozen=True, kw_only=True):
    """The ledger after a change, and every slice that changed: the next version of each, none other."""

    ledger: Ledger
    changed: tuple[Slice, ...] = ()
    is_restatement: bool = False
    """Everything was folded anew: what was known before stands differently now."""


def restarts(ledger: Ledger, change: Change) -> tuple[Key | None, ...]:
    """From where `apply` can fold anew, the nearest place first; empty when the change comes in its order.

    At each of them nothing was held; None is the very beginning. What stood there can change no more, unless a slice
    was closed both before and after it (`straddles`): then the next place has to do.
    """
    first = _first_changed(ledger, change)
    if first is None:
        return (None,) if isinstance(change, Charged) else ()
    flats = () if ledger.charges else tuple(flat for flat in reversed(ledger.flats) if flat < first)
    return (*flats, None)


def straddles(slices: Iterable[Slice], since: Key | None) -> bool:
    """Whether one of them was closed both before and after."""
    return since is not None and any(each.exits and each.exits[0].key <= since < each.exits[-1].key for each in slices)


def apply(
    ledger: Ledger, change: Change, find: Find, *, since: Key | None = None, known: Iterable[Slice] = ()
) -> Outcome:
    """Fold one change into the ledger.

    `find` gives a slice by its id. When `restarts` is not empty: `since` is one of its places, `known` are (at least)
    all slices that were closed after it, none of which straddles it.
    """
    if _is_known(ledger, change):
        return Outcome(ledger=ledger)
    if isinstance(change, Fills):
        if not change.removed and _is_in_order(ledger, change.added):
            return _continue(ledger, change.added, find)
        if _is_about_open_lots(ledger, change):
            return Outcome(ledger=_change_lots(ledger, change))
    elif isinstance(change, Split) and _is_newest(ledger, change.key):
        return Outcome(ledger=_split(ledger, change))
    later = [each for each in known if each.exits and (since is None or each.exits[-1].key > since)]
    fills = tape(ledger, later, since)
    if isinstance(change, Fills):
        gone = {fill.fill_id for fill in change.removed}
        fills = [*(fill for fill in fills if fill.fill_id not in gone), *change.added]
    elif isinstance(change, Split):
        ledger = msgspec.structs.replace(ledger, splits=(*ledger.splits, change))
    else:
        others = (pair for pair in ledger.charges if pair[0] != change.order_id)
        ledger = msgspec.structs.replace(ledger, charges=(*others, (change.order_id, change.fees)))
    return _restate(ledger, later, fills, find, since)


# --------------------------------------------------------------------------------------------------- one fill, in order


def _continue(ledger: Ledger, fills: Iterable[Booked], find: Find) -> Outcome:
    """Fold fills that are newer than everything before them."""
    matches: list[Match] = []
    for fill in sorted(fills, key=_key):
        ledger, found = _take(ledger, fill, fill.fee)
        matches += found
    changed = [grown(find(slice_id), slice_id, group) for slice_id, group in by_slice(matches).items()]
    return Outcome(ledger=ledger, changed=tuple(changed))


def _take(ledger: Ledger, fill: Booked, fees: Decimal) -> tuple[Ledger, list[Match]]:
    """Close the oldest lots of the other side, then open a lot with what is left."""
    rest = Lot(fill=fill, quantity=fill.quantity, value=_value(fill, fill.quantity), fees=fees)
    lots, matches, done = ledger.lots, list[Match](), 0
    while rest.quantity and done < len(lots) and lots[done].fill.ticket.side is not fill.ticket.side:
        quantity = min(lots[done].quantity, rest.quantity)
        entry, lot = _part(lots[done], quantity)
        closed, rest = _part(rest, quantity)
        matches.append(
            Match(
                lot=lot.fill,
                fill=fill,
                quantity=quantity,
                entry_value=entry.value,
                exit_value=closed.value,
                fees=add(entry.fees, closed.fees),
            )
        )
        lots = lots if not lot.quantity else (*lots[:done], lot, *lots[done + 1 :])
        done += not lot.quantity
    is_unmatched = bool(rest.quantity) and fill.ticket.is_exit
    opened = (rest,) if rest.quantity and not is_unmatched else ()
    after = msgspec.structs.replace(
        ledger,
        lots=lots[done:] + opened,
        unmatched=(*ledger.unmatched, fill) if is_unmatched else ledger.unmatched,
        newest=fill.key,
        newest_exit=fill.key if matches or is_unmatched else ledger.newest_exit,
        flats=_with(ledger.flats, fill.key) if matches and done == len(lots) and not opened else ledger.flats,
    )
    return after, matches


def _with(flats: tuple[Key, ...], key: Key) -> tuple[Key, ...]:
    """One more place where nothing was held. The older they are, the fewer are remembered."""
    if len(flats) >= MOST_FLATS:
        flats = flats[: MOST_FLATS // 2 : 2] + flats[MOST_FLATS // 2 :]
    return (*flats, key)


def _part(lot: Lot, quantity: Decimal) -> tuple[Lot, Lot]:
    """This quantity of it, and the rest."""
    if quantity == lot.quantity:
        return lot, msgspec.structs.replace(lot, quantity=ZERO, value=ZERO, fees=ZERO)
    value = _share(lot.value, quantity, lot.quantity) if lot.is_split else _value(lot.fill, quantity)
    fees = _share(lot.fees, quantity, lot.quantity) or ZERO
    rest = msgspec.structs.replace(
        lot,
        quantity=subtract(lot.quantity, quantity),
        value=None if lot.value is None or value is None else subtract(lot.value, value),
        fees=subtract(lot.fees, fees),
    )
    return msgspec.structs.replace(lot, quantity=quantity, value=value, fees=fees), rest


def _value(fill: Booked, quantity: Decimal) -> Decimal | None:
    return None if fill.price is None else multiply(fill.price, quantity)


def _share(whole: Decimal | None, part: Decimal, parts: Decimal) -> Decimal | None:
    """whole * part / parts, half-even at 18 places: the rest keeps the difference."""
    if not whole:
        return whole
    return _WIDE.divide(_WIDE.multiply(whole, part), parts).quantize(AVERAGE_PLACES, context=_WIDE)


# ------------------------------------------------------------------------------------------ what does not come in order


def _key(entry: Booked | Split) -> Key:
    return entry.key


def _is_known(ledger: Ledger, change: Change) -> bool:
    """A split that is in it already: it is told once."""
    return (
        isinstance(change, Split) and bool(change.split_id) and change.split_id in {s.split_id for s in ledger.splits}
    )


def _is_newest(ledger: Ledger, key: Key) -> bool:
    return ledger.newest is None or key > ledger.newest


def _is_in_order(ledger: Ledger, fills: Iterable[Booked]) -> bool:
    """Newer than all that is in the ledger, and of orders whose fees are not shared out among their fills."""
    charged = [order_id for order_id, _ in ledger.charges]
    return all(_is_newest(ledger, fill.key) and fill.ticket.order_id not in charged for fill in fills)


def _first_changed(ledger: Ledger, change: Change) -> Key | None:
    """The first place that a change touches; None when it comes in its order, or touches places that are not told."""
    if isinstance(change, Charged) or _is_known(ledger, change):
        return None
    if isinstance(change, Split):
        return None if _is_newest(ledger, change.key) else change.key
    if (not change.removed and _is_in_order(ledger, change.added)) or _is_about_open_lots(ledger, change):
        return None
    # Where a removed fill was booked is not told: before whatever else its order did at that moment.
    places = [(fill.at, fill.ticket.order_id, 0, 0) for fill in change.removed]
    return min([*places, *(fill.key for fill in change.added)])


def _is_about_open_lots(ledger: Ledger, change: Fills) -> bool:
    """Nothing was closed since, nothing is closed by it, and nothing that it takes back was closed in part."""
    whole = {lot.fill.fill_id for lot in ledger.lots if lot.quantity == lot.fill.quantity and not lot.is_split}
    if ledger.charges or not whole.issuperset(fill.fill_id for fill in change.removed):
        return False
    since = max((key for key in (ledger.newest_exit, *(split.key for split in ledger.splits)) if key), default=None)
    side = next((fill.ticket.side for fill in (*(lot.fill for lot in ledger.lots), *change.added)), None)
    return all(
        (since is None or fill.key > since) and fill.ticket.side is side and not fill.ticket.is_exit
        for fill in change.added
    )


def _change_lots(ledger: Ledger, change: Fills) -> Ledger:
    """The same lots without those, with these in their places."""
    gone = {fill.fill_id for fill in change.removed}
    lots = [lot for lot in ledger.lots if lot.fill.fill_id not in gone]
    for fill in change.added:
        lots.append(Lot(fill=fill, quantity=fill.quantity, value=_value(fill, fill.quantity), fees=fill.fee))
    lots.sort(key=lambda lot: lot.fill.key)
    keys = [lot.fill.key for lot in lots] + [split.key for split in ledger.splits]
    newest = max([*keys, *([] if ledger.newest_exit is None else [ledger.newest_exit])], default=None)
    return msgspec.structs.replace(ledger, lots=tuple(lots), newest=newest)


def _split(ledger: Ledger, split: Split) -> Ledger:
    """Every open lot in the new shares. What rounding takes from one is given to the next: the sum is right."""
    before, after = ZERO, ZERO
    lots: list[Lot] = []
    for lot in ledger.lots:
        before = add(before, lot.quantity)
        quantity = subtract(_share(before, split.new, split.old) or ZERO, after)
        after = add(after, quantity)
        lots.append(msgspec.structs.replace(lot, quantity=quantity, is_split=True))
    return msgspec.structs.replace(ledger, lots=tuple(lots), splits=(*ledger.splits, split), newest=split.key)


def tape(ledger: Ledger, slices: Iterable[Slice], since: Key | None = None) -> list[Booked]:
    """Every later fill that counts, once: what is open, what is unmatched, and what the slices are made of."""
    fills = {lot.fill.fill_id: lot.fill for lot in ledger.lots}
    fills |= {fill.fill_id: fill for fill in ledger.unmatched}
    for each in slices:
        fills |= {fill.fill_id: fill for fill in (*each.entries, *each.exits)}
    return [fill for fill in fills.values() if _is_later(fill, since)]


def _is_later(entry: Booked | Split, since: Key | None) -> bool:
    return since is None or entry.key > since


def _restate(
    before: Ledger, slices: Sequence[Slice], fills: Sequence[Booked], find: Find, since: Key | None
) -> Outcome:
    """Fold everything anew from there, and say what came out differently."""
    extra = _shared_charges(fills, dict(before.charges))
    ledger = Ledger(
        charges=before.charges,
        unmatched=tuple(fill for fill in before.unmatched if not _is_later(fill, since)),
        splits=tuple(split for split in before.splits if not _is_later(split, since)),
        flats=tuple(flat for flat in before.flats if since is not None and flat <= since),
        newest=since,
        newest_exit=since,
    )
    matches: list[Match] = []
    entries: list[Booked | Split] = [*fills, *(split for split in before.splits if _is_later(split, since))]
    for entry in sorted(entries, key=_key):
        if isinstance(entry, Split):
            ledger = _split(ledger, entry)
        else:
            ledger, found = _take(ledger, entry, add(entry.fee, extra.get(entry.fill_id, ZERO)))
            matches += found
    known = {each.slice_id: each for each in slices}
    changed: list[Slice | None] = []
    for slice_id, group in by_slice(matches).items():
        old = known.pop(slice_id, None)
        if old is None:  # new, or closed in part before that place: that part stands
            changed.append(grown(find(slice_id), slice_id, group))
        else:
            changed.append(_next_version(old, grown(None, slice_id, group)))
    changed += [_next_version(old, _emptied(old)) for old in known.values()]
    return Outcome(ledger=ledger, changed=tuple(each for each in changed if each is not None), is_restatement=True)


def _shared_charges(counted: Iterable[Booked], charges: Mapping[OrderId, Decimal]) -> dict[FillId, Decimal]:
    """Each fill's part of what was charged for its order as a whole, by quantity; the last one takes the rest."""
    if not charges:
        return {}
    shares: dict[FillId, Decimal] = {}
    fills = sorted((fill for fill in counted if fill.ticket.order_id in charges), key=_key)
    for order_id, fees in charges.items():
        own = [fill for fill in fills if fill.ticket.order_id == order_id]
        left = ZERO
        for fill in own:
            left = add(left, fill.quantity)
        for fill in own:
            share = fees if fill.quantity == left else _share(fees, fill.quantity, left) or ZERO
            shares[fill.fill_id] = share
            fees, left = subtract(fees, share), subtract(left, fill.quantity)  # noqa: PLW2901
    return shares


def _emptied(gone: Slice) -> Slice:
    """Its exit (or its entry) was taken back: nothing of it is left but its name."""
    return Slice(slice_id=gone.slice_id, version=gone.version, entry=gone.entry, exit=gone.exit)


def _next_version(known: Slice, anew: Slice) -> Slice | None:
    """The new content with the next version; None when nothing is different."""
    if msgspec.structs.replace(anew, version=known.version, is_restated=known.is_restated) == known:
        return None
    return msgspec.structs.replace(anew, version=known.version + 1, is_restated=True)
