"""A venue process and a server process that trades on it, and everything a scenario says and does to both."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import grpc

from oms.v1 import account_service_pb2 as apb
from oms.v1 import account_service_pb2_grpc, broker_service_pb2_grpc, order_service_pb2_grpc
from oms.v1 import broker_service_pb2 as bpb
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.canary import GIVEN, KEY_ID, SECRET
from tests.e2e import processes
from tests.e2e.books import state_of
from tests.e2e.control import VenueControl
from tests.e2e.hearing import Hearing
from tests.e2e.tape import Tape

__all__ = ["House", "configuration", "database_of", "state_of", "submit_request", "trading"]

T = TypeVar("T")
VENUE_DEFAULTS: Mapping[str, object] = {
    "quotes": "fixed",
    "partial_rate": 0,
    "requests_per_minute": 0,
    "key_id": KEY_ID,
    "secret": SECRET,
}
ACCOUNT_DEFAULTS: Mapping[str, object] = {
    "broker": "alpaca",
    "key_id": KEY_ID,
    "secret_key": SECRET,
    "submit_timeout_s": 1,
    "settle_s": 1,
    "reconcile_interval_s": 300,
    "requests_per_minute": 10_000,
}
PATIENCE_S = 20


def submit_request(**fields: Any) -> pb.SubmitOrderRequest:  # noqa: ANN401 - any field of the request
    """A request to buy one KO at market, changed as told."""
    asked: dict[str, Any] = {
        "symbol": "KO",
        "side": opb.SIDE_BUY,
        "quantity": "1",
        "type": opb.ORDER_TYPE_MARKET,
        "time_in_force": opb.TIME_IN_FORCE_DAY,
    }
    if "notional" in fields or fields.get("order_class") == opb.ORDER_CLASS_MULTILEG:
        del asked["quantity"]
    if fields.get("order_class") == opb.ORDER_CLASS_MULTILEG:
        del asked["symbol"], asked["side"]
    if "limit_price" in fields and "type" not in fields:
        asked["type"] = opb.ORDER_TYPE_LIMIT
    return pb.SubmitOrderRequest(**(asked | fields))


class House:
    """One venue, one server, one subscriber that has heard everything from the beginning."""

    def __init__(
        self, directory: Path, venue: VenueControl, server: processes.Process, accounts: tuple[str, ...]
    ) -> None:
        self.directory = directory
        self.venue = venue
        self.server = server
        self.account_ids = accounts
        self.tape = Tape()
        self.hearing = Hearing()
        """Searches everything that comes back from the server for the keys."""
        self.address = ""
        self.said: Mapping[str, Any] = {}
        """The server's ready line."""
        self.left_alone: frozenset[str] = frozenset()
        """Orders of other scenarios in the same house, which an audit does not look at."""
        self.known_discrepancies = 0
        """Open before the scenario began."""
        self._channels: list[grpc.aio.Channel] = []
        """One for each life of the server; calls cut by a death end with its status when nobody closes them."""

    @property
    def database(self) -> Path:
        """The journal's file."""
        return database_of(self.directory)

    # -------------------------------------------------------------------------------------------------- start and end

    async def start(self, *, is_ready: bool = True) -> None:
        """Start the server and, unless told otherwise, wait until every account takes submits."""
        self.said = await self.server.start()
        self.address = self.said["grpc_address"]
        self._connect()
        if is_ready:
            await self.recovered()

    def _connect(self) -> None:
        # A port may come back after a kill. What a connection to the dead server remembers must not speak for this one.
        alone = (("grpc.use_local_subchannel_pool", 1),)
        channel = self.hearing.channel(grpc.aio.insecure_channel(self.address, options=alone))
        self._channels.append(channel)
        self.channel = channel
        self.orders = order_service_pb2_grpc.OrderServiceStub(channel)
        self.accounts = account_service_pb2_grpc.AccountServiceStub(channel)
        self.brokers = broker_service_pb2_grpc.BrokerServiceStub(channel)
        self.tape.follow(channel)

    async def recovered(self) -> None:
        """Wait until every account takes submits and hears its broker."""
        async with asyncio.timeout(PATIENCE_S):
            while not all(  # noqa: ASYNC110 - another process rings no bell
                not account.recovering and account.stream_health == apb.STREAM_HEALTH_CONNECTED
                for account in (await self.accounts.ListAccounts(apb.ListAccountsRequest())).accounts
            ):
                await asyncio.sleep(0.01)

    async def until_recovered(self, account_id: str) -> None:
        """Wait until this account takes submits."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.account(account_id)).recovering:  # noqa: ASYNC110 - another process rings no bell
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """kill -9 the server."""
        await self.server.kill()
        await self.tape.stop()

    async def restart(self) -> None:
        """Start the server again on the same journal."""
        await self.tape.stop()
        await self.start()

    async def terminate(self, within_s: float = 20) -> int:
        """SIGTERM; the exit code."""
        self.server.signal(signal.SIGTERM)
        code = await self.server.ended(within_s)
        await self.tape.stop()
        return code

    async def close(self) -> None:
        """End what still runs."""
        await self.tape.stop()
        for channel in self._channels:
            await channel.close()
        if self.server.is_running:
            await self.server.kill()

    # -------------------------------------------------------------------------------------------------------- trading

    async def submit(self, **fields: Any) -> opb.Order:  # noqa: ANN401 - any field of the request
        """SubmitOrder: buy one KO at market, changed as told. The order as it was answered."""
        answer = await self.orders.SubmitOrder(submit_request(**fields))
        return answer.order

    async def steady_submit(self, **fields: Any) -> opb.Order:  # noqa: ANN401 - any field of the request
        """SubmitOrder, repeated with the same key as long as the server is too busy."""
        busy = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
        return await self.steady(lambda: self.submit(**fields), busy=busy)

    async def get(self, order_id: str) -> opb.Order:
        """GetOrder."""
        answer = await self.orders.GetOrder(pb.GetOrderRequest(order_id=order_id))
        return answer.order

    async def cancel(self, order_id: str, **fields: Any) -> opb.Order:  # noqa: ANN401 - any field of the request
        """CancelOrder."""
        answer = await self.orders.CancelOrder(pb.CancelOrderRequest(order_id=order_id, **fields))
        return answer.order

    async def replace(self, order_id: str, **fields: Any) -> opb.Order:  # noqa: ANN401 - any field of the request
        """ReplaceOrder; the request id is `r1` unless told otherwise."""
        request = pb.ReplaceOrderRequest(order_id=order_id, **({"request_id": "r1"} | fields))
        answer = await self.orders.ReplaceOrder(request)
        return answer.order

    async def until(self, order_id: str, *states: str, within_s: float = 15) -> opb.Order:
        """The order once the stream has told one of these states."""
        wanted = {opb.OrderStatus.Value(f"ORDER_STATUS_{state}") for state in states}

        def has_come() -> bool:
            return order_id in self.tape.orders and self.tape.orders[order_id].status in wanted

        await self.tape.until(has_come, within_s)
        return self.tape.orders[order_id]

    async def until_order(self, order_id: str, **fields: object) -> opb.Order:
        """The order once the stream has told that these fields have these values."""

        def has_come() -> bool:
            order = self.tape.orders.get(order_id)
            return order is not None and all(getattr(order, name) == value for name, value in fields.items())

        await self.tape.until(has_come)
        return self.tape.orders[order_id]

    async def steady(
        self,
        call: Callable[[], Awaitable[T]],
        within_s: float = 60,
        busy: Container[grpc.StatusCode] = (grpc.StatusCode.UNAVAILABLE,),
    ) -> T:
        """Repeat a call until the server has answered it, however often it dies meanwhile."""
        async with asyncio.timeout(within_s):
            while True:
                try:
                    return await call()
                except grpc.aio.AioRpcError as error:
                    if error.code() not in busy:
                        raise
                await asyncio.sleep(0.02)

    async def account(self, account_id: str = "paper") -> apb.Account:
        """The account as ListAccounts shows it."""
        answer = await self.accounts.ListAccounts(apb.ListAccountsRequest())
        return next(account for account in answer.accounts if account.account_id == account_id)

    async def reconcile(self, account_id: str = "paper") -> bpb.ReconcileResponse:
        """Compare with the broker now; the last progress."""
        last = bpb.ReconcileResponse()
        async for progress in self.brokers.Reconcile(bpb.ReconcileRequest(account_id=account_id)):
            last = progress
        return last


def database_of(directory: Path) -> Path:
    """Where a house keeps its journal."""
    return directory / "orderd.db"


def configuration(
    directory: Path, accounts: Mapping[str, Mapping[str, object]], settings: Mapping[str, object]
) -> Path:
    """Write the configuration file."""
    chosen: dict[str, object] = {
        "database_url": f"sqlite+aiosqlite:///{database_of(directory)}",
        "grpc_address": "127.0.0.1:0",
        "http_address": "",
        "log_level": "debug",
    }
    lines = [f"{name} = {_toml(value)}" for name, value in (chosen | dict(settings)).items()]
    for account_id, account in accounts.items():
        lines.append(f"[accounts.{account_id}]")
        keys = {name: str(account[name]) for name in ("key_id", "secret_key") if name in account}
        lines += [f"{name} = {_toml(value)}" for name, value in account.items() if name not in keys]
        lines += [f"{name}_file = {_toml(_given(directory, account_id, name, key))}" for name, key in keys.items()]
    path = directory / "orderd.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _given(directory: Path, account_id: str, name: str, key: str) -> str:
    """Put a key where keys may be; the path of its file."""
    path = directory / GIVEN / f"{account_id}.{name}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(key, encoding="utf-8")
    return str(path)


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


@asynccontextmanager
async def venue_process(directory: Path, name: str = "venue", **options: object) -> AsyncIterator[Mapping[str, Any]]:
    """A venue process; yields its ready line."""
    chosen = {**VENUE_DEFAULTS, "witness_database": str(database_of(directory)), **options}
    process = processes.venue(chosen, directory / f"{name}.log")
    try:
        yield await process.start()
    finally:
        await process.kill()


@asynccontextmanager
async def trading(
    directory: Path,
    *,
    venue: Mapping[str, object] | None = None,
    accounts: Mapping[str, Mapping[str, object]] | None = None,
    settings: Mapping[str, object] | None = None,
    is_started: bool = True,
) -> AsyncIterator[House]:
    """A house that trades: fixed quotes, whole fills, account `paper`, and no reconciliation that nobody asked for.

    `accounts` are changes to the account defaults, by account id.
    """
    async with venue_process(directory, **(venue or {})) as said, aiohttp.ClientSession() as http:
        urls = {"rest_url": said["rest_url"], "stream_url": said["stream_url"]}
        chosen = {
            account_id: {**ACCOUNT_DEFAULTS, **urls, **changes}
            for account_id, changes in (accounts or {"paper": {}}).items()
        }
        path = configuration(directory, chosen, settings or {})
        server = processes.server(path, directory / "orderd.log")
        house = House(directory, VenueControl(http, said["control_url"], said["rest_url"]), server, tuple(chosen))
        try:
            if is_started:
                await house.start()
            yield house
        finally:
            await house.close()
        assert house.hearing.shown == [], "a key was told to a client"
