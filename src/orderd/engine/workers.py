"""One account's workers, wired together."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog

from orderd.core.facts import View
from orderd.core.order import ENDED, Order, OrderState, Phase
from orderd.core.verdicts import Verdict
from orderd.engine import restored
from orderd.engine.account import Account
from orderd.engine.api import PairedOrder
from orderd.engine.cancels import Canceller
from orderd.engine.comparing import Comparer
from orderd.engine.discrepancies import Discrepancies
from orderd.engine.errors import EngineError, Kind
from orderd.engine.exposure import Exposures
from orderd.engine.figures import Figures
from orderd.engine.followup import FollowUp
from orderd.engine.holdings import Holdings
from orderd.engine.legs import Legs
from orderd.engine.listener import Listener
from orderd.engine.reader import Reader
from orderd.engine.reconciler import Reconciler
from orderd.engine.replaces import Replacer
from orderd.engine.resolver import Resolver
from orderd.engine.router import Router
from orderd.engine.sender import Sender
from orderd.engine.settlements import Settlements
from orderd.engine.submit import Submitter
from orderd.ports import BrokerError, Found

if TYPE_CHECKING:
    import asyncio

log = structlog.get_logger("orderd.workers")

RECENT = timedelta(days=1)
STALE_SWEEP_S = 5.0
DRAIN_CAP_S = 10.0


class Workers:
    """Everything that works for one account. One account never waits for another's broker."""

    def __init__(self, account: Account, *, min_free_bytes: int) -> None:
        """Wire the parts; nothing runs until `start`."""
        self.account = account
        self.router = Router(account)
        self.discrepancies = Discrepancies(account)
        self.reader = Reader(account, self.router)
        self.resolver = Resolver(account, self.reader)
        self.sender = Sender(account, self.router, self.reader, self.resolver)
        self.canceller = Canceller(account, self.reader, self.discrepancies)
        self.replacer = Replacer(account, self.router, self.reader, self.discrepancies)
        self.legs = Legs(account, self.reader)
        self.comparer = Comparer(account, self.reader, self.discrepancies)
        account.watch = self.watch
        self.holdings = Holdings(account)
        self.figures = Figures(account)
        self.exposures = Exposures(account, self.holdings, self.figures)
        account.blotter.watch_fills(self._heard_fill)
        self.submitter = Submitter(account, self.sender, self.exposures, min_free_bytes=min_free_bytes)
        self.listener = Listener(account, self.router)
        self.reconciler = Reconciler(
            account,
            self.router,
            self.reader,
            self.resolver,
            self.comparer,
            holdings=self.holdings,
            figures=self.figures,
        )
        self.settlements = Settlements(account, self.router, self.resolver, self.comparer)
        self._follow_up = FollowUp(account, self.router, self.reader)
        self._running: list[asyncio.Task[None]] = []

    def aftermath(self, order: Order, verdict: Verdict) -> None:
        """Act on what a verdict needs and found."""
        self._follow_up.act(order, verdict)

    def _heard_fill(self, order: Order, change: Decimal | None) -> None:
        if order.intent.account_id == self.account.account_id:
            self.holdings.watch(order, change)

    def watch(self, order: Order) -> None:
        """See each committed change of the account's orders."""
        if not order.is_open or order.links:
            self.account.born_ns.pop(order.order_id, None)
            self.account.proven_exits.discard(order.order_id)
        if self.figures.reserved is not None:
            self.figures.reserved.watch(order)
        self.account.assets.watch(order)
        self.replacer.watch(order)
        self.canceller.watch(order)
        self.legs.watch(order)

    async def start(self) -> None:
        """Take up what the last process left, then listen and reconcile. Returns at once."""
        account = self.account
        await account.risk.load()
        await self.discrepancies.load()
        await restored.load(account)
        await self.reconciler.mark_lost()
        self._running = [
            account.tasks.hold(self.listener.run(), f"listener:{account.account_id}"),
            account.tasks.hold(self.reconciler.run(), f"reconciler:{account.account_id}"),
            account.tasks.hold(self._when_recovered(), f"recovery:{account.account_id}"),
        ]

    async def _when_recovered(self) -> None:
        """After the first reconciliation: flags go on being worked on, unsent orders get in line, oldest first.

        From then on, what waits too long in line is given up.
        """
        await self.account.recovered.wait()
        self.legs.sweep()
        for order in self.account.blotter.open(self.account.account_id):
            self.watch(order)
            if order.state is OrderState.CREATED and not order.links and order.parent_order_id is None:
                self.sender.enqueue(order)
        while not self.account.is_stopping:
            await self.account.pause(STALE_SWEEP_S)
            await self.sender.give_up_unsendable()

    async def settle(self) -> None:
        """Wait for what is in flight to be answered and recorded."""
        await self.sender.drained(min(self.account.policy.submit_timeout_s, DRAIN_CAP_S))

    def stop(self) -> None:
        """Stop listening and reconciling."""
        for task in self._running:
            task.cancel()

    async def resume(self, reason: str) -> None:
        """An operator lets a halted account go on.

        The account number seen last is the right one from now on; orders that have vanished are ended; an unplaced
        order whose client id another broker order has is given up.
        """
        account = self.account
        if not account.halt_reason:
            subject = ("orderd.Account", account.account_id)
            raise EngineError(
                Kind.FAILED_PRECONDITION, "ACCOUNT_NOT_HALTED", "the account is not halted", subject=subject
            )
        log.warning("account_resumed", account_id=account.account_id, halted_by=account.halt_reason, reason=reason)
        async with self.reconciler.lock:  # a run under way would find again what is being closed
            await self.reconciler.accept(await self.discrepancies.close_halting(reason), reason)
            account.halt_reason = ""
        account.reconcile_wanted.set()
        self.sender.pump()

    def gauges(self) -> Sequence[tuple[str, float]]:
        """(name, value) of this account's figures."""
        account = self.account
        now_ns = account.clock.monotonic_ns()
        unknown = [o for o in account.blotter.open(account.account_id) if o.state is OrderState.UNKNOWN]
        age_s = -1.0 if account.reconciled_ns is None else (now_ns - account.reconciled_ns) / 1e9
        return (
            ("orderd_orders_open", float(account.open_count())),
            ("orderd_orders_unknown", float(len(unknown))),
            ("orderd_orders_queued", float(self.sender.queued)),
            ("orderd_oldest_unknown_seconds", max((account.age_s(order) for order in unknown), default=0.0)),
            ("orderd_stream_connected", float(account.stream_connected)),
            ("orderd_reconcile_age_seconds", age_s),
            ("orderd_account_halted", float(bool(account.halt_reason))),
            ("orderd_discrepancies_open", float(len(self.discrepancies.all_open()))),
            ("orderd_symbols_blocked", float(len(account.blocked_symbols))),
        )

    # -------------------------------------------------------------------------------------------------------- pairs

    async def pairs(self) -> Sequence[PairedOrder]:
        """The broker's open and recent orders beside ours, orphans both ways."""
        account = self.account
        try:
            seen = list(await account.broker.open_orders())
            seen += await account.broker.orders_since(account.clock.now() - RECENT)
        except BrokerError as error:
            raise EngineError(
                Kind.UNAVAILABLE, "BROKER_UNAVAILABLE", f"the broker's orders cannot be read: {error}", retry_after_s=5
            ) from error
        unique = {found.view.broker_order_id: found for found in seen}
        pairs = [self._pair(found) for found in unique.values()]
        shown = {pair.order_id for pair in pairs}
        for order in account.blotter.open(account.account_id):
            if order.order_id not in shown and order.parent_order_id is None:
                pairs.append(_orphan(order))
        return pairs

    def _pair(self, found: Found) -> PairedOrder:
        order_id = self.router.match(found.view)
        order = self.account.blotter.get(order_id) if order_id is not None else None
        if order is None:
            return PairedOrder(view=found.view, broker_json=found.raw)
        return PairedOrder(
            view=found.view,
            broker_json=found.raw,
            order_id=order.order_id,
            state=order.state,
            client_order_id=order.intent.client_order_id,
            agrees=_agrees(order, found.view),
        )


def _orphan(order: Order) -> PairedOrder:
    return PairedOrder(
        view=None,
        broker_json=b"",
        order_id=order.order_id,
        state=order.state,
        client_order_id=order.intent.client_order_id,
    )


_ENDS = frozenset({Phase.FILLED, Phase.CANCELED, Phase.EXPIRED, Phase.REJECTED})


def _agrees(order: Order, view: View) -> bool:
    """Same end-or-not, same cumulative quantity; an elder of a replace chain agrees when it is known."""
    if view.broker_order_id != order.broker_order_id:
        return view.phase is Phase.REPLACED
    return (order.state in ENDED) is (view.phase in _ENDS) and (
        len(order.links) > 1 or order.filled_quantity == view.filled_quantity
    )
