"""Deliberate defects: each breaks a promise, and the tests beside it must notice.

A defect is the smallest change that somebody could make by mistake and live with for months: a test that was never
seen red proves nothing. `python -m tests.sabotage` applies one at a time to a copy of src and runs its tests there.
The text must occur exactly once in its file; otherwise the list is out of date, which is an error.
"""

from orderd.core.values import Value

BAD_DAYS = "tests/sabotage/days.py"
LOST_SUBMITS = "tests/ambiguity/test_submits.py::test_a_submit_with_a_bad_answer"


class Defect(Value, frozen=True, kw_only=True):
    """`text` of `file` (below src/orderd) is replaced; `also` are further replacements in the same file."""

    name: str
    promise: str
    file: str
    text: str
    becomes: str
    tests: tuple[str, ...]
    """The smallest sensible set that must notice: files or test ids."""
    also: tuple[tuple[str, str], ...] = ()
    is_quick: bool = False
    """Its tests take a few seconds at most: `make test` tries some of these, by a seed."""
