"""Every deliberate defect is noticed: some quick ones in `make test`, all in `make prove` and `make sabotage`."""

import ast
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from scripts.check_docs_reliability import PROMISES

from tests.reach import Reached
from tests.sabotage.bench import ROOT, SOURCE, Bench, StaleError, damaged
from tests.sabotage.defect import Defect
from tests.sabotage.defects import DEFECTS

SEED = 11
A_FEW = random.Random(SEED).sample([defect for defect in DEFECTS if defect.is_quick], 3)
HARMLESS = Defect(
    name="a comment more",
    promise="P1",
    file="core/values.py",
    text="ZERO = Decimal(0)\n",
    becomes="ZERO = Decimal(0)  # harmless\n",
    tests=("tests/core/test_values.py",),
)


def name_of(defect: Defect) -> str:
    return f"{defect.promise} {defect.name}"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    return Bench(tmp_path_factory.mktemp("sabotage"))


def test_the_list_fits_the_source() -> None:
    assert len(DEFECTS) >= 40
    assert not [name for name, times in Counter(name_of(d) for d in DEFECTS).items() if times > 1]
    # What P20 promises is said in docs, not done in code.
    assert {defect.promise for defect in DEFECTS} == PROMISES.keys() - {"P20"}
    for defect in DEFECTS:
        ast.parse(damaged((SOURCE / defect.file).read_text(encoding="utf-8"), defect))
        for test in defect.tests:
            path, _, function = test.partition("::")
            assert (ROOT / path).exists(), test
            assert not function or f"def {function}(" in (ROOT / path).read_text(encoding="utf-8"), test


@pytest.mark.parametrize("times", [0, 2])
def test_a_text_that_is_not_there_once_is_an_error(times: int) -> None:
    with pytest.raises(StaleError, match=f"{times} times"):
        damaged(HARMLESS.text * times, HARMLESS)


def test_a_change_that_breaks_nothing_is_not_called_noticed(bench: Bench) -> None:
    assert not bench.try_out(HARMLESS)


def test_a_defect_after_which_no_test_can_run_is_not_called_noticed(bench: Bench) -> None:
    broken = Defect(**{**{f: getattr(HARMLESS, f) for f in HARMLESS.__struct_fields__}, "becomes": "ZERO = 1 / 0\n"})
    with pytest.raises(StaleError, match="no test says why"):
        bench.try_out(broken)


@pytest.mark.parametrize("defect", A_FEW, ids=name_of)
def test_a_few_deliberate_defects_are_noticed(bench: Bench, defect: Defect) -> None:
    assert bench.try_out(defect), f"nobody noticed: {defect.name}"


@pytest.mark.prove
@pytest.mark.parametrize("defect", DEFECTS, ids=name_of)
def test_every_deliberate_defect_is_noticed(bench: Bench, defect: Defect, reached: Reached) -> None:
    assert bench.try_out(defect), f"nobody noticed: {defect.name}"
    reached(defect.promise, "deliberate defects noticed", 1)
