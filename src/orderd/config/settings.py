"""The settings and what each of them may be.

Rule 1: each field says in words what is allowed (`Allowed`); errors and the reference page quote it.
Rule 2: money and quantities are decimals in quotes; a TOML float has lost digits before anyone can look at it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from orderd.config import checks
from orderd.core.order import Mode
from orderd.risk.limits import Limits


@dataclass(frozen=True)
class Allowed:
    """What a field may be, as a phrase that follows "must be"."""

    text: str


class BrokerName(StrEnum):
    ALPACA = "alpaca"
    SIMULATED = "simulated"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


AnyDecimal = Annotated[Decimal, BeforeValidator(checks.decimal), Field(gt=0)]
Percent = Annotated[Decimal, BeforeValidator(checks.decimal), Field(gt=0, le=100)]
Count = Annotated[int, BeforeValidator(checks.number)]
Seconds = Annotated[float, BeforeValidator(checks.number), Field(allow_inf_nan=False)]
Address = Annotated[str, AfterValidator(checks.address)]

_FROZEN = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


class RiskSettings(BaseModel):
    """Limits of one order and of one account. Unset means not limited."""

    model_config = _FROZEN

    max_order_notional: Annotated[
        AnyDecimal | None, Allowed('a positive decimal in quotes, such as "100000", in the account\'s currency')
    ] = None
    """Largest value of one order, in the account's currency."""
    max_order_quantity: Annotated[AnyDecimal | None, Allowed('a positive decimal in quotes, such as "500"')] = None
    """Largest quantity of one order, in units of the instrument (contracts for options)."""
    max_open_orders: Annotated[Annotated[Count, Field(ge=1)] | None, Allowed("a whole number, 1 or more")] = None
    """Most orders of one account that have not ended, unknown ones included."""
    price_collar_percent: Annotated[AnyDecimal | None, Allowed('a positive decimal in quotes; "5" means 5 %')] = None
    """How far a price may be from the reference price, either way, in percent."""
    allowed_symbols: Annotated[
        Annotated[frozenset[str], BeforeValidator(checks.symbols)] | None,
        Allowed('a list of canonical symbols, such as ["AAPL", "BTC/USD"]'),
    ] = None
    """The only symbols that may be traded."""
    max_open_positions: Annotated[Annotated[Count, Field(ge=1)] | None, Allowed("a whole number, 1 or more")] = None
    """Most symbols of one account in which quantity is held or an entry is live."""
    check_buying_power: Annotated[Annotated[bool, BeforeValidator(checks.flag)] | None, Allowed("true or false")] = None
    """Whether an order may cost no more than what is left of the broker's buying power, read 5 s ago at most."""
    max_orders_per_minute: Annotated[
        Annotated[Count, Field(ge=1, le=1_000_000)] | None, Allowed("a whole number, 1 to 1000000")
    ] = None
    """Most orders that open something within 60 seconds; one more is to come later (`RATE_LIMITED`)."""
    duplicate_window_s: Annotated[
        Annotated[Decimal, BeforeValidator(checks.decimal), Field(gt=0, le=86_400)] | None,
        Allowed('a positive decimal in quotes, such as "2", up to 86400 seconds'),
    ] = None
    """Seconds in which a second order for the same is denied (`DUPLICATE_ORDER`), whatever its key. Unset: off."""
    max_daily_loss_percent: Annotated[Percent | None, Allowed('a positive decimal in quotes, up to "100"')] = None
    """Realised loss of a day, in percent of the equity at the last close, at which entries pause until the next one.

    A day begins with the exchange's regular session.
    """
    max_losses_in_a_row: Annotated[Annotated[Count, Field(ge=1)] | None, Allowed("a whole number, 1 or more")] = None
    """Losing trades in a row, in whatever symbols, after which entries pause until the next day."""
    risk_percent: Annotated[Percent | None, Allowed('a positive decimal in quotes, up to "100"; "1" means 1 %')] = None
    """Share of the equity that a sized trade may lose at its stop, in percent. Unset: 1."""
    risk_cap: Annotated[
        AnyDecimal | None, Allowed('a positive decimal in quotes, such as "500", in the account\'s currency')
    ] = None
    """Most money that a sized trade may lose at its stop, in the account's currency."""
    max_position_percent: Annotated[
        Annotated[Decimal, BeforeValidator(checks.decimal), Field(gt=0, le=1000)] | None,
        Allowed('a positive decimal in quotes, up to "1000"'),
    ] = None
    """Largest value of a sized position, in percent of the equity."""
    allow_fractions: Annotated[Annotated[bool, BeforeValidator(checks.flag)] | None, Allowed("true or false")] = None
    """Whether a long trade is sized in parts of a share where the broker trades them. Unset: in whole shares.

    At Alpaca the stop of such a trade lasts a day and is placed again after it; the entry must be a day order.
    """
    approval_above_notional: Annotated[
        AnyDecimal | None, Allowed('a positive decimal in quotes, such as "25000", in the account\'s currency')
    ] = None
    """Value above which what a decision would send waits until a person approves it. Unset: nothing waits."""
    approval_price_percent: Annotated[AnyDecimal | None, Allowed('a positive decimal in quotes; "2" means 2 %')] = None
    """How far the market may be from the decision's price when it is approved, either way, in percent."""
    extended_exit_offset_percent: Annotated[
        Annotated[Decimal, BeforeValidator(checks.decimal), Field(gt=0, le=50)] | None,
        Allowed('a positive decimal in quotes, up to "50"; "0.5" means half a percent'),
    ] = None
    """Outside the regular session a trade's exit is a limit order so far beyond the last price, in percent.

    Unset: the stop stays where it is, and the exit waits for the open.
    """


