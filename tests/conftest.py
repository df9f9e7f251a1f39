"""Settings every test shares; what only one room needs lives in that room."""

import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.reach import Reached

# A busy machine is no counter-example: the per-test timeout is the only clock a property is held to.
settings.register_profile("orderd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("orderd")

KEPT = frozenset({"ORDERD_REFERENCE"})
PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a fixture know how its test ended."""
    report = yield
    if call.when == "call":
        item.stash[PASSED] = report.passed
    return report


def pytest_itemcollected(item: pytest.Item) -> None:
    """A figure on record is one that `make prove` can reach again: it runs what is scaled."""
    if "reached" in getattr(item, "fixturenames", ()):
        item.add_marker("scaled")


@pytest.fixture
def reached(request: pytest.FixtureRequest) -> Iterator[Reached]:
    """Where a test says how far it went: see tests/reach.py."""
    told = Reached(request.node.nodeid.partition("[")[0])
    yield told
    if request.node.stash.get(PASSED, False):
        told.tell()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests do not reach the code under test."""
    for name in list(os.environ):
        if name.startswith("ORDERD_") and name not in KEPT:
            monkeypatch.delenv(name)
