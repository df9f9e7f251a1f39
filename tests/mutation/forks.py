"""A pytest plugin that runs the collected tests once for each mutant, in a fork.

The first pass, without a mutant, tells which tests reach which function and how long each takes. After it, a mutant
costs a fork and the tests up to the first that fails: nothing is imported or collected again.
"""

import json
import os
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, Phase, settings
from mutmut.mutation import trampoline

from orderd.core import table

EXAMPLES: Final = 25
"""Of a property that does not say itself how many it wants."""
MOST_S: Final = 8.0
"""CPU seconds of tests for one mutant, by what they took without it; what no test noticed until then survived."""
PATIENCE_S: Final = 20
"""CPU seconds that a mutant's tests may take beyond five times what they took without it."""
TOLD_EVERY: Final = 25
LOOKING_UP: Final = "orderd.core.table.x_next_state"
MAKING_THE_TABLE: Final = ("orderd.core.table.x_compiled_", "orderd.core.table.x_machine_")


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Before any test module is read: the same examples each time, and no search for the smallest failing one."""
    settings.register_profile(
        "mutation",
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=EXAMPLES,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutation")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """In the place of pytest's own loop."""
    if session.testsfailed:
        raise session.Interrupted("the tests could not be collected")
    chosen = json.loads(Path("chosen.json").read_text(encoding="utf-8"))
    reaching, durations = _learn(session.items)
    began = time.monotonic()
    said = sys.__stderr__ or sys.stderr
    with Path("results.jsonl").open("w", encoding="utf-8", buffering=1) as results:
        for number, mutant in enumerate(chosen["mutants"], start=1):
            if time.monotonic() - began > chosen["minutes"] * 60:
                print(f"out of time before mutant {number}", file=said, flush=True)
                break
            items = list(_quick_first(_tests_of(mutant, reaching), durations))
            allowed_s = PATIENCE_S + 5 * sum(durations[item] for item in items)
            outcome = _try(mutant, items, allowed_s)
            results.write(json.dumps({"mutant": mutant, "outcome": outcome}) + "\n")
            if number % TOLD_EVERY == 0:
                print(f"{number} of {len(chosen['mutants'])}", file=said, flush=True)
    return True


def _learn(items: list[pytest.Item]) -> tuple[dict[str, list[pytest.Item]], dict[pytest.Item, float]]:
    """Run every test without a mutant: which functions it reaches, and how much CPU it takes."""
    reaching: dict[str, list[pytest.Item]] = defaultdict(list)
    durations: dict[pytest.Item, float] = {}
    hit: set[str] = set()
    trampoline.record_trampoline_hit = lambda name, caller=None: hit.add(name)
    _switch_to("stats")
    for item in items:
        hit.clear()
        began = time.process_time()
        if _fails(item):
            raise pytest.UsageError(f"{item.nodeid} fails without any mutant")
        durations[item] = time.process_time() - began
        for function in hit:
            reaching[function].append(item)
    return reaching, durations


def _switch_to(mutant: str) -> None:
    """Which mutant runs. mutmut's own switch asks the environment in each call, which takes most of a test's time."""
    trampoline.get_mutant_under_test = lambda: mutant


def _quick_first(items: list[pytest.Item], durations: dict[pytest.Item, float]) -> Iterator[pytest.Item]:
    taken_s = 0.0
    for item in sorted(items, key=lambda item: durations[item]):
        taken_s += durations[item]
        if taken_s > MOST_S:
            return
        yield item


def _tests_of(mutant: str, reaching: dict[str, list[pytest.Item]]) -> list[pytest.Item]:
    """What makes the table of moves runs at import: whoever looks something up there depends on it."""
    own = reaching[mutant.partition("__mutmut_")[0]]
    return [*own, *(item for item in reaching[LOOKING_UP] if item not in own)] if _makes_the_table(mutant) else own


def _makes_the_table(mutant: str) -> bool:
    return mutant.startswith(MAKING_THE_TABLE)


def _fails(item: pytest.Item) -> bool:
    return any(report.failed for report in runtestprotocol(item, nextitem=None, log=False))


def _try(mutant: str, items: list[pytest.Item], allowed_s: float) -> str:
    """`killed` when a test fails, or does not end, or takes the process down."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
    try:
        used = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(used + allowed_s) + 1, int(used + allowed_s) + 2))
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        _switch_to(mutant)
        if _makes_the_table(mutant):
            fresh = table.compiled()
            table._LOOKUP.clear()
            table._LOOKUP.update(fresh)
        os._exit(1 if any(_fails(item) for item in items) else 0)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent's loop must not go on in the child
        os._exit(1)
