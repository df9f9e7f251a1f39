"""The venue: what its customers may ask, and what whoever runs the test may do to it. Pure; time is passed in."""

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import msgspec

from orderd.venue import changing, execution, fees, lifecycle, opening, replacing
from orderd.venue.accounts import START_CASH, Account, CashMovement, Happening
from orderd.venue.assets import DEFAULT_ASSETS, Asset, Assets
from orderd.venue.faults import Faults
from orderd.venue.funds import funds_of
from orderd.venue.ledger import Ledger
from orderd.venue.money import exact
from orderd.venue.orders import Change, Event, EventKind, NewOrder, Order, Reason, Refused, Status
from orderd.venue.quotes import Move, Quote, Source
from orderd.venue.sessions import Sessions
from orderd.venue.state import Settings, State


class Venue:
    """A simulated exchange and broker. The same seed and the same calls make the same ledger."""

    def __init__(
        self,
        *,
        rng: random.Random,
        now: datetime,
        settings: Settings | None = None,
        sessions: Sessions | None = None,
        assets: Iterable[Asset] = DEFAULT_ASSETS,
        source: Source | None = None,
    ) -> None:
        self.state = State(
            settings=settings or Settings(),
            rng=rng,
            now=now.astimezone(UTC),
            sessions=sessions or Sessions(is_always_open=True),
            assets=Assets(assets),
        )
        self.faults = Faults(random.Random(rng.getrandbits(64)))
        self._source = source
        self._plan_source()
        self._plan_day_end()

    # --- time and news ------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The moment the venue was advanced to."""
        return self.state.now

    @property
    def ledger(self) -> Ledger:
        """What was received and executed."""
        return self.state.ledger

    def next_due(self) -> datetime | None:
        """When `advance` has something to do next."""
        return self.state.next_due()

    @exact
    def advance(self, now: datetime) -> None:
        """Do everything due up to that moment."""
        self.state.advance(now)

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Tell this function every event, in order, as it happens; the answer ends it."""
        self.state.listeners.append(listener)
        return partial(self.state.listeners.remove, listener)

    # --- customers ------------------------------------------------------------------------------------

    def open_account(self, *, cash: Decimal = START_CASH, number: str = "") -> Account:
        """Open an account with money in it."""
        account = Account(
            account_id=self.state.new_id(),
            number=number or self._new_number(),
            cash=cash,
            opened_at=self.state.now,
        )
        self.state.accounts[account.account_id] = account
        return account

    @exact
    def submit(self, account: Account, new: NewOrder) -> Order | Refused:
        """Take an order, or say why not."""
        return opening.submit(self.state, account, new)

    @exact
    def cancel(self, account: Account, order_id: str) -> Order | Refused:
        """Take a cancel request; the end of the order comes later, and may be a fill."""
        order = self.own(account, order_id)
        if order is None:
            return Refused(reason=Reason.UNKNOWN_ORDER, details={"id": order_id})
        refused = changing.cancelable(self.state, order)
        if refused is not None:
            return refused
        lifecycle.request_cancel(self.state, order)
        return self.state.book.must(order_id)

    @exact
    def replace(self, account: Account, order_id: str, change: Change) -> Order | Refused:
        """Take a replace request and answer the successor."""
        order = self.own(account, order_id)
        if order is None:
            return Refused(reason=Reason.UNKNOWN_ORDER, details={"id": order_id})
        refused = changing.replaceable(self.state, account, order, change)
        if refused is not None:
            return refused
        return replacing.request_replace(self.state, order, change)

    def own(self, account: Account, order_id: str) -> Order | None:
        """An order of this account by the venue's id."""
        order = self.state.book.get(order_id)
        return order if order is not None and order.account_id == account.account_id else None

    # --- whoever runs the test --------------------------------------------------------------------------

    def find(self, name: str) -> Order:
        """An order by the venue's or the client's id, of any account. Raises LookupError."""
        order = self.state.book.get(name)
        if order is not None:
            return order
        for account_id in self.state.accounts:
            order = self.state.book.by_client_id(account_id, name)
            if order is not None:
                return order
        raise LookupError(f"no order {name}")

    @exact
    def set_quote(self, symbol: str, bid: Decimal, ask: Decimal, last: Decimal | None = None) -> Quote:
        """Set a market and let the book follow. Raises LookupError for a symbol that is not listed."""
        asset = self.state.asset(symbol)
        self.state.quotes.open(asset)
        quote = self.state.quotes.move(Move(symbol=asset.symbol, bid=bid, ask=ask, last=last))
        lifecycle.quote_moved(self.state, asset.symbol)
        return quote

    def quote(self, symbol: str) -> Quote:
        """The market in a listed symbol."""
        return self.state.quote(symbol)

    @exact
    def set_auto_fill(self, *, is_on: bool) -> None:
        """Stop, or start again, trading by itself."""
        self.change_settings(is_auto_fill=is_on)
        if is_on:
            for quote in self.state.quotes.all():
                lifecycle.quote_moved(self.state, quote.symbol)

    @exact
    def change_asset(self, symbol: str, **changes: object) -> Asset:
        """Change what is said of an instrument and done with it from now on. Raises LookupError, ValueError."""
        asset = self.state.assets.find(symbol)
        if asset is None:
            raise LookupError(f"no such asset: {symbol}")
        asset = msgspec.convert({**msgspec.structs.asdict(asset), **changes}, Asset)
        for step in (asset.quantity_step, asset.minimum_quantity):
            if step is not None and not step > 0:
                raise ValueError("steps and minimums are positive")
        self.state.assets.add(asset)
        lifecycle.quote_moved(self.state, asset.symbol)
        return asset

    def change_settings(self, **changes: object) -> None:
        """Change how the venue behaves from now on."""
        self.state.settings = msgspec.convert({**msgspec.structs.asdict(self.state.settings), **changes}, Settings)

    @exact
    def fill(self, name: str, quantity: Decimal | None = None, price: Decimal | None = None) -> Order:
        """Trade an order now: all of it at the touch unless told otherwise. Works on an ended order too (a late
        fill), and beyond the quantity (an overfill). Raises LookupError, or ValueError when there is no price.
        """
        order = self.find(name)
        if order.status in lifecycle.UNROUTED:
            lifecycle.route(self.state, order.order_id)
            order = self.state.book.must(order.order_id)
        at = price if price is not None else self._touch(order)
        settled = lifecycle.settled(order, at)
        if quantity is None and not settled.leaves:
            raise ValueError(f"order {name} has nothing left to fill")
        return lifecycle.fill(self.state, order, at, quantity)

    @exact
    def bust(self, execution_id: str) -> Event:
        """Take an execution back."""
        return execution.bust(self.state, execution_id)

    @exact
    def correct(self, execution_id: str, quantity: Decimal, price: Decimal) -> Event:
        """Correct an execution."""
        return execution.correct(self.state, execution_id, quantity, price)

    @exact
    def end(self, name: str, status: Status) -> Order:
        """End an order unasked: canceled, expired or rejected by the venue. Raises LookupError, ValueError."""
        if status not in lifecycle.ENDS:
            raise ValueError(f"{status} is not an end")
        order = self.find(name)
        lifecycle.end_group(self.state, order, status)
        return self.state.book.must(order.order_id)

    @exact
    def mark(self, name: str, status: Status, kind: EventKind) -> Order:
        """Give an order a status that nothing here leads to (suspended, done_for_day, ...) and tell it."""
        order = self.state.put(msgspec.structs.replace(self.find(name), status=status))
        self.state.tell(kind, order)
        return order

    @exact
    def replace_by_person(self, name: str, change: Change) -> Order | Refused:
        """Replace an order as somebody at the broker's own screen would."""
        order = self.find(name)
        return self.replace(self.state.accounts[order.account_id], order.order_id, change)

    @exact
    def expire_day(self) -> None:
        """Close the day now: every day order expires, closing prices become yesterday's."""
        for account_id in list(self.state.accounts):
            for order in self.state.book.open_of_account(account_id):
                if order.time_in_force != "gtc":
                    lifecycle.end_group(self.state, self.state.book.must(order.order_id), Status.EXPIRED)
        self._close_day()

    def vanish_orders(self, account: Account) -> int:
        """Forget every order of an account without a word (a paper reset does this). Answers how many."""
        gone = len(self.state.book.of_account(account.account_id))
        self.state.book.forget(account.account_id)
        return gone

    def reset_account(self, account: Account, cash: Decimal = START_CASH) -> Account:
        """A new account number, no positions, no orders, the start money: what a paper reset does."""
        self.vanish_orders(account)
        del self.state.accounts[account.account_id]
        return self.open_account(cash=cash)

    @exact
    def happen(self, account: Account, happenings: Iterable[Happening]) -> None:
        """Change positions without a trade. ValueError for a symbol that nobody knows, or nothing changed."""
        for each in happenings:
            if not each.quantity:
                raise ValueError("quantity must not be 0")
            asset = self.state.asset(each.symbol)
            if each.moves:
                account.happen(msgspec.structs.replace(each, multiplier=asset.multiplier))
            if each.kind:
                movement = CashMovement(
                    movement_id=self.state.new_id(),
                    kind=each.kind,
                    at=self.state.now,
                    net_amount=each.net_amount,
                    description=each.kind,
                    symbol=each.symbol,
                    quantity=each.quantity,
                    price=each.price,
                    group_id=each.group_id,
                    day=each.day,
                )
                account.move(movement)

    # --- by itself ----------------------------------------------------------------------------------------

    def _touch(self, order: Order) -> Decimal:
        price = lifecycle.price_now(self.state, order)
        if price is not None:
            return price
        if order.limit_price is not None:
            return order.limit_price
        if order.side is None:
            raise ValueError("a multi-leg order needs a price")
        return self.state.quote(order.symbol).touch(order.side)

    def _new_number(self) -> str:
        return "PA3" + self.state.new_id().replace("-", "")[:9].upper()

    def _plan_source(self) -> None:
        due = self._source.next_at() if self._source else None
        if due is not None:
            self.state.schedule(due, self._take_quotes)

    def _take_quotes(self) -> None:
        if self._source is None:
            return
        for move in self._source.take(self.state.quotes):
            asset = self.state.assets.find(move.symbol)
            if asset is not None:
                self.state.quotes.open(asset)
                self.state.quotes.move(msgspec.structs.replace(move, symbol=asset.symbol))
                lifecycle.quote_moved(self.state, asset.symbol)
        self._plan_source()

    def _plan_day_end(self) -> None:
        self.state.schedule(self.state.sessions.next_close(self.state.now), self._end_day)

    def _end_day(self) -> None:
        self._close_day()
        self._plan_day_end()

    def _close_day(self) -> None:
        for account in self.state.accounts.values():
            fees.charge(self.state, account)
            account.last_equity = funds_of(self.state, account).equity
        self.state.quotes.close_day()
