"""A copy of src that is damaged, tried and mended again."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.sabotage.defect import Defect

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SOURCE: Final = ROOT / "src" / "orderd"
RED: Final = 1
"""pytest's exit status when tests ran and some failed. Anything else (nothing collected, say) proves nothing."""
PATIENCE_S: Final = 900


class StaleError(Exception):
    """The list of defects does not fit the source any more, or its tests are not green without a defect."""


class Bench:
    """Tries defects, one at a time."""

    def __init__(self, folder: Path) -> None:
        """The copy is made in `folder`, which is empty."""
        self._copy = folder / "src"
        shutil.copytree(SOURCE, self._copy / "orderd", ignore=shutil.ignore_patterns("__pycache__"))
        path = os.pathsep.join([str(self._copy), str(ROOT / "generated" / "python"), str(ROOT)])
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("ORDERD_", "PYTEST_"))}
        kept = {name: value for name, value in os.environ.items() if name == "ORDERD_REFERENCE"}
        self._environment = outside | kept | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        self._check_used()

    def _check_used(self) -> None:
        """The copy is what python imports, in child processes too."""
        command = [sys.executable, "-c", "import orderd; print(orderd.__file__)"]
        said = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True, cwd=ROOT)
        if not said.stdout.startswith(str(self._copy)):
            raise StaleError(f"python imports {said.stdout.strip()} and not the copy")

    def check_sound(self, defects: Iterable[Defect]) -> None:
        """Run the tests of these defects without any. Raises StaleError when one is red."""
        tests = dict.fromkeys(test for defect in defects for test in defect.tests)
        status, said = self._run(*tests)
        if status:
            raise StaleError(f"the tests are not green without a defect:\n{said}")

    def try_out(self, defect: Defect) -> str:
        """Run its tests with the defect. The first test that noticed; empty when none did. Raises StaleError."""
        file = self._copy / "orderd" / defect.file
        whole = file.read_text(encoding="utf-8")
        file.write_text(damaged(whole, defect), encoding="utf-8")
        try:
            status, said = self._run(*defect.tests)
        finally:
            file.write_text(whole, encoding="utf-8")
        noticed = re.search(r"^(?:FAILED|ERROR) (tests/\S+)", said, re.MULTILINE)
        if status == 0:
            return ""
        if status != RED or noticed is None:
            raise StaleError(f"{defect.name}: pytest ended with {status}, and no test says why\n{said}")
        return noticed.group(1)

    def _run(self, *tests: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *tests]
        ended = subprocess.run(
            command,
            env=self._environment,
            cwd=ROOT,
            check=False,
            timeout=PATIENCE_S,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return ended.returncode, ended.stdout


def damaged(source: str, defect: Defect) -> str:
    """The source with the defect in it. Raises StaleError unless each text occurs exactly once."""
    for text, becomes in ((defect.text, defect.becomes), *defect.also):
        if source.count(text) != 1:
            raise StaleError(f"{defect.name}: {source.count(text)} times in {defect.file}, not once: {text!r}")
        source = source.replace(text, becomes)
    return source
