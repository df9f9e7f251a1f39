"""What a failing scenario shows beside its own words: the end of every process's log."""

from collections.abc import Generator

import pytest

LAST = 4000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs that stand in the test's directory."""
    report = yield
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    if report.failed and directory is not None:
        for log in sorted(directory.rglob("*.log")):
            report.sections.append((log.name, log.read_text(encoding="utf-8", errors="replace")[-LAST:]))
    return report
