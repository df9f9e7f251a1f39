"""Add up the JUnit files of a directory: one line a file, one in all, and the names of what failed."""

import sys
from pathlib import Path
from xml.etree import ElementTree


def main() -> int:
    """Print the sums; exit 1 when there is no report or a test failed."""
    reports = sorted(Path(sys.argv[1]).glob("*.xml"))
    total = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    broken: list[str] = []
    for report in reports:
        for suite in ElementTree.parse(report).iter("testsuite"):
            counts = {kind: int(suite.get(kind, "0")) for kind in total}
            print(f"{report.stem}: {line(counts)}, {float(suite.get('time', '0')):.0f} s")
            total = {kind: total[kind] + counts[kind] for kind in total}
            broken += [
                f"{case.get('classname')}::{case.get('name')}"
                for case in suite.iter("testcase")
                if case.find("failure") is not None or case.find("error") is not None
            ]
    print(f"in all: {line(total)}")
    for name in broken:
        print(f"  failed: {name}")
    return 0 if reports and not broken else 1


def line(counts: dict[str, int]) -> str:
    """`12 passed, 1 failed, 0 errors, 2 skipped`."""
    passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    return f"{passed} passed, {counts['failures']} failed, {counts['errors']} errors, {counts['skipped']} skipped"


if __name__ == "__main__":
    sys.exit(main())
