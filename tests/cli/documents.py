"""What the documents tell people to type."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/quickstart.md")


def blocks(page: str, kind: str = "") -> list[str]:
    """The fenced blocks of one kind."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def lines(page: str, beginning: str) -> list[list[str]]:
    """The lines to type that begin so, taken apart as a shell would, without what follows a pipe."""
    typed = [line for block in blocks(page) for line in block.splitlines()]
    found = [line.split("$(", 1)[-1].split("|", 1)[0] for line in typed if beginning in line]
    return [shlex.split(line, comments=True) for line in found]
