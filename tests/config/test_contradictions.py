"""Limits that cannot both be meant are refused by name, wherever each of them was set."""

from pathlib import Path

import pytest

from orderd.config import load
from tests.config.test_load import ACCOUNT, complaints, loaded


@pytest.fixture
def write(tmp_path: Path) -> Path:
    """A place for a configuration file."""
    return tmp_path / "orderd.toml"


@pytest.mark.parametrize(
    ("small", "large", "at_most", "too_much"),
    [
        ("risk_percent", "max_daily_loss_percent", "2", "2.01"),
        ("risk_percent", "max_position_percent", "2", "2.01"),
        ("risk_cap", "max_order_notional", "2", "2.01"),
        ("approval_above_notional", "max_order_notional", "2", "2.01"),
    ],
)
@pytest.mark.parametrize("small_place", ["risk", "accounts.a.risk"])
@pytest.mark.parametrize("large_place", ["risk", "accounts.a.risk"])
def test_limits_that_contradict_each_other(
    write: Path, small: str, large: str, at_most: str, too_much: str, small_place: str, large_place: str
) -> None:
    def text(value: str) -> str:
        return f'{small_place}.{small} = "{value}"\n{large_place}.{large} = "2"\naccounts.a.broker = "simulated"\n'

    loaded(write, text(at_most))
    found = complaints(write, text(too_much))
    assert list(found) == [f"{small_place}.{small}"]
    assert f"line 1|2.01 is more than {large_place}.{large} (2): " in found[f"{small_place}.{small}"]


def test_an_accounts_own_limit_is_the_one_that_contradicts(write: Path) -> None:
    text = '[risk]\nrisk_percent = "5"\nmax_daily_loss_percent = "3"\n' + ACCOUNT
    assert "risk.risk_percent" in complaints(write, text)
    loaded(write, text + 'risk = { risk_percent = "1" }\n')
    found = complaints(write, text + 'risk = { max_daily_loss_percent = "x" }\n')
    assert list(found) == ["accounts.paper.risk.max_daily_loss_percent"]


def test_flags_are_understood_as_words_too() -> None:
    for word, meant in (("true", True), ("FALSE", False)):
        environment = {"ORDERD_ACCOUNTS__A__BROKER": "simulated", "ORDERD_RISK__CHECK_BUYING_POWER": word}
        settings = load(environment=environment)
        assert settings.limits("a").check_buying_power is meant
        assert dict(settings.values())["risk.check_buying_power"] == str(meant).lower()
    own = {"ORDERD_ACCOUNTS__A__RISK__CHECK_BUYING_POWER": "false", "ORDERD_RISK__CHECK_BUYING_POWER": "true"}
    assert load(environment={"ORDERD_ACCOUNTS__A__BROKER": "simulated", **own}).limits("a").check_buying_power is False
