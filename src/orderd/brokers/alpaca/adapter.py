"""The `Broker` port for Alpaca: what each call and each answer means.

Rule 1: one call, one request; nothing is retried in here.
Rule 2: a yes is a 200 whose echo is the order that was sent. A no is a refusal of the error table. The rest is Unknown.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial

from orderd.brokers.alpaca import assets, bodies, errors, listing, parse, replies, rules, stops
from orderd.brokers.alpaca.client import AlpacaClient, AnswerLost, NotConnected, Request, Response
from orderd.brokers.alpaca.fields import ParseError
from orderd.core import trade_steps
from orderd.core.activities import Activity
from orderd.core.facts import Execution
from orderd.core.order import AssetClass, Order, OrderClass
from orderd.core.turnstiles import Staged
from orderd.core.values import BrokerOrderId, Reason
from orderd.ports import (
    Absent,
    AssetOutcome,
    BrokerAccount,
    BrokerClock,
    BrokerError,
    BrokerPosition,
    CancelOutcome,
    CannotTell,
    Capabilities,
    Clock,
    FindOutcome,
    Found,
    Lane,
    NotSent,
    Refused,
    ReplaceOutcome,
    ReplaceRequest,
    SubmitOutcome,
    Taken,
    Unknown,
    Update,
)

_READ_TIMEOUT_S = 10.0
_OK, _NO_CONTENT = 200, 204
_COMPLEX = frozenset(each.value for each in OrderClass if each is not OrderClass.SIMPLE)
_ACTIVITY_SLACK = timedelta(seconds=1)
"""Whether `after` includes its own instant is disputed; asking a second earlier makes it not matter."""


class AlpacaAdapter:
    """One Alpaca account behind a client. `name` is `simulated` when the venue serves the client in process."""

    def __init__(
        self,
        client: AlpacaClient,
        *,
        clock: Clock,
        settle_s: float,
        requests_per_minute: int,
        name: str = "alpaca",
        altered: Callable[[Capabilities], Capabilities] | None = None,
    ) -> None:
        """`settle_s`: seconds after which "no such order" is proof. `altered`: what a venue can do less than Alpaca."""
        self._client = client
        self._clock = clock
        self._settle_s = settle_s
        self._requests_per_minute = requests_per_minute
        self._name = name
        self._altered = altered

    @property
    def name(self) -> str:
        """`alpaca` or `simulated`."""
        return self._name

    def capabilities(self, asset_class: AssetClass) -> Capabilities:
        """What Alpaca can do for this asset class."""
        can = rules.capabilities(asset_class, settle_s=self._settle_s, requests_per_minute=self._requests_per_minute)
        return can if self._altered is None else self._altered(can)

    def complaint(self, order: Order) -> str:
        """The rule this order breaks, or empty."""
        return rules.complaint(order)

    def request_body(self, order: Order) -> bytes:
        """The POST body."""
        return bodies.submit(order)

    def sort_refusal(self, reason: Reason) -> trade_steps.Refused:
        """By Alpaca's texts."""
        return stops.sort_refusal(reason)

    def price_increment(self, asset_class: AssetClass, price: Decimal) -> Decimal | None:
        """Alpaca's minimum pricing criteria."""
        return stops.price_increment(asset_class, price)

    # --------------------------------------------------------------------------------------------------------- changes

    async def submit(
        self, staged: Staged, *, timeout_s: float, may_leave: Callable[[], bool] | None = None
    ) -> SubmitOutcome:
        """POST /v2/orders, once; not at all when it may not leave any more once it is its turn."""
        order = staged.order
        request = Request(method="POST", path="/v2/orders", body=bodies.submit(order), may_leave=may_leave)
        match await self._send(_lane(order), request, timeout_s):
            case (Response() as response, int(asked_ns)) if response.status == _OK:
                return replies.acked(response, asked_ns, partial(replies.echo_complaint, order))
            case (Response() as response, _):
                return errors.judge(response, errors.SUBMIT)
            case NotSent() | Unknown() as lost:
                return lost

    async def cancel(self, broker_order_id: BrokerOrderId, *, timeout_s: float) -> CancelOutcome:
        """DELETE /v2/orders/{id}, once. Alpaca's 204 says only that it was asked."""
        request = Request(method="DELETE", path=f"/v2/orders/{broker_order_id}")
        match await self._send(Lane.CANCEL, request, timeout_s):
            case (Response() as response, _) if response.status == _NO_CONTENT:
                return Taken()
            case (Response() as response, _):
                return errors.judge(response, errors.CANCEL)
            case NotSent() | Unknown() as lost:
                return lost

    async def replace(self, request: ReplaceRequest, *, timeout_s: float) -> ReplaceOutcome:
        """PATCH /v2/orders/{id}, once, with the replacement's own client id.

        Terms that Alpaca cannot change are refused here.
        """
        order = request.order
        old_id = order.broker_order_id
        if old_id is None:
            return NotSent(code="NO_BROKER_ID", message="the broker's id is not known yet")
        if found := rules.replace_complaint(order, request.terms):
            return Refused(code=found.partition(":")[0], message=found)
        body = bodies.replace(order.terms, request.terms, request.client_order_id)
        patch = Request(method="PATCH", path=f"/v2/orders/{old_id}", body=body)
        match await self._send(_lane(order), patch, timeout_s):
            case (Response() as response, int(asked_ns)) if response.status == _OK:
                complain = partial(replies.successor_complaint, request, old_id)
                return replies.acked(response, asked_ns, complain)
            case (Response() as response, _):
                return errors.judge(response, errors.REPLACE)
            case NotSent() | Unknown() as lost:
                return lost

    # ---------------------------------------------------------------------------------------------------------- lookups

    async def find(self, client_order_id: str, *, timeout_s: float) -> FindOutcome:
        """GET /v2/orders:by_client_order_id: the order that was submitted with it, not its successor.

        Legs are documented for the read by id only, so a complex order that came without is read again there.
        """
        request = Request(
            method="GET",
            path="/v2/orders:by_client_order_id",
            query=(("client_order_id", client_order_id),),
        )
        found = await self._look_up(request, timeout_s)
        if isinstance(found, Found) and found.view.client_order_id != client_order_id:
            return CannotTell(message="the answer is about another client order id")
        if isinstance(found, Found) and found.view.order_class in _COMPLEX and not found.view.legs:
            whole = await self.order(found.view.broker_order_id, timeout_s=timeout_s)
            return CannotTell(message="found, but not when read by its id") if isinstance(whole, Absent) else whole
        return found

    async def order(self, broker_order_id: BrokerOrderId, *, timeout_s: float) -> FindOutcome:
        """GET /v2/orders/{id}, nested."""
        request = Request(method="GET", path=f"/v2/orders/{broker_order_id}", query=(("nested", "true"),))
        found = await self._look_up(request, timeout_s)
        if isinstance(found, Found) and found.view.broker_order_id != broker_order_id:
            return CannotTell(message="the answer is about another order")
        return found

    async def _look_up(self, request: Request, timeout_s: float) -> FindOutcome:
        match await self._send(Lane.LOOKUP, request, timeout_s):
            case (Response() as response, int(asked_ns)) if response.status == _OK:
                try:
                    return Found(view=parse.order(response.body, asked_ns=asked_ns), raw=response.body)
                except ParseError as error:
                    return CannotTell(message=f"unreadable answer: {error}")
            case (Response() as response, _):
                if errors.is_absent(response):
                    return Absent()
                return CannotTell(message=f"HTTP {response.status}")
            case NotSent() | Unknown() as lost:
                return CannotTell(message=f"{lost.code}: {lost.message}")

    # ------------------------------------------------------------------------------------------------------------ lists

    async def open_orders(self) -> Sequence[Found]:
        """Every page of GET /v2/orders?status=open, nested. Raises BrokerError."""
        return await listing.orders(self._read, "open", None)

    async def orders_since(self, since: datetime) -> Sequence[Found]:
        """Orders of any state created or routed since, nested. Raises BrokerError."""
        return await listing.orders(self._read, "all", since)

    async def executions_since(self, since: datetime) -> Sequence[Execution]:
        """FILL activities since, oldest first. Raises BrokerError."""
        after = (since - _ACTIVITY_SLACK).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return await listing.executions(self._read, (("after", after),))

    async def executions_of(self, broker_order_id: BrokerOrderId) -> Sequence[Execution]:
        """FILL activities of one order, oldest first. Raises BrokerError."""
        found = await listing.executions(self._read, (("order_id", broker_order_id),))
        return [execution for execution in found if execution.broker_order_id == broker_order_id]

    async def positions(self) -> Sequence[BrokerPosition]:
        """GET /v2/positions. Raises BrokerError."""
        body, _ = await listing.answer(self._read, "/v2/positions")
        try:
            return parse.positions(body)
        except ParseError as error:
            raise BrokerError(f"GET /v2/positions: {error}") from None

    async def activities_since(self, day: date) -> Sequence[Activity]:
        """Expiries, exercises, assignments, splits and fees in kind since that day. Raises BrokerError."""
        after = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(seconds=1)
        return await listing.holdings(self._read, (("after", after.strftime("%Y-%m-%dT%H:%M:%SZ")),))

    async def account(self) -> BrokerAccount:
        """GET /v2/account. Raises BrokerError."""
        body, _ = await listing.answer(self._read, "/v2/account")
        try:
            return parse.account(body)
        except ParseError as error:
            raise BrokerError(f"GET /v2/account: {error}") from None

    async def clock(self) -> BrokerClock:
        """GET /v2/clock. Raises BrokerError."""
        body, _ = await listing.answer(self._read, "/v2/clock")
        try:
            return parse.clock(body)
        except ParseError as error:
            raise BrokerError(f"GET /v2/clock: {error}") from None

    async def asset(self, symbol: str, *, timeout_s: float) -> AssetOutcome:
        """GET /v2/assets/{symbol}, as a read."""
        match await self._send(Lane.READ, assets.request(symbol), timeout_s):
            case (Response() as response, _):
                return assets.outcome(symbol, response)
            case NotSent() | Unknown() as lost:
                return CannotTell(message=f"{lost.code}: {lost.message}")

    # ----------------------------------------------------------------------------------------------------------- stream

    async def updates(self) -> AsyncIterator[Update]:
        """The trade_updates stream, and late answers as reports of what they say."""
        # A reader that leaves hangs up at once, not whenever its frames are let go: the next one may be there by then.
        async with aclosing(self._client.frames()) as arrivals:
            async for arrival in arrivals:
                update = replies.update(arrival)
                if update is not None:
                    yield update

    async def close(self) -> None:
        """Let go of sockets and threads."""
        await self._client.close()

    async def _read(self, request: Request) -> tuple[Response, int]:
        asked_ns = self._clock.monotonic_ns()
        return await self._client.call(Lane.READ, request, timeout_s=_READ_TIMEOUT_S), asked_ns

    async def _send(self, lane: Lane, request: Request, timeout_s: float) -> tuple[Response, int] | NotSent | Unknown:
        asked_ns = self._clock.monotonic_ns()
        try:
            return await self._client.call(lane, request, timeout_s=timeout_s), asked_ns
        except NotConnected as error:
            return NotSent(code="NOT_CONNECTED", message=str(error))
        except AnswerLost as error:
            return Unknown(code="ANSWER_LOST", message=str(error))


def _lane(order: Order) -> Lane:
    return Lane.EXIT if order.intent.is_exit else Lane.ENTRY
