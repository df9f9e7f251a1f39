"""The control interface under /_venue/: what a test may see and do, as JSON. Documented in docs/venue.md."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from orderd.venue.accounts import START_CASH, Happening
from orderd.venue.alpaca.face import AlpacaFace
from orderd.venue.dialect import DuplicateIds, Lookup
from orderd.venue.faults import Fault
from orderd.venue.orders import Change, EventKind, Refused, Status

T = TypeVar("T")
Answer = tuple[int, Any]
MOST_ROWS: Final = 10_000
DELAYS: Final = ("route_delay", "fill_delay", "refill_delay", "cancel_delay", "replace_delay")


class QuoteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST quotes."""

    symbol: str
    bid: Decimal
    ask: Decimal
    last: Decimal | None = None


class AssetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST assets: absent keeps what is set."""

    symbol: str
    is_tradable: bool | None = None
    is_fractionable: bool | None = None
    is_shortable: bool | None = None
    is_active: bool | None = None
    is_halted: bool | None = None
    splits_outside_session: bool | None = None
    quantity_step: Decimal | None = None
    minimum_quantity: Decimal | None = None


class FillBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST orders/{name}/fill."""

    quantity: Decimal | None = None
    price: Decimal | None = None


class EndBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST orders/{name}/end."""

    status: Status = Status.CANCELED


class MarkBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST orders/{name}/mark."""

    status: Status
    event: EventKind


class CorrectBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST executions/{id}/correct."""

    quantity: Decimal
    price: Decimal


class AccountBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST accounts."""

    key_id: str
    secret: str
    cash: Decimal = START_CASH
    number: str = ""


class ResetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST accounts/{key_id}/reset."""

    cash: Decimal = START_CASH


class ConnectionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST connections/kick and connections/stall: one connection, or all (0)."""

    number: int = 0
    code: int = 1011


class SettingsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST settings: absent keeps what is set."""

    is_auto_fill: bool | None = None
    partial_rate: Decimal | None = None
    tells_pending: bool | None = None
    carries_fills: bool | None = None
    refuses_wash_trades: bool | None = None
    route_delay_ms: float | None = None
    fill_delay_ms: float | None = None
    refill_delay_ms: float | None = None
    cancel_delay_ms: float | None = None
    replace_delay_ms: float | None = None
    requests_per_minute: int | None = None
    has_binary_frames: bool | None = None
    connection_limit: int | None = None
    duplicate_ids: DuplicateIds | None = None
    lookup: Lookup | None = None
    has_execution_ids: bool | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One control request."""

    parts: tuple[str, ...]
    query: Mapping[str, str]
    body: bytes

    def read(self, kind: type[T]) -> T:
        """The body as this type; an empty body is an empty object."""
        return msgspec.json.decode(self.body or b"{}", type=kind, strict=False)


