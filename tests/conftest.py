"""Settings every test shares; what only one room needs lives in that room."""

import os

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no counter-example: the per-test timeout is the only clock a property is held to.
settings.register_profile("orderd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("orderd")

KEPT = frozenset({"ORDERD_REFERENCE"})


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests do not reach the code under test."""
    for name in list(os.environ):
        if name.startswith("ORDERD_") and name not in KEPT:
            monkeypatch.delenv(name)
