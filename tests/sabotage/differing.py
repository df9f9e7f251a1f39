"""P7 and P8 once more: what differs is recorded with its fact, stops what it must, and is settled by evidence."""

from tests.sabotage.defect import Defect

STORIES = ("tests/engine/test_discrepancies.py",)
WORDS = ("tests/engine/test_settlements.py",)

DIFFERING: tuple[Defect, ...] = (
    Defect(
        name="a discrepancy is written after the fact that shows it",
        promise="P7",
        file="engine/intake.py",
        text="        append = Append(steps=steps, raw=tuple(raw), discrepancies=books, can_wait=can_wait)\n",
        becomes="        append = Append(steps=steps, raw=tuple(raw))\n"
        "        if books:\n"
        "            later = Append(steps=(), discrepancies=books)\n"
        "            asyncio.get_running_loop().call_later(0.01, lambda: self._journal.append([later]))\n",
        tests=STORIES,
        is_quick=True,
    ),
    Defect(
        name="more than was ordered stops nothing",
        promise="P8",
        file="core/discrepancies.py",
        text="        DiscrepancyKind.OVERFILL: _rule(Effect.SYMBOL_BLOCKED, Settling.WORD),\n",
        becomes="        DiscrepancyKind.OVERFILL: _rule(Effect.NONE, Settling.WORD),\n",
        tests=STORIES,
        is_quick=True,
    ),
    Defect(
        name="a blocked symbol holds exits back",
        promise="P10",
        file="engine/exposure.py",
        text="            is_position_proven=held is not None,\n",
        becomes="            is_position_proven=False,\n",
        tests=STORIES,
        is_quick=True,
    ),
    Defect(
        name="two exits of a blocked symbol may turn its position",
        promise="P8",
        file="engine/exposure.py",
        text="        return total(leaves.values())\n",
        becomes="        return ZERO\n",
        tests=STORIES,
        is_quick=True,
    ),
    Defect(
        name="a difference is closed whatever the comparison says",
        promise="P8",
        file="engine/comparing.py",
        text="compared.view is None or compared.stands is not False:\n",
        becomes="compared.view is None:\n",
        tests=STORIES,
        is_quick=True,
    ),
    Defect(
        name="what an operator has closed is opened again by the next report",
        promise="P8",
        file="engine/discrepancies.py",
        text=" or _claim(record) in self._accepted:\n",
        becomes=":\n",
        tests=(*STORIES, *WORDS),
        is_quick=True,
    ),
    Defect(
        name="an operator's word goes before the broker's",
        promise="P8",
        file="engine/settlements.py",
        text="            settled = await self._contradicted(order, ask)\n",
        becomes="            settled = None\n",
        tests=WORDS,
        is_quick=True,
    ),
    Defect(
        name="an order on its way may be settled by hand",
        promise="P4",
        file="engine/settlements.py",
        text="        if order.state is not OrderState.UNKNOWN:\n",
        becomes="        if order.state is OrderState.REPLACED:\n",
        tests=WORDS,
        is_quick=True,
    ),
    Defect(
        name="a slip of an operator's pen halts the account",
        promise="P8",
        file="engine/settlements.py",
        text="        if isinstance(verdict, Impossible):\n"
        "            raise _contradicted(now, outcome.view, verdict.explanation)\n",
        becomes="        if isinstance(verdict, Impossible):\n"
        "            self._account.intake.take(order.order_id, self._fact(ask, outcome.view))\n"
        "            raise _contradicted(now, outcome.view, verdict.explanation)\n",
        tests=WORDS,
        is_quick=True,
    ),
)
