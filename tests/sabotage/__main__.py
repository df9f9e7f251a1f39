"""Apply each defect to a copy of src and see whether its tests notice: `make sabotage`.

    python -m tests.sabotage                      all of them
    python -m tests.sabotage --only "no lock"     those whose name has this in it
    python -m tests.sabotage --promise P5         those of one promise

First the tests of all chosen defects run on the copy as it is: a test that is red anyway notices nothing.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.sabotage.bench import Bench
from tests.sabotage.defects import DEFECTS


def main() -> int:
    """Run; 0 when every defect was noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage")
    parser.add_argument("--only", default="", help="part of a defect's name")
    parser.add_argument("--promise", default="", help="such as P5")
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a defect first")
    asked = parser.parse_args()
    chosen = [d for d in DEFECTS if asked.only in d.name and asked.promise in ("", d.promise)]
    with tempfile.TemporaryDirectory(prefix="orderd-sabotage-") as folder:
        bench = Bench(Path(folder))
        if not asked.trust:
            bench.check_sound(chosen)
        missed = 0
        for defect in chosen:
            caught_by = bench.try_out(defect)
            missed += not caught_by
            print(
                f"{'caught    ' if caught_by else 'NOT CAUGHT'} {defect.promise:3} {defect.name}: {caught_by}",
                flush=True,
            )
    print(f"{len(chosen) - missed} of {len(chosen)} defects noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
