"""P1 to P4: durable, once, written first, never guessed."""

from tests.sabotage.defect import BAD_DAYS, LOST_SUBMITS, Defect

SENDING: tuple[Defect, ...] = (
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
        text='        return impossible(order, "sending")\n    draft = Draft(order)\n    if order.pending_cancel:\n',
        becomes='        return impossible(order, "sending")\n    draft = Draft(order)\n    if order.is_external:\n',
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
        text="                case Absent() if asked_s >= account.policy.settle_s:\n",
        becomes="                case Absent() if asked_s >= 0:\n",
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
        tests=("tests/engine/test_restarts_and_clocks.py",),
        is_quick=True,
    ),
)
