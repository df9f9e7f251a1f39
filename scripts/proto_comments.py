"""The comments of `oms.v1`, for the pages that are written from them: the descriptors in Python have none."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_COMMENT = re.compile(r"^\s*// ?(.*)$")
_BLOCK = re.compile(r"^(enum|message) (\w+) \{$")
_MEMBER = re.compile(r"^\s+(?:.*\s)?(\w+) = \d+;")


def comments(file: str, name: str) -> dict[str, str]:
    """By member, in the order of the file: the comment of an enum's value or a message's field. Needs buf's layout."""
    found: dict[str, str] = {}
    inside, said = False, list[str]()
    for line in (ROOT / "protos" / "oms" / "v1" / file).read_text(encoding="utf-8").splitlines():
        block, comment, member = _BLOCK.match(line), _COMMENT.match(line), _MEMBER.match(line)
        if block is not None:
            inside = block[2] == name
        elif line == "}":
            inside = False
        elif inside and comment is not None:
            said.append(comment[1])
            continue
        elif inside and member is not None:
            found[member[1]] = " ".join(said)
        said = []
    if not found:
        raise ValueError(f"{file} has no {name}")
    return found
