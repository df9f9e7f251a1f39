"""Change core and risk in small ways, one at a time, and see whether their tests notice: `make mutate`.

    python -m tests.mutation --minutes 20 --sample 400 --seed 1

mutmut writes every mutant of every function into a copy of the tree, beside the original, behind a switch. The tests
are collected once in that copy; each mutant is a fork in which the switch is set and the tests that reach its function
run, the quick ones first, until one fails (tests/mutation/forks.py). The full number is beyond an afternoon, so a run
takes a sample: some of every module, the rest by chance, all from the seed.

What the run reached goes to docs/mutation.json, and from there to docs/mutation.md (scripts/check_docs_mutation.py).
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Final

from mutmut.mutation.file_mutation import mutate_file_contents

ROOT: Final = Path(__file__).resolve().parent.parent.parent
TREE: Final = ROOT / "reports" / "mutation"
FIGURES: Final = ROOT / "docs" / "mutation.json"
ROOMS: Final = ("core", "risk")
COPIED: Final = ("src", "generated", "tests")
FROM_EACH: Final = 8
"""Mutants of every module that are in any sample, if it has so many."""


def main() -> int:
    """Make the tree, choose, run, write down."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--minutes", type=float, default=20.0, help="begin no mutant after so long")
    parser.add_argument("--sample", type=int, default=450, help="how many mutants; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--only", default="", help="only mutants whose name has this in it; nothing is written down")
    asked = parser.parse_args()
    mutants = make_tree()
    chosen = choose(mutants, asked.sample, asked.seed, asked.only)
    print(f"{len(chosen)} of {sum(map(len, mutants.values()))} mutants, seed {asked.seed}", flush=True)
    ended = run(chosen, asked.minutes)
    results = read_results()
    report(results, chosen)
    if not asked.only and ended == 0:
        write_down(results, mutants, asked.seed)
    return ended


def make_tree() -> dict[str, list[str]]:
    """Copy what the tests need, put the mutants in, and say which there are, by module."""
    shutil.rmtree(TREE, ignore_errors=True)
    for name in COPIED:
        source, target = ROOT / name, TREE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    shutil.copy(ROOT / "pyproject.toml", TREE)
    mutants: dict[str, list[str]] = {}
    for room in ROOMS:
        for path in sorted((TREE / "src" / "orderd" / room).glob("*.py")):
            mutated = mutate_file_contents(str(path), path.read_text(encoding="utf-8"))
            path.write_text(mutated.code, encoding="utf-8")
            module = f"orderd.{room}.{path.stem}"
            if mutated.mutant_names:
                mutants[module] = [f"{module}.{name}" for name in mutated.mutant_names]
    return mutants


def choose(mutants: dict[str, list[str]], size: int, seed: int, only: str) -> list[str]:
    """A sample that leaves no module out, in an order of chance: one that is cut short is a sample too."""
    everything = [name for names in mutants.values() for name in names if only in name]
    chance = random.Random(seed)
    if size and not only:
        some = {name for names in mutants.values() for name in chance.sample(names, min(FROM_EACH, len(names)))}
        others = [name for name in everything if name not in some]
        everything = sorted(some) + chance.sample(others, min(max(size - len(some), 0), len(others)))
    chance.shuffle(everything)
    return everything


def run(chosen: Sequence[str], minutes: float) -> int:
    """Run pytest once in the tree; its plugin does the rest. Returns pytest's exit status."""
    (TREE / "chosen.json").write_text(json.dumps({"mutants": chosen, "minutes": minutes}), encoding="utf-8")
    paths = [str(TREE / "src"), str(TREE / "generated" / "python"), str(TREE), *sys.path]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutation.forks", "-p", "no:randomly"]
    command += ["-p", "no:cacheprovider", "--timeout=0", *(f"tests/{room}" for room in ROOMS)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"}
    return subprocess.run(command, cwd=TREE, env=environment, check=False).returncode


def read_results() -> dict[str, dict[str, str]]:
    """What became of each mutant that was tried."""
    lines = (TREE / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["mutant"]: row for row in map(json.loads, lines)}


def changed(mutant: str) -> tuple[str, str]:
    """The lines that a mutant takes out of its function, and those that it puts there."""
    module, _, name = mutant.rpartition(".")
    text = (TREE / "src" / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8")
    original = body_of(text, name.partition("__mutmut_")[0] + "__mutmut_orig")
    lines = list(unified_diff(original, body_of(text, name), lineterm="", n=0))[2:]
    gone = (line[1:].strip() for line in lines if line.startswith("-"))
    come = (line[1:].strip() for line in lines if line.startswith("+"))
    return " ".join(gone).strip(), " ".join(come).strip()


def body_of(text: str, name: str) -> list[str]:
    """The lines of a generated function after its head."""
    lines = iter(text.splitlines())
    head = next(line for line in lines if line.lstrip().startswith(f"def {name}("))
    depth = len(head) - len(head.lstrip())
    body: list[str] = []
    for line in lines:
        if line.strip() and len(line) - len(line.lstrip()) <= depth and not line.lstrip().startswith(")"):
            break
        body.append(line)
    return body


def function_of(mutant: str) -> str:
    """`core.book.place` of `orderd.core.book.x_place__mutmut_3`."""
    module, _, name = mutant.rpartition(".")
    plain = name.partition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    return f"{module.removeprefix('orderd.')}.{plain}"


def survivors(results: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    """The mutants that no test noticed, as what they change."""
    rows: list[dict[str, str]] = []
    for mutant, row in results.items():
        if row["outcome"] == "survived":
            was, becomes = changed(mutant)
            rows.append({"function": function_of(mutant), "was": was, "becomes": becomes})
    return sorted(rows, key=lambda row: tuple(row.values()))


def report(results: dict[str, dict[str, str]], chosen: Sequence[str]) -> None:
    """Say it on the terminal."""
    for row in survivors(results):
        print(f"survived: {row['function']}\n  - {row['was']}\n  + {row['becomes']}")
    killed = sum(row["outcome"] == "killed" for row in results.values())
    print(f"{killed} killed of {len(results)} tried of {len(chosen)} chosen")


def write_down(results: dict[str, dict[str, str]], mutants: dict[str, list[str]], seed: int) -> None:
    """Keep it for the page."""
    modules = [
        {
            "module": module.removeprefix("orderd."),
            "mutants": len(names),
            "tried": sum(name in results for name in names),
            "killed": sum(name in results and results[name]["outcome"] == "killed" for name in names),
        }
        for module, names in mutants.items()
    ]
    figures = {"seed": seed, "modules": modules, "survivors": survivors(results)}
    FIGURES.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