class RetentionSettings(BaseModel):
    """What may be let go. Orders, fills and keys are kept for ever."""

    model_config = _FROZEN

    keep_events_days: Annotated[
        Annotated[Count, Field(ge=7, le=36_500)] | None, Allowed("a whole number of days, 7 to 36500")
    ] = None
    """Days after which the events of orders that are over are deleted, and the broker's own bytes about them.

    Unset: nothing is ever deleted. Streams cannot begin before what was deleted (`SEQUENCE_COMPACTED`).
    """


class AccountSettings(BaseModel):
    """One account: where it is, how to sign in, and how it is traded."""

    model_config = _FROZEN

    broker: Annotated[
        Annotated[BrokerName, BeforeValidator(checks.broker)],
        Allowed('"alpaca" or "simulated" ("tradier" is not in this build yet)'),
    ]
    """Who executes: `alpaca`, or `simulated`, which trades inside this process and sends nothing anywhere."""
    mode: Annotated[Annotated[Mode, BeforeValidator(checks.mode)], Allowed('"paper", or "live" for real money')] = (
        Mode.PAPER
    )
    """`paper` or `live`. Real money has to be asked for."""
    key_id: Annotated[SecretStr | None, Allowed("a text in quotes")] = None
    """Key id at the broker. `key_id_file` names a file that holds it instead."""
    secret_key: Annotated[SecretStr | None, Allowed("a text in quotes")] = None
    """Secret key at the broker. `secret_key_file` names a file that holds it instead."""
    rest_url: Annotated[
        Annotated[str, AfterValidator(checks.rest_url)],
        Allowed("an address such as https://paper-api.alpaca.markets, without path, query or user"),
    ] = ""
    """The broker's REST interface, without `/v2`. Default: the broker's own for this mode."""
    stream_url: Annotated[
        Annotated[str, AfterValidator(checks.stream_url)],
        Allowed("an address such as wss://paper-api.alpaca.markets/stream, without query or user"),
    ] = ""
    """The broker's stream of order updates. Default: `/stream` at `rest_url`."""
    reconcile_interval_s: Annotated[Annotated[Seconds, Field(ge=5, le=300)], Allowed("5 to 300 seconds")] = 30
    """Seconds between two full comparisons with the broker."""
    submit_timeout_s: Annotated[Annotated[Seconds, Field(ge=0.1, le=60)], Allowed("0.1 to 60 seconds")] = 10
    """Seconds until a submit without an answer is an unknown outcome."""
    settle_s: Annotated[Annotated[Seconds, Field(ge=0, le=300)], Allowed("0 to 300 seconds")] = 5
    """Seconds for which the broker's "not found" proves nothing after a submit."""
    send_within_s: Annotated[Annotated[Seconds, Field(gt=0, le=86400)], Allowed("more than 0, up to 86400 seconds")] = (
        60
    )
    """Seconds after which an order that could not be sent is given up as stale."""
    requests_per_minute: Annotated[Annotated[Count, Field(ge=1, le=10_000)], Allowed("1 to 10000")] = 200
    """Requests a minute that the broker allows for this key."""
    parallel_submits: Annotated[Annotated[Count, Field(ge=1, le=64)], Allowed("1 to 64")] = 4
    """Submits on their way to the broker at the same time."""
    queue_limit: Annotated[Annotated[Count, Field(ge=1, le=1_000_000)], Allowed("1 to 1000000")] = 10_000
    """Orders written down and not yet sent, beyond which submits are refused (`QUEUE_FULL`)."""
    risk: Annotated[RiskSettings, Allowed("a table [accounts.<id>.risk]")] = RiskSettings()
    """Limits of this account; what is not set here is taken from `[risk]`."""

    @model_validator(mode="before")
    @classmethod
    def _default_urls(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return checks.with_default_urls(values)


class Settings(BaseSettings):
    """Everything that can be set. `load` makes one; made directly, it reads neither environment nor files."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    database_url: Annotated[
        Annotated[str, AfterValidator(checks.database_url)],
        Allowed("sqlite+aiosqlite:///relative/path or sqlite+aiosqlite:////absolute/path"),
    ] = "sqlite+aiosqlite:///var/orderd.db"
    """The journal: a SQLite file, whose directory must exist. A relative path starts at the working directory."""
    grpc_address: Annotated[Address, Allowed("HOST:PORT, such as 127.0.0.1:50051; port 0 takes a free one")] = (
        "127.0.0.1:50051"
    )
    """Where gRPC is served."""
    http_address: Annotated[
        Annotated[str, AfterValidator(checks.address_or_off)],
        Allowed('HOST:PORT, such as 127.0.0.1:8051; port 0 takes a free one; "" is off'),
    ] = "127.0.0.1:8051"
    """Where `/metrics` is served over HTTP."""
    log_level: Annotated[
        Annotated[LogLevel, BeforeValidator(checks.lower)], Allowed('"debug", "info", "warning" or "error"')
    ] = LogLevel.INFO
    """How much is logged on stderr."""
    min_free_bytes: Annotated[Annotated[Count, Field(ge=0)], Allowed("a whole number of bytes, 0 or more")] = (
        256 * 1024 * 1024
    )
    """Free bytes beside the journal below which submits are refused (`DISK_LOW`); cancels and fills go on."""
    max_streams: Annotated[Annotated[Count, Field(ge=1, le=100_000)], Allowed("1 to 100000")] = 1_000
    """Streams open at the same time, beyond which a new one is refused (`TOO_MANY_STREAMS`)."""
    max_streams_per_connection: Annotated[Annotated[Count, Field(ge=0, le=100_000)], Allowed("0 to 100000")] = 0
    """The same for the streams of one connection; 0 is half of `max_streams`, so that one client cannot take all."""
    max_calls: Annotated[Annotated[Count, Field(ge=1, le=100_000)], Allowed("1 to 100000")] = 4_000
    """Calls answered at the same time, beyond which a new one is refused (`TOO_MANY_CALLS`); cancels are taken."""
    max_request_bytes: Annotated[
        Annotated[Count, Field(ge=65_536, le=64 * 1024 * 1024)], Allowed("65536 to 67108864 bytes")
    ] = 1024 * 1024
    """Longest request; a longer one is refused by gRPC itself (`RESOURCE_EXHAUSTED` without a reason)."""
    max_answer_bytes: Annotated[
        Annotated[Count, Field(ge=2 * 1024 * 1024, le=64 * 1024 * 1024)], Allowed("2097152 to 67108864 bytes")
    ] = 4 * 1024 * 1024
    """Longest answer; lists and batches end at 1 MiB by themselves."""
    max_metadata_bytes: Annotated[
        Annotated[Count, Field(ge=4_096, le=1024 * 1024)], Allowed("4096 to 1048576 bytes")
    ] = 16 * 1024
    """Headers of one call in all; with more it is refused by gRPC itself (`RESOURCE_EXHAUSTED` without a reason)."""
    accounts: Annotated[
        Mapping[Annotated[str, AfterValidator(checks.account_id)], AccountSettings],
        Allowed("tables [accounts.<id>], the id made of letters, digits, - and _, at most 64 characters"),
    ] = Field(default_factory=dict)
    """The accounts to trade, by their id."""
    risk: Annotated[RiskSettings, Allowed("a table [risk]")] = RiskSettings()
    """Limits of every account."""
    retention: Annotated[RetentionSettings, Allowed("a table [retention]")] = RetentionSettings()
    """What may be let go."""

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is passed in. `load` puts sources in place that know where each value came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def limits(self, account_id: str) -> Limits:
        """The limits of one account: its own, and those of `[risk]` where it has none. Raises KeyError."""
        own = self.accounts[account_id].risk
        merged = {name: _first_set(getattr(own, name), getattr(self.risk, name)) for name in RiskSettings.model_fields}
        return Limits(**merged)

    def origins(self) -> Mapping[str, str]:
        """Where each value came from, by dotted key: a flag, a variable, a file with its line, or `default`."""
        return {key: self._origins.get(key, "default") for key, _ in self.values()}

    def values(self) -> Iterator[tuple[str, str]]:
        """Every key with its value as text, secrets masked."""
        yield from _walk("", self)


def _first_set(*values: Any) -> Any:  # noqa: ANN401 - each limit has its own type
    return next((value for value in values if value is not None), None)


def _walk(prefix: str, model: BaseModel) -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        value: object = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _walk(f"{prefix}{name}.", value)
        elif name == "accounts":
            for account_id, account in getattr(model, name).items():
                yield from _walk(f"{prefix}{name}.{account_id}.", account)
        else:
            yield f"{prefix}{name}", checks.shown(value)