class Control:
    """Answers control requests. `stall` is the server's: stop reading and writing on a connection."""

    def __init__(self, face: AlpacaFace, stall: Callable[[int], None]) -> None:
        self._face = face
        self._venue = face.venue
        self._stall = stall
        self._routes: list[tuple[str, re.Pattern[str], Callable[[Ask], Answer]]] = [
            (method, re.compile(pattern), action) for method, pattern, action in self._table()
        ]

    def handle(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request; the path starts after /_venue/."""
        known = False
        for wanted, pattern, action in self._routes:
            found = pattern.fullmatch(path.strip("/"))
            if found is None:
                continue
            known = True
            if wanted == method:
                return _guarded(action, Ask(parts=found.groups(), query=query, body=body))
        return (405, {"error": "method not allowed"}) if known else (404, {"error": f"no such page: {path}"})

    def _table(self) -> list[tuple[str, str, Callable[[Ask], Answer]]]:
        return [
            ("GET", "clock", self._clock),
            ("GET", "quotes", self._quotes),
            ("POST", "quotes", self._set_quotes),
            ("GET", "assets", self._assets),
            ("POST", "assets", self._change_asset),
            ("POST", "settings", self._settings),
            ("GET", "orders", self._orders),
            ("GET", "orders/([^/]+)", self._order),
            ("POST", "orders/([^/]+)/fill", self._fill),
            ("POST", "orders/([^/]+)/end", self._end),
            ("POST", "orders/([^/]+)/mark", self._mark),
            ("POST", "orders/([^/]+)/replace", self._replace),
            ("GET", "executions", self._executions),
            ("POST", "executions/([^/]+)/bust", self._bust),
            ("POST", "executions/([^/]+)/correct", self._correct),
            ("POST", "day/expire", self._expire_day),
            ("GET", "accounts", self._accounts),
            ("POST", "accounts", self._open_account),
            ("POST", "accounts/([^/]+)/vanish", self._vanish),
            ("POST", "accounts/([^/]+)/reset", self._reset),
            ("POST", "accounts/([^/]+)/holdings", self._happen),
            ("GET", "faults", self._faults),
            ("POST", "faults", self._arm),
            ("DELETE", "faults", self._clear),
            ("DELETE", r"faults/(\d+)", self._clear),
            ("GET", "faults/fired", self._fired),
            ("GET", "barriers", self._barriers),
            ("POST", "barriers/([^/]+)/release", self._release),
            ("POST", "barriers/([^/]+)/close", self._close_barrier),
            ("GET", "received", self._received),
            ("GET", "ledger", self._ledger),
            ("GET", "frames", self._frames),
            ("GET", "connections", self._connections),
            ("POST", "connections/kick", self._kick),
            ("POST", "connections/stall", self._stalled),
        ]

    # --- market ---------------------------------------------------------------------------------------

    def _clock(self, ask: Ask) -> Answer:
        del ask
        return 200, {"now": self._venue.now, "next_due": self._venue.next_due()}

    def _quotes(self, ask: Ask) -> Answer:
        del ask
        return 200, self._venue.state.quotes.all()

    def _set_quotes(self, ask: Ask) -> Answer:
        is_list = ask.body.lstrip().startswith(b"[")
        listed = ask.read(list[QuoteBody]) if is_list else [ask.read(QuoteBody)]
        return 200, [self._venue.set_quote(each.symbol, each.bid, each.ask, each.last) for each in listed]

    def _assets(self, ask: Ask) -> Answer:
        del ask
        return 200, self._venue.state.assets.all()

    def _change_asset(self, ask: Ask) -> Answer:
        wanted = msgspec.structs.asdict(ask.read(AssetBody))
        return 200, self._venue.change_asset(**{name: value for name, value in wanted.items() if value is not None})

    def _settings(self, ask: Ask) -> Answer:
        wanted = ask.read(SettingsBody)
        given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
        options = {name: given.pop(name) for name in list(given) if name in self._face.options.__struct_fields__}
        self._face.options = msgspec.structs.replace(self._face.options, **options)
        auto_fill = given.pop("is_auto_fill", None)
        for name in DELAYS:
            if f"{name}_ms" in given:
                given[name] = timedelta(milliseconds=given.pop(f"{name}_ms"))
        self._venue.change_settings(**given)
        if auto_fill is not None:
            self._venue.set_auto_fill(is_on=auto_fill)
        return 200, {"settings": self._venue.state.settings, "options": self._face.options}

    def _expire_day(self, ask: Ask) -> Answer:
        del ask
        self._venue.expire_day()
        return 200, {}

    # --- orders and executions --------------------------------------------------------------------------

    def _orders(self, ask: Ask) -> Answer:
        wanted = ask.query.get("client_order_id", "")
        rows = [order for order in self._venue.ledger.orders.values() if wanted in {"", order.client_order_id}]
        return 200, rows

    def _order(self, ask: Ask) -> Answer:
        return 200, self._venue.find(ask.parts[0])

    def _fill(self, ask: Ask) -> Answer:
        wanted = ask.read(FillBody)
        return 200, self._venue.fill(ask.parts[0], wanted.quantity, wanted.price)

    def _end(self, ask: Ask) -> Answer:
        return 200, self._venue.end(ask.parts[0], ask.read(EndBody).status)

    def _mark(self, ask: Ask) -> Answer:
        wanted = ask.read(MarkBody)
        return 200, self._venue.mark(ask.parts[0], wanted.status, wanted.event)

    def _replace(self, ask: Ask) -> Answer:
        answer = self._venue.replace_by_person(ask.parts[0], ask.read(Change))
        return (422 if isinstance(answer, Refused) else 200), answer

    def _executions(self, ask: Ask) -> Answer:
        del ask
        return 200, list(self._venue.ledger.executions.values())

    def _bust(self, ask: Ask) -> Answer:
        return 200, self._venue.bust(ask.parts[0])

    def _correct(self, ask: Ask) -> Answer:
        wanted = ask.read(CorrectBody)
        return 200, self._venue.correct(ask.parts[0], wanted.quantity, wanted.price)

    # --- accounts -----------------------------------------------------------------------------------------

    def _accounts(self, ask: Ask) -> Answer:
        del ask
        return 200, [
            {
                "account_id": account.account_id,
                "number": account.number,
                "cash": account.cash,
                "positions": list(account.positions.values()),
            }
            for account in self._venue.state.accounts.values()
        ]

    def _open_account(self, ask: Ask) -> Answer:
        wanted = ask.read(AccountBody)
        account = self._venue.open_account(cash=wanted.cash, number=wanted.number)
        self._face.add_key(wanted.key_id, wanted.secret, account)
        return 200, {"account_id": account.account_id, "number": account.number}

    def _vanish(self, ask: Ask) -> Answer:
        return 200, {"orders": self._venue.vanish_orders(self._face.account_of(ask.parts[0]))}

    def _reset(self, ask: Ask) -> Answer:
        account = self._face.reset_account(ask.parts[0], ask.read(ResetBody).cash)
        return 200, {"account_id": account.account_id, "number": account.number}

    def _happen(self, ask: Ask) -> Answer:
        """What changes positions and is no trade; rows with a kind are listed as activities, those without are not."""
        account = self._face.account_of(ask.parts[0])
        self._venue.happen(account, ask.read(list[Happening]))
        return 200, list(account.positions.values())

    # --- faults -------------------------------------------------------------------------------------------

    def _faults(self, ask: Ask) -> Answer:
        del ask
        return 200, self._venue.faults.armed()

    def _arm(self, ask: Ask) -> Answer:
        return 200, self._venue.faults.arm(ask.read(Fault))

    def _clear(self, ask: Ask) -> Answer:
        return 200, {"cleared": self._venue.faults.clear(int(ask.parts[0]) if ask.parts else None)}

    def _fired(self, ask: Ask) -> Answer:
        del ask
        return 200, list(self._venue.faults.fired)

    def _barriers(self, ask: Ask) -> Answer:
        del ask
        return 200, self._venue.faults.barriers.waiting()

    def _release(self, ask: Ask) -> Answer:
        return 200, {"released": self._venue.faults.barriers.release(ask.parts[0])}

    def _close_barrier(self, ask: Ask) -> Answer:
        self._venue.faults.barriers.close(ask.parts[0])
        return 200, {}

    # --- what was seen --------------------------------------------------------------------------------------

    def _received(self, ask: Ask) -> Answer:
        after = int(ask.query.get("after", "-1"))
        wanted = ask.query.get("client_order_id", "")
        method = ask.query.get("method", "")
        rows = [
            row
            for row in self._venue.ledger.received
            if row.sequence > after and wanted in {"", row.client_order_id} and method in {"", row.method}
        ]
        return 200, rows[:MOST_ROWS]

    def _ledger(self, ask: Ask) -> Answer:
        del ask
        ledger = self._venue.ledger
        return 200, {
            "digest": ledger.digest(),
            "received": list(ledger.received),
            "orders": list(ledger.orders.values()),
            "executions": list(ledger.executions.values()),
        }

    def _frames(self, ask: Ask) -> Answer:
        del ask
        return 200, list(self._face.frames)

    def _connections(self, ask: Ask) -> Answer:
        del ask
        return 200, [
            {
                "number": session.number,
                "key_id": session.key_id,
                "streams": session.streams,
                "frames_sent": session.frames_sent,
            }
            for session in self._face.sessions.values()
        ]

    def _kick(self, ask: Ask) -> Answer:
        wanted = ask.read(ConnectionBody)
        chosen = [each for each in self._face.sessions.values() if wanted.number in {0, each.number}]
        for session in chosen:
            session.kick(wanted.code)
        return 200, {"kicked": len(chosen)}

    def _stalled(self, ask: Ask) -> Answer:
        wanted = ask.read(ConnectionBody)
        chosen = [each.number for each in self._face.sessions.values() if wanted.number in {0, each.number}]
        for number in chosen:
            self._stall(number)
        return 200, {"stalled": len(chosen)}


def _guarded(action: Callable[[Ask], Answer], ask: Ask) -> Answer:
    try:
        return action(ask)
    except LookupError as missing:
        return 404, {"error": str(missing.args[0] if missing.args else missing)}
    except (ValueError, ArithmeticError) as wrong:  # msgspec's errors are ValueErrors too
        return 422, {"error": str(wrong)}
