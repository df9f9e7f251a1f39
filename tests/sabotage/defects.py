"""Deliberate defects: each breaks a promise, and the tests beside it must notice.

A defect is the smallest change that somebody could make by mistake and live with for months: a test that was never
seen red proves nothing. `python -m tests.sabotage` applies one at a time to a copy of src and runs its tests there.
The text must occur exactly once in its file; otherwise the list is out of date, which is an error.
"""

from typing import Final

from orderd.core.values import Value

BAD_DAYS = "tests/faults/test_chaos.py::test_after_a_bad_day_the_books_agree"
LOST_SUBMITS = "tests/ambiguity/test_submits.py::test_a_submit_with_a_bad_answer"


class Defect(Value, frozen=True, kw_only=True):
    """`text` of `file` (below src/orderd) is replaced; `also` are further replacements in the same file."""

    name: str
    promise: str
    file: str
    text: str
    becomes: str
    tests: tuple[str, ...]
    """The smallest sensible set that must notice: files or test ids."""
    also: tuple[tuple[str, str], ...] = ()
    is_quick: bool = False
    """Its tests take a few seconds at most: `make test` tries some of these, by a seed."""


DEFECTS: Final = (
    # ------------------------------------------------------------------------------------- P1 durable when answered
    Defect(
        name="commits are not synced",
        promise="P1",
        file="storage/connect.py",
        text='"PRAGMA synchronous=FULL"',
        becomes='"PRAGMA synchronous=NORMAL"',
        also=(('("synchronous", 2)', '("synchronous", 1)'),),
        tests=("tests/storage/test_opening.py",),
        is_quick=True,
    ),
    Defect(
        name="nobody looks whether a setting of SQLite held",
        promise="P1",
        file="storage/connect.py",
        text="    if found != wanted:\n",
        becomes="    if found is None:\n",
        tests=("tests/storage/test_opening.py",),
        is_quick=True,
    ),
    Defect(
        name="an append is answered before its commit",
        promise="P1",
        file="storage/writer.py",
        text='        connection.execute("COMMIT")\n        return written',
        becomes="        return written",
        also=(
            (
                "        head = self._head\n        connection = self._connection\n",
                "        head = self._head\n        connection = self._connection\n"
                '        if connection.in_transaction:\n            connection.execute("COMMIT")\n',
            ),
        ),
        tests=("tests/storage/test_kill.py",),
    ),
    Defect(
        name="a submit is answered before it is written",
        promise="P1",
        file="engine/submit.py",
        text="            return await flight.join(), False\n",
        becomes="            flight.join()\n            return self.sketch(flight.intent), False\n",
        tests=(BAD_DAYS, "tests/e2e/test_round_trip.py"),
    ),
    # ------------------------------------------------------------------------------------------- P2 one broker order
    Defect(
        name="silence is taken for a submit that never left",
        promise="P2",
        file="engine/sender.py",
        text="            case Unknown():\n",
        becomes="            case Unknown():\n"
        "                return await self._not_sent(order, NotSent(code=outcome.code, message=outcome.message))\n",
        tests=(LOST_SUBMITS,),
        is_quick=True,
    ),
    Defect(
        name="a second send carries another client id",
        promise="P2",
        file="brokers/alpaca/bodies.py",
        text='    body["client_order_id"] = intent.client_order_id\n',
        becomes='    body["client_order_id"] = intent.client_order_id + "-" * (order.attempts - 1)\n',
        tests=(LOST_SUBMITS, BAD_DAYS),
    ),
    Defect(
        name="an entry is sent again where the broker takes an id twice",
        promise="P2",
        file="engine/resolver.py",
        text="duplicate_refusal is Refusal.FOR_EVER:",
        becomes="duplicate_refusal is not None:",
        tests=(LOST_SUBMITS, "tests/ambiguity/test_reads.py"),
    ),
    Defect(
        name="a refusal as a duplicate is believed without a look",
        promise="P2",
        file="engine/sender.py",
        text="        if not outcome.is_duplicate_id and order.attempts <= 1:\n",
        becomes="        if order.attempts:\n",
        tests=("tests/ambiguity", "tests/e2e/test_unknown_outcomes.py"),
    ),
    Defect(
        name="an order is sent although a cancel was asked for",
        promise="P2",
        file="core/lifecycle.py",
        text="    if order.pending_cancel:\n        draft.add(Canceled(",
        becomes="    if order.pending_cancel and order.links:\n        draft.add(Canceled(",
        tests=("tests/core/test_own_facts.py",),
        is_quick=True,
    ),
    # ---------------------------------------------------------------------------------- P3 written before it is sent
    Defect(
        name="the venue hears of an order before the journal has it",
        promise="P3",
        file="storage/writer.py",
        text='        connection.execute("COMMIT")\n        return written',
        becomes="        return written",
        also=(
            (
                "        head = self._head\n        connection = self._connection\n",
                "        head = self._head\n        connection = self._connection\n"
                '        if connection.in_transaction:\n            connection.execute("COMMIT")\n',
            ),
        ),
        tests=("tests/e2e/test_round_trip.py",),
    ),
    Defect(
        name="an order that is not in the journal may be staged",
        promise="P3",
        file="storage/journal.py",
        text="            if not 0 < order.sequence <= self._head:\n",
        becomes="            if order.sequence < 0:\n",
        tests=("tests/contracts/test_journal_contract.py",),
        is_quick=True,
    ),
    Defect(
        name="an order that is not SUBMITTED may be staged",
        promise="P3",
        file="storage/journal.py",
        text="            if order.state is not OrderState.SUBMITTED:\n",
        becomes="            if order.state is OrderState.DENIED:\n",
        tests=("tests/contracts/test_journal_contract.py",),
        is_quick=True,
    ),
    # --------------------------------------------------------------------------- P4 unknown until there is evidence
    Defect(
        name="not found is a proof before the settle time",
        promise="P4",
        file="engine/resolver.py",
        text="                case Absent() if elapsed_s >= account.policy.settle_s:\n",
        becomes="                case Absent() if elapsed_s >= 0:\n",
        tests=("tests/ambiguity", BAD_DAYS),
    ),
    Defect(
        name="an error of the server is a refusal",
        promise="P4",
        file="brokers/alpaca/errors.py",
        text='        return Unknown(code=f"HTTP_{response.status}", message="an answer that is not Alpaca\'s JSON", '
        "raw=response.body)\n",
        becomes='        return Refused(code=f"HTTP_{response.status}", message="refused", raw=response.body, '
        "is_duplicate_id=False)\n",
        tests=("tests/brokers/test_alpaca_errors.py",),
        is_quick=True,
    ),
    Defect(
        name="a restart forgets what it was in the middle of",
        promise="P4",
        file="engine/reconciler.py",
        text="order for order in self._unplaced() if order.state is OrderState.SUBMITTED]",
        becomes="order for order in self._unplaced() if order.state is OrderState.DENIED]",
        tests=(BAD_DAYS, "tests/e2e/test_idempotency.py"),
    ),
    Defect(
        name="a yes about another quantity is adopted",
        promise="P4",
        file="brokers/alpaca/replies.py",
        text='        ("qty", terms.quantity, view.terms.quantity),\n        ("notional"',
        becomes='        ("notional"',
        tests=("tests/brokers", "tests/e2e/test_unknown_outcomes.py"),
    ),
    Defect(
        name="a broker order of another side is adopted",
        promise="P4",
        file="core/adopt.py",
        text='("side", intent.side, view.side)]',
        becomes='("side", intent.side, intent.side)]',
        tests=("tests/core/test_binding.py",),
        is_quick=True,
    ),
    Defect(
        name="a list that could not be read is an empty list",
        promise="P4",
        file="engine/lookup.py",
        text='        return CannotTell(message=f"the list could not be read: {error}")\n',
        becomes="        return () if error else ()\n",
        tests=("tests/ambiguity/test_reads.py",),
    ),
    Defect(
        name="a drain does not wait for what is in flight",
        promise="P4",
        file="engine/workers.py",
        text="        await self.sender.drained(min(self.account.policy.submit_timeout_s, DRAIN_CAP_S))\n",
        becomes="        await self.sender.drained(0)\n",
        tests=("tests/e2e/test_leaving.py::test_a_drain_records_what_is_in_flight_and_still_takes_cancels",),
    ),
    # ------------------------------------------------------------------------------------------------- P5 every fill
    Defect(
        name="an execution told twice is booked twice",
        promise="P5",
        file="core/book.py",
        text="        known = _by_alias(order, link, execution, at)\n",
        becomes="        known = None\n",
        also=(("_place_among(order, link, fill) if order.fills else New(fill=fill)", "New(fill=fill)"),),
        tests=("tests/core/test_fills.py",),
        is_quick=True,
    ),
    Defect(
        name="two reports of one execution are judged before the first is committed",
        promise="P5",
        file="engine/intake.py",
        text="        if box is not None:\n",
        becomes="        if box is not None and len(box) > 9:\n",
        tests=(BAD_DAYS, "tests/e2e/test_lost_frames.py"),
    ),
    Defect(
        name="busts are not heard",
        promise="P5",
        file="engine/router.py",
        text="            case ReportKind.BUST:\n",
        becomes="            case ReportKind.BUST if not view:\n",
        tests=("tests/e2e/test_corrections.py",),
    ),
    Defect(
        name="busted fills still count",
        promise="P5",
        file="core/order.py",
        text="        return self.status in COUNTED\n",
        becomes="        return self.status is not FillStatus.CORRECTED\n",
        tests=("tests/core/test_busts.py",),
        is_quick=True,
    ),
    Defect(
        name="a fill after the cancel was proven is not booked",
        promise="P5",
        file="core/table.py",
        text="    (Move.LATE_FILL, [S.CANCELED, S.EXPIRED], S.FILLED),\n",
        becomes="",
        tests=("tests/core/test_fills.py", "tests/core/test_table.py"),
        is_quick=True,
    ),
    Defect(
        name="fills are inferred where the broker tells executions",
        promise="P5",
        file="engine/router.py",
        text="capabilities(order.asset_class).has_execution_ids\n",
        becomes="capabilities(order.asset_class).can_replace\n",
        tests=("tests/e2e/test_lost_frames.py", BAD_DAYS),
    ),
    Defect(
        name="fills are written for whole orders only",
        promise="P5",
        file="storage/writer.py",
        text="        if self.fills:\n",
        becomes="        if self.fills and self.inserts:\n",
        tests=("tests/contracts/test_journal_contract.py", "tests/storage/test_round_trip.py"),
    ),
    # ----------------------------------------------------------------------------------- P6 one order of all events
    Defect(
        name="a refused call keeps its sequence numbers",
        promise="P6",
        file="storage/writer.py",
        text="                self._head = head\n                result = self._refusal(call, error)\n",
        becomes="                result = self._refusal(call, error)\n",
        tests=("tests/contracts/test_journal_contract.py",),
        is_quick=True,
    ),
    Defect(
        name="a stream resumes at its last sequence instead of behind it",
        promise="P6",
        file="engine/feed.py",
        text="            start = bisect_right(self._sequences, after)\n",
        becomes="            start = max(bisect_right(self._sequences, after) - 1, 0)\n",
        tests=("tests/engine/test_feed.py", "tests/e2e/test_subscribers.py"),
    ),
    Defect(
        name="old events are no longer missed from memory",
        promise="P6",
        file="engine/feed.py",
        text="        self._covered_from = self._sequences[drop - 1]\n",
        becomes="",
        tests=("tests/engine/test_feed.py",),
        is_quick=True,
    ),
    Defect(
        name="a read that lost rows to a compaction is not noticed",
        promise="P6",
        file="engine/feed.py",
        text="        self._check_kept(after)\n        return entries\n",
        becomes="        return entries\n",
        tests=("tests/engine/test_feed.py",),
        is_quick=True,
    ),
    Defect(
        name="a heartbeat says more than was sent",
        promise="P6",
        file="server/stream.py",
        text="heartbeat_response_bytes(self._position, self._told)",
        becomes="heartbeat_response_bytes(self._feed.head + 1, self._told)",
        tests=("tests/server/test_stream.py",),
        is_quick=True,
    ),
    Defect(
        name="a filtered response says more than was sent",
        promise="P6",
        file="server/stream.py",
        text="            sequence = upto if end == len(chosen) else chosen[end - 1].sequence\n",
        becomes="            sequence = upto\n",
        tests=("tests/server/test_stream.py",),
        is_quick=True,
    ),
    Defect(
        name="there is a seam between a snapshot and what follows",
        promise="P6",
        file="server/stream.py",
        text="        self._position = page.sequence\n",
        becomes="        self._position = self._feed.head\n",
        tests=("tests/server/test_stream.py",),
        is_quick=True,
    ),
    Defect(
        name="a filter lets another account's events through",
        promise="P6",
        file="server/stream.py",
        text='            "account_id": ask.account_ids,\n',
        becomes="",
        tests=("tests/server/test_stream.py",),
        is_quick=True,
    ),
    Defect(
        name="nobody verifies the chain of commits",
        promise="P6",
        file="storage/opening.py",
        text="    _verify(path, connection, meta, clock)\n",
        becomes="",
        tests=("tests/storage/test_chain.py",),
        is_quick=True,
    ),
    # ----------------------------------------------------------------------- P7 state and event are one transaction
    Defect(
        name="there is no transaction",
        promise="P7",
        file="storage/writer.py",
        text='        connection = self._connection\n        connection.execute("BEGIN IMMEDIATE")\n        try:\n',
        becomes="        connection = self._connection\n        try:\n",
        also=(('        connection.execute("COMMIT")\n        return', "        return"),),
        tests=("tests/storage/test_kill.py", "tests/storage/test_failstop.py"),
    ),
    Defect(
        name="the writer's transaction does not say at once that it writes",
        promise="P7",
        file="storage/writer.py",
        text='        connection = self._connection\n        connection.execute("BEGIN IMMEDIATE")\n',
        becomes='        connection = self._connection\n        connection.execute("BEGIN")\n',
        tests=("tests/storage/test_failstop.py",),
    ),
    Defect(
        name="an order's row is not updated with its event",
        promise="P7",
        file="storage/writer.py",
        text="        if self.updates and statements",
        becomes="        if len(self.updates) > 1 and statements",
        tests=("tests/contracts/test_journal_contract.py",),
        is_quick=True,
    ),
    # --------------------------------------------------------------------------------------- P8 the broker is right
    Defect(
        name="a list that is older than what was heard is believed",
        promise="P8",
        file="core/reconcile.py",
        text="(view.asked_ns is None or view.asked_ns >= order.heard_ns)",
        becomes="(view.asked_ns is None or view.asked_ns >= 0)",
        tests=("tests/core/test_reconcile.py",),
        is_quick=True,
    ),
    Defect(
        name="nothing is compared after the stream was down",
        promise="P8",
        file="engine/listener.py",
        text='                log.info("stream_up", account_id=account.account_id)\n'
        "                account.reconcile_wanted.set()\n",
        becomes='                log.info("stream_up", account_id=account.account_id)\n',
        tests=("tests/e2e/test_lost_frames.py",),
    ),
    Defect(
        name="executions are not read",
        promise="P8",
        file="engine/reconciler.py",
        text="        executions = tuple(await account.broker.executions_since(since))\n",
        becomes="        executions = tuple(await account.broker.executions_since(since))[:0]\n",
        tests=("tests/e2e/test_lost_frames.py",),
    ),
    Defect(
        name="a successor is not followed",
        promise="P8",
        file="engine/router.py",
        text="            known = blotter.by_broker_id(account_id, view.replaces)\n",
        becomes="            known = None\n",
        tests=("tests/e2e/test_replaces.py", BAD_DAYS),
    ),
    Defect(
        name="a 204 to a cancel is an end",
        promise="P8",
        file="engine/cancels.py",
        text="                case Taken():\n",
        becomes="                case Taken():\n"
        "                    from orderd.core.facts import SettledByOperator, Verdicts\n"
        "                    from orderd.core.order import EventSource, OrderState\n"
        "                    ended = SettledByOperator(at=self._account.clock.now(), source=EventSource.OPERATOR,\n"
        "                        verdict=Verdicts.ENDED, state=OrderState.CANCELED, message='204')\n"
        "                    await self._account.take(order, ended)\n",
        tests=("tests/e2e/test_cancels.py",),
    ),
    Defect(
        name="another account behind the same keys is not noticed",
        promise="P8",
        file="engine/reconciler.py",
        text="        elif known != figures.number:\n",
        becomes="        elif not figures.number:\n",
        tests=("tests/e2e/test_halts.py::test_an_account_that_became_another_one_halts",),
    ),
    Defect(
        name="a mass disappearance is an ordinary day",
        promise="P8",
        file="engine/reconciler.py",
        text="            if len(vanished) >= MASS:\n",
        becomes="            if len(vanished) > 1_000:\n",
        tests=(
            "tests/e2e/test_halts.py::test_when_every_order_vanishes_the_account_halts_until_an_operator_resumes_it",
        ),
    ),
    # ------------------------------------------------------------------------------------------------ P9 one process
    Defect(
        name="the lock is on the database file",
        promise="P9",
        file="storage/lock.py",
        text='        path = database.with_name(database.name + ".lock")\n',
        becomes="        path = database\n",
        tests=("tests/storage/test_opening.py",),
        is_quick=True,
    ),
    Defect(
        name="there is no lock",
        promise="P9",
        file="storage/lock.py",
        text="fcntl.LOCK_EX | fcntl.LOCK_NB",
        becomes="fcntl.LOCK_SH | fcntl.LOCK_NB",
        tests=("tests/storage/test_opening.py",),
        is_quick=True,
    ),
    # ------------------------------------------------------------------------------------ P10 cancels in every state
    Defect(
        name="a halted account takes no cancels to its broker",
        promise="P10",
        file="engine/cancels.py",
        text="        if order is None or not order.is_open or not order.pending_cancel or not order.links:\n",
        becomes="        if order is None or not order.is_open or not order.pending_cancel or not order.links "
        "or self._account.halt_reason:\n",
        tests=("tests/engine/test_degraded.py",),
    ),
    Defect(
        name="cancels wait for the first reconciliation",
        promise="P10",
        file="engine/cancels.py",
        text="        if order is None or not order.is_open or not order.pending_cancel or not order.links:\n",
        becomes="        if order is None or not order.is_open or not order.pending_cancel or not order.links "
        "or not self._account.is_recovered:\n",
        tests=("tests/engine/test_degraded.py",),
    ),
    Defect(
        name="a restart forgets the cancels that were asked for",
        promise="P10",
        file="engine/workers.py",
        text="            self.watch(order)\n",
        becomes="            order = order\n",
        tests=("tests/engine/test_restarts_and_clocks.py", BAD_DAYS),
    ),
    # ------------------------------------------------------------------------------------------------------ P11 keys
    Defect(
        name="a key is found whatever the rest of the order says",
        promise="P11",
        file="engine/submit.py",
        text="        if not differing:\n",
        becomes="        if differing or not differing:\n",
        tests=("tests/e2e/test_idempotency.py::test_a_key_is_bound_to_its_content_for_ever",),
    ),
    Defect(
        name="the quantity is not part of what a key stands for",
        promise="P11",
        file="core/keys.py",
        text='        "quantity": (a.terms.quantity, b.terms.quantity),\n',
        becomes="",
        tests=("tests/core/test_keys.py",),
        is_quick=True,
    ),
    Defect(
        name="a derived key comes from the clock",
        promise="P11",
        file="core/keys.py",
        text="    return 0 if decided_time is None else",
        becomes="    return datetime.now(UTC).microsecond if decided_time is None else",
        tests=("tests/core/test_keys.py",),
        is_quick=True,
    ),
    # ------------------------------------------------------------------------------------------------ P12 fail-stop
    Defect(
        name="a failed commit is swallowed",
        promise="P12",
        file="storage/writer.py",
        text='        connection.execute("COMMIT")\n        return written',
        becomes='        try:\n            connection.execute("COMMIT")\n        except sqlite3.OperationalError:\n'
        '            connection.execute("ROLLBACK")\n        return written',
        tests=("tests/storage/test_failstop.py",),
        is_quick=True,
    ),
    Defect(
        name="the journal goes on after a failed write",
        promise="P12",
        file="storage/journal.py",
        text="        if self._failure is None and not self._is_closed:\n",
        becomes="        if not self._is_closed:\n",
        tests=("tests/storage/test_failstop.py",),
    ),
    # -------------------------------------------------------------------------------------------------- P13 bounded
    Defect(
        name="the queue has no limit",
        promise="P13",
        file="engine/submit.py",
        text="        if self._sender.queued >= account.policy.queue_limit:\n",
        becomes="        if self._sender.queued < 0:\n",
        tests=("tests/e2e/test_refusals.py::test_a_full_queue_refuses_submits_and_takes_cancels",),
    ),
    Defect(
        name="a nearly full disk stops nobody",
        promise="P13",
        file="engine/submit.py",
        text="        if self._free() < self._min_free_bytes:\n",
        becomes="        if self._free() < 0:\n",
        tests=("tests/engine/test_degraded.py",),
    ),
    Defect(
        name="a reader that stands still is waited for",
        promise="P13",
        file="server/call.py",
        text="            if patience.expired():\n                return False\n",
        becomes="            if patience.expired():\n                return True\n",
        tests=("tests/server/test_stream.py",),
    ),
    Defect(
        name="orders on their way do not count against the limit",
        promise="P13",
        file="engine/submit.py",
        text="account.open_count() + len(self._in_flight) - leave_out",
        becomes="account.open_count() - leave_out",
        tests=("tests/engine/test_restarts_and_clocks.py",),
        is_quick=True,
    ),
    Defect(
        name="one order more than the limit may be open",
        promise="P13",
        file="risk/gate.py",
        text="exposure.open_orders >= limits.max_open_orders",
        becomes="exposure.open_orders > limits.max_open_orders",
        tests=("tests/risk",),
        is_quick=True,
    ),
    # -------------------------------------------------------------------------------------------------- P14 secrets
    Defect(
        name="a credential shows itself",
        promise="P14",
        file="brokers/alpaca/credential.py",
        text='        return "Credential(***)"\n',
        becomes='        return f"Credential({self._key_id}, {self._secret_key})"\n',
        tests=("tests/brokers/test_alpaca_secrets.py",),
        is_quick=True,
    ),
    Defect(
        name="keys that a proxy repeats are kept",
        promise="P14",
        file="brokers/alpaca/credential.py",
        text="            if form in data:\n",
        becomes="            if not data:\n",
        tests=("tests/brokers/test_alpaca_secrets.py",),
        is_quick=True,
    ),
    Defect(
        name="a client is told the text of an exception",
        promise="P14",
        file="server/errors.py",
        text='its log knows it as {error_id}"',
        becomes='its log knows it as {error_id}: {error}"',
        tests=("tests/server/test_errors.py",),
        is_quick=True,
    ),
    # ------------------------------------------------------------------------------------------------- P15 recovery
    Defect(
        name="submits are taken before the account was compared with its broker",
        promise="P15",
        file="engine/submit.py",
        text="        if not account.is_recovered and not account.halt_reason:\n",
        becomes="        if account.is_stopping and not account.halt_reason:\n",
        tests=("tests/engine/test_degraded.py",),
    ),
    Defect(
        name="a restart forgets what was never sent",
        promise="P15",
        file="engine/workers.py",
        text="                self.sender.enqueue(order)\n",
        becomes="                self.watch(order)\n",
        tests=("tests/engine/test_restarts_and_clocks.py", BAD_DAYS),
    ),
    # ---------------------------------------------------------------------------------------------------- P16 seeds
    Defect(
        name="ids do not follow the seed",
        promise="P16",
        file="system.py",
        text="        self._random = random.Random(seed)\n",
        becomes="        self._random = random.Random()\n",
        tests=("tests/test_system.py",),
        is_quick=True,
    ),
    # ------------------------------------------------------------------------------------------------- P17 decimals
    Defect(
        name="an average goes through a float",
        promise="P17",
        file="core/values.py",
        text="    return ROUNDED.divide(a, b).quantize(",
        becomes="    return Decimal(float(a) / float(b)).quantize(",
        tests=("tests/core/test_fills.py",),
        is_quick=True,
    ),
    Defect(
        name="sums are rounded in silence",
        promise="P17",
        file="core/values.py",
        text="EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN, traps=[Inexact, ",
        becomes="EXACT = Context(prec=16, rounding=ROUND_HALF_EVEN, traps=[",
        tests=("tests/core/test_values.py",),
    ),
    Defect(
        name="a small decimal is written with an exponent",
        promise="P17",
        file="core/values.py",
        text='    text = format(value, "f")\n',
        becomes="    text = str(value)\n",
        tests=("tests/core/test_values.py",),
        is_quick=True,
    ),
    # --------------------------------------------------------------------------------------------------- P18 clocks
    Defect(
        name="an order's age is measured with the wall clock",
        promise="P18",
        file="engine/account.py",
        text="            return (self.clock.monotonic_ns() - born) / 1e9\n",
        becomes="            return (self.clock.now() - order.created_time).total_seconds()\n",
        tests=("tests/engine/test_restarts_and_clocks.py",),
        is_quick=True,
    ),
    Defect(
        name="the settle time is measured with the wall clock",
        promise="P18",
        file="engine/resolver.py",
        text="        since_ns = account.clock.monotonic_ns()\n",
        becomes="        since_ns = account.clock.now().timestamp() * 1e9\n",
        also=(
            (
                "            elapsed_s = (account.clock.monotonic_ns() - since_ns) / 1e9\n",
                "            elapsed_s = account.clock.now().timestamp() - since_ns / 1e9\n",
            ),
        ),
        tests=("tests/engine/test_restarts_and_clocks.py",),
        is_quick=True,
    ),
    # ------------------------------------------------------------------------------------------------- P19 upgrades
    Defect(
        name="an older build opens a newer journal",
        promise="P19",
        file="storage/migrate.py",
        text="    if found > REVISION:\n",
        becomes="    if not found:\n",
        tests=("tests/storage/test_migrations.py",),
        is_quick=True,
    ),
    Defect(
        name="an upgrade makes no copy",
        promise="P19",
        file="storage/migrate.py",
        text="        _back_up(path, found)\n",
        becomes="        pass\n",
        tests=("tests/storage/test_migrations.py",),
        is_quick=True,
    ),
    Defect(
        name="a migration is many transactions",
        promise="P19",
        file="storage/migrate.py",
        text='    connection.exec_driver_sql("BEGIN IMMEDIATE")\n',
        becomes="    connection.info.clear()\n",
        tests=("tests/storage/test_migrations.py",),
        is_quick=True,
    ),
)
