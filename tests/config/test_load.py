"""Settings come from flag, variable, file and default, in that order, and every mistake is named with its place."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from orderd.config import (
    AccountSettings,
    BrokerName,
    LogLevel,
    RetentionSettings,
    RiskSettings,
    Settings,
    SettingsError,
    load,
)
from orderd.config.settings import Allowed
from orderd.core.order import Mode
from tests import canary

CANARY = "canary-5f1c9e"
ACCOUNT = """
[accounts.paper]
broker = "alpaca"
key_id = "id"
secret_key = "secret"
"""


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Path]:
    """A place for a configuration file."""
    yield tmp_path / "orderd.toml"


def loaded(path: Path, text: str, environment: Mapping[str, str] | None = None, **flags: str | None) -> Settings:
    """Load a file with this text."""
    path.write_text(text, encoding="utf-8")
    return load(path, environment=environment or {}, flags=flags)


def complaints(
    path: Path, text: str, environment: Mapping[str, str] | None = None, **flags: str | None
) -> dict[str, str]:
    """The problems of a file with this text, by key."""
    with pytest.raises(SettingsError) as caught:
        loaded(path, text, environment, **flags)
    return {problem.key: f"{problem.origin}|{problem.text}" for problem in caught.value.problems}


# --- what is read -----------------------------------------------------------------------------------


def test_the_documented_file_is_understood(write: Path) -> None:
    settings = loaded(
        write,
        """
        database_url = "sqlite+aiosqlite:///var/orderd.db"
        grpc_address = "127.0.0.1:50051"
        http_address = ""

        [accounts.paper]
        broker = "alpaca"
        mode = "paper"
        key_id = "id"
        secret_key = "secret"
        rest_url = "http://127.0.0.1:9001"
        stream_url = "ws://127.0.0.1:9001/stream"
        reconcile_interval_s = 30
        submit_timeout_s = 10
        settle_s = 5

        [accounts.paper.risk]
        max_open_orders = 7

        [risk]
        max_order_notional = "100000"

        [retention]
        keep_events_days = 90
        """,
    )
    account = settings.accounts["paper"]
    assert settings.http_address == ""
    assert (account.broker, account.mode) == (BrokerName.ALPACA, Mode.PAPER)
    assert (account.rest_url, account.stream_url) == ("http://127.0.0.1:9001", "ws://127.0.0.1:9001/stream")
    assert account.secret_key == SecretStr("secret")
    assert settings.retention.keep_events_days == 90
    limits = settings.limits("paper")
    assert (limits.max_order_notional, limits.max_open_orders) == (Decimal(100_000), 7)


def test_everything_can_come_from_variables() -> None:
    settings = load(
        environment={
            "ORDERD_ACCOUNTS__PAPER__BROKER": "Alpaca",
            "ORDERD_ACCOUNTS__PAPER__KEY_ID": "0123456789",
            "ORDERD_ACCOUNTS__PAPER__SECRET_KEY": "1e5",
            "ORDERD_ACCOUNTS__PAPER__RISK__ALLOWED_SYMBOLS": "AAPL, BTC/USD",
            "ORDERD_LOG_LEVEL": "DEBUG",
            "ORDERD_MIN_FREE_BYTES": "1024",
            "ORDERD_HTTP_ADDRESS": "",
        }
    )
    account = settings.accounts["paper"]
    assert account.key_id is not None
    assert account.key_id.get_secret_value() == "0123456789"
    assert account.secret_key == SecretStr("1e5")
    assert (settings.log_level, settings.min_free_bytes, settings.http_address) == (LogLevel.DEBUG, 1024, "")
    assert settings.limits("paper").allowed_symbols == {"AAPL", "BTC/USD"}


def test_flag_beats_variable_beats_file_beats_default(write: Path) -> None:
    environment = {"ORDERD_GRPC_ADDRESS": "127.0.0.1:2", "ORDERD_LOG_LEVEL": "error", "ORDERD_DATABASE_URL": ""}
    text = 'grpc_address = "127.0.0.1:3"\nlog_level = "debug"\nmax_streams = 5\n' + ACCOUNT
    settings = loaded(write, text, environment, grpc_address="127.0.0.1:1", http_address=None)
    assert (settings.grpc_address, settings.log_level, settings.max_streams) == ("127.0.0.1:1", LogLevel.ERROR, 5)
    origins = settings.origins()
    assert origins["grpc_address"] == "--grpc-address"
    assert origins["log_level"] == "variable ORDERD_LOG_LEVEL"
    assert origins["max_streams"] == f"{write}, line 3"
    assert origins["http_address"] == "default"
    assert origins["database_url"] == "default"
    assert origins["accounts.paper.key_id"] == f"{write}, line 7"


def test_the_file_can_be_named_by_a_variable(write: Path) -> None:
    write.write_text(ACCOUNT, encoding="utf-8")
    assert set(load(environment={"ORDERD_CONFIG": str(write)}).accounts) == {"paper"}


def test_a_variable_finds_the_account_whatever_its_spelling(write: Path) -> None:
    text = '[accounts.Main-1]\nbroker = "simulated"\n'
    settings = loaded(write, text, {"ORDERD_ACCOUNTS__MAIN_1__SETTLE_S": "9"})
    assert list(settings.accounts) == ["Main-1"]
    assert settings.accounts["Main-1"].settle_s == 9


def test_accounts_keep_the_order_of_the_file(write: Path) -> None:
    text = "".join(f'[accounts.{name}]\nbroker = "simulated"\n' for name in ("z", "a", "m"))
    assert list(loaded(write, text).accounts) == ["z", "a", "m"]


@pytest.mark.parametrize(("mode", "host"), [("paper", "paper-api.alpaca.markets"), ("live", "api.alpaca.markets")])
def test_the_address_follows_the_mode(write: Path, mode: str, host: str) -> None:
    account = loaded(write, ACCOUNT + f'mode = "{mode}"\n').accounts["paper"]
    assert (account.rest_url, account.stream_url) == (f"https://{host}", f"wss://{host}/stream")


def test_the_stream_is_where_the_rest_is(write: Path) -> None:
    account = loaded(write, ACCOUNT + 'rest_url = "http://127.0.0.1:9001/"\n').accounts["paper"]
    assert (account.rest_url, account.stream_url) == ("http://127.0.0.1:9001", "ws://127.0.0.1:9001/stream")


def test_an_account_is_paper_unless_live_is_said(write: Path) -> None:
    assert loaded(write, ACCOUNT).accounts["paper"].mode is Mode.PAPER


def test_an_accounts_own_limit_goes_before_the_common_one(write: Path) -> None:
    text = '[risk]\nmax_order_quantity = "10"\nmax_open_orders = 3\n' + ACCOUNT
    settings = loaded(write, text + 'risk = { max_order_quantity = "20" }\n')
    limits = settings.limits("paper")
    assert (limits.max_order_quantity, limits.max_open_orders, limits.price_collar_percent) == (Decimal(20), 3, None)


def test_variables_of_the_client_and_of_kubernetes_are_no_settings(write: Path) -> None:
    others = {
        "ORDERD_CONFIG": "x", "ORDERD_TIMEOUT": "5", "ORDERD_SERVICE_HOST": "10.0.0.1", "ORDERD_SERVICE_PORT_GRPC": "1",
        "ORDERD_PORT": "tcp://10.0.0.1:1", "ORDERD_PORT_50051_TCP_ADDR": "10.0.0.1", "HOME": "x",
    }  # fmt: skip
    assert loaded(write, ACCOUNT, others).grpc_address == "127.0.0.1:50051"


# --- secrets ----------------------------------------------------------------------------------------


def test_secrets_are_read_from_files(write: Path, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("from-file\n", encoding="utf-8")
    text = f'[accounts.paper]\nbroker = "alpaca"\nsecret_key = "s"\nkey_id_file = "{tmp_path}/id"\n'
    settings = loaded(write, text)
    assert settings.accounts["paper"].key_id == SecretStr("from-file")
    assert settings.origins()["accounts.paper.key_id"] == f"the file of key_id_file, {write}, line 4"


def test_a_secret_file_of_a_variable_replaces_the_secret_of_the_file(write: Path, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("newer", encoding="utf-8")
    settings = loaded(write, ACCOUNT, {"ORDERD_ACCOUNTS__PAPER__KEY_ID_FILE": str(tmp_path / "id")})
    assert settings.accounts["paper"].key_id == SecretStr("newer")


def test_secrets_are_never_shown(write: Path, tmp_path: Path) -> None:
    (tmp_path / "s").write_text(CANARY, encoding="utf-8")
    text = f'[accounts.a]\nbroker = "alpaca"\nkey_id = "{CANARY}"\nsecret_key_file = "{tmp_path}/s"\n'
    settings = loaded(write, text)
    for told in (repr(settings), str(settings), str(dict(settings.values())), settings.model_dump_json()):
        assert CANARY not in told
    assert dict(settings.values())["accounts.a.key_id"] == "********"


def test_a_complaint_never_quotes_a_value(write: Path) -> None:
    text = f'''
        {CANARY[:6]}_key = "{CANARY}"
        log_level = "{CANARY}"
        database_url = "postgresql+asyncpg://user:{CANARY}@host/db"
        [accounts.a]
        broker = "{CANARY}"
        key_id = ["{CANARY}"]
        secret_key = {{ "a" = "{CANARY}" }}
        rest_url = "https://{CANARY}@host"
        settle_s = "{CANARY}"
        [accounts.a.risk]
        max_order_notional = "{CANARY}"
    '''
    with pytest.raises(SettingsError) as caught:
        loaded(write, text, {"ORDERD_MAX_STREAMS": CANARY})
    assert len(caught.value.problems) >= 9
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_breaks_anywhere_gives_no_key_away(write: Path) -> None:
    """Cut short, or with one character wrong: the complaint is about the file, and quotes nothing of it."""
    text = (
        f'log_level = "loud"\n[accounts.a]\nbroker = "alpaca"\nkey_id = "{canary.KEY_ID}"\n'
        f"secret_key = '{canary.SECRET}'\n[accounts.b]\nsecret_key = [\"{canary.SECOND_SECRET}\"]\n"
    )
    for place in range(0, len(text), 3):
        for broken in (text[:place], text[:place] + "\0" + text[place + 1 :], text[:place] + '"' + text[place:]):
            with pytest.raises(SettingsError) as caught:
                loaded(write, broken)
            assert canary.shown_in(str(caught.value)) == [], broken


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read: No such file"), (b"", "is empty"), (b"\xff\xfe", "is not UTF-8")]
)
def test_a_bad_secret_file(write: Path, tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "s").write_bytes(content)
    text = f'[accounts.a]\nbroker = "alpaca"\nkey_id = "x"\nsecret_key_file = "{tmp_path}/s"\n'
    found = complaints(write, text)
    assert said in found["accounts.a.secret_key_file"]
    assert "line 4" in found["accounts.a.secret_key_file"]


def test_a_key_in_the_place_of_its_files_path_is_not_quoted(write: Path) -> None:
    """Easily done: key_id_file = "the key itself"."""
    text = f'[accounts.a]\nbroker = "alpaca"\nkey_id_file = "{CANARY}"\nsecret_key_file = "{CANARY * 40}"\n'
    found = complaints(write, text)
    assert "cannot be read" in found["accounts.a.key_id_file"]
    assert "File name too long" in found["accounts.a.secret_key_file"]
    assert CANARY not in str(found)


def test_a_secret_and_its_file_in_one_place(write: Path) -> None:
    assert "keep one of the two" in complaints(write, ACCOUNT + 'key_id_file = "x"\n')["accounts.paper.key_id_file"]


# --- what is refused --------------------------------------------------------------------------------


def test_all_problems_come_at_once(write: Path) -> None:
    text = 'grpc_adress = "x"\n' + ACCOUNT + "reconcile_interval_s = 4\n[accounts.b]\n"
    found = complaints(write, text, {"ORDERD_LOG_LEVEL": "loud"}, http_address="here")
    assert set(found) == {
        "grpc_adress", "accounts.paper.reconcile_interval_s", "accounts.b.broker", "log_level", "http_address",
    }  # fmt: skip
    assert found["grpc_adress"] == f"{write}, line 1|unknown key; did you mean grpc_address?"
    assert found["accounts.paper.reconcile_interval_s"] == f"{write}, line 7|must be 5 to 300 seconds"
    assert found["log_level"].startswith("variable ORDERD_LOG_LEVEL|")
    assert found["http_address"].startswith("--http-address|")


BAD_VALUES = {
    "database_url": ["postgresql+asyncpg://h/d", "sqlite:///x", "sqlite+aiosqlite:///:memory:", "sqlite+aiosqlite:///",
                     "sqlite+aiosqlite:///a?mode=ro", "", "x"],
    "grpc_address": ["", "localhost", ":50051", "localhost:", "localhost:70000", "localhost:-1", "a b:1", "h:٣"],
    "http_address": ["localhost", "localhost:x", "http://localhost:1"],
    "log_level": ["trace", ""],
    "min_free_bytes": [-1, "many", True, 1.5],
    "max_streams": [0, 100_001],
    "retention.keep_events_days": [6, 36_501, "long", True, 7.5],
    "max_streams_per_connection": [-1, 100_001],
    "max_calls": [0, 100_001, True],
    "max_request_bytes": [65_535, 67_108_865, 1.5],
    "max_answer_bytes": [2_097_151, 67_108_865],
    "max_metadata_bytes": [4_095, 1_048_577],
    "accounts.a.broker": ["tradier", "ibkr", "", 5],
    "accounts.a.mode": ["demo", "", True],
    "accounts.a.rest_url": ["ftp://h", "https://", "https://h/v2", "https://u:p@h", "https://h?x=1", "https://[h", "h"],
    "accounts.a.stream_url": ["https://h", "wss://", "wss://u@h", "ws://h:99999/stream"],
    "accounts.a.reconcile_interval_s": [4.9, 301, "soon", True],
    "accounts.a.submit_timeout_s": [0, 61],
    "accounts.a.settle_s": [-1, 301, "nan"],
    "accounts.a.send_within_s": [0, 86_401, "inf"],
    "accounts.a.requests_per_minute": [0, 10_001, 1.5],
    "accounts.a.parallel_submits": [0, 65],
    "accounts.a.queue_limit": [0, 1_000_001],
    "accounts.a.key_id": [5, ["x"]],
    "accounts.a.secret_key": [True],
    "accounts.a.risk.max_order_notional": [100.5, "1e5", "-1", "0", "NaN", "", True],
    "accounts.a.risk.max_order_quantity": ["0", "x", " 1"],
    "accounts.a.risk.max_open_orders": [0, "1.5", True],
    "accounts.a.risk.price_collar_percent": [0.5, "-5"],
    "accounts.a.risk.allowed_symbols": [["aapl"], 5, [""], ["A B"]],
    "accounts.a.risk.max_open_positions": [0, "1.5", True],
    "accounts.a.risk.check_buying_power": [1, "yes", "", 0],
    "accounts.a.risk.allow_fractions": [1, "yes", "", 0],
    "accounts.a.risk.max_orders_per_minute": [0, 1_000_001, "fast", True],
    "accounts.a.risk.duplicate_window_s": [0.5, "0", "86400.1", "NaN"],
    "accounts.a.risk.max_daily_loss_percent": [2.5, "0", "100.01", "-1", "nan"],
    "accounts.a.risk.max_losses_in_a_row": [0, "2.5", True],
    "accounts.a.risk.risk_percent": [0.5, "0", "100.1", "1 %"],
    "accounts.a.risk.risk_cap": [0.5, "0", "-1", "Infinity"],
    "accounts.a.risk.max_position_percent": [9.5, "0", "1000.1"],
    "accounts.a.risk.approval_above_notional": [0.5, "0", "-1", "Infinity", "25,000", True],
    "accounts.a.risk.approval_price_percent": [0.5, "0", "-1", "NaN", "2 %"],
    "accounts.a.risk.extended_exit_offset_percent": [0.5, "0", "50.1"],
}  # fmt: skip
REFUSED = [(key, value) for key, values in BAD_VALUES.items() for value in values]


@pytest.mark.parametrize(("key", "value"), REFUSED, ids=[f"{key}={value}" for key, value in REFUSED])
def test_a_bad_value_is_refused_with_key_place_and_what_is_allowed(write: Path, key: str, value: object) -> None:
    literal = str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
    simulated = "" if key == "accounts.a.broker" else 'accounts.a.broker = "simulated"\n'
    found = complaints(write, f"{simulated}{key} = {literal}\n")
    assert list(found) == [key]
    assert f"line {1 + bool(simulated)}|" in found[key]
    assert "must be " in found[key]


def test_every_setting_has_a_bad_value_above() -> None:
    def leaves(prefix: str, model: type[BaseModel]) -> Iterator[str]:
        for name, field in model.model_fields.items():
            if name == "accounts":
                yield from leaves("accounts.a.", AccountSettings)
            elif name == "risk":
                yield from () if model is Settings else leaves(f"{prefix}risk.", RiskSettings)
            elif name == "retention":
                yield from leaves("retention.", RetentionSettings)
            else:
                assert any(isinstance(item, Allowed) for item in field.metadata)
                yield prefix + name

    assert set(leaves("", Settings)) == set(BAD_VALUES)


@pytest.mark.parametrize("account_id", ["a b", "a__b", "-a", "a.b", "x" * 65, "é", ""])
def test_a_bad_account_id(write: Path, account_id: str) -> None:
    found = complaints(write, f'[accounts."{account_id}"]\nbroker = "simulated"\n')
    assert any("must be tables [accounts.<id>]" in text for text in found.values())


@pytest.mark.parametrize(
    ("text", "key"), [("accounts = 5", "accounts"), ("risk = 1", "risk"), ("[accounts]\na = 1", "accounts.a")]
)
def test_a_value_where_a_table_belongs(write: Path, text: str, key: str) -> None:
    assert "must be " in complaints(write, text)[key]


def test_no_account_at_all(write: Path) -> None:
    assert "no account is configured" in complaints(write, "")["accounts"]


def test_accounts_that_variables_cannot_tell_apart(write: Path) -> None:
    text = '[accounts.a-b]\nbroker = "simulated"\n[accounts.A_B]\nbroker = "simulated"\n'
    assert "cannot tell it from a-b" in complaints(write, text)["accounts.A_B"]


@pytest.mark.parametrize("name", ["key_id", "secret_key"])
@pytest.mark.parametrize("empty", [True, False])
def test_alpaca_needs_credentials(write: Path, name: str, empty: bool) -> None:
    line = next(line for line in ACCOUNT.splitlines() if line.startswith(name))
    found = complaints(write, ACCOUNT.replace(line, f'{name} = ""' if empty else ""))
    assert f"ORDERD_ACCOUNTS__PAPER__{name.upper()}" in found[f"accounts.paper.{name}"]


@pytest.mark.parametrize(
    ("mode", "url"),
    [
        ("paper", 'rest_url = "https://api.alpaca.markets"'),
        ("paper", 'stream_url = "wss://api.alpaca.markets/stream"'),
        ("live", 'rest_url = "https://paper-api.alpaca.markets"'),
    ],
)
def test_paper_and_live_are_not_mixed(write: Path, mode: str, url: str) -> None:
    found = complaints(write, ACCOUNT + f'mode = "{mode}"\n{url}\n')
    assert "must go with mode" in found[f"accounts.paper.{url.partition(' ')[0]}"]


@pytest.mark.parametrize("url", ['rest_url = "http://10.0.0.9:9001"', 'stream_url = "ws://10.0.0.9/stream"'])
def test_live_keys_do_not_travel_in_the_clear(write: Path, url: str) -> None:
    found = complaints(write, ACCOUNT + f'mode = "live"\n{url}\n')
    assert "not encrypted" in found[f"accounts.paper.{url.partition(' ')[0]}"]
    loaded(write, ACCOUNT + f"{url}\n")
    loaded(write, ACCOUNT + 'mode = "live"\nrest_url = "http://127.0.0.1:9001"\n')


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"a = ", "not TOML"), (b"a = 1\na = 2", "not TOML"), (b"\xff", "not UTF-8")],
)
def test_a_file_that_cannot_be_read(write: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        write.write_bytes(content)
    with pytest.raises(SettingsError, match=said) as caught:
        load(write, environment={})
    assert str(write) in str(caught.value)


def test_unknown_keys_everywhere(write: Path) -> None:
    text = ACCOUNT + 'secretkey = "x"\n[accounts.paper.risk]\nmax_notional = "1"\n[risks]\na = 1\n'
    found = complaints(write, text, {"ORDERD_ACCOUNTS__PAPER__KEYID": "x", "ORDERD_GRPC": "x"})
    assert "did you mean secret_key?" in found["accounts.paper.secretkey"]
    assert "did you mean max_order_notional?" in found["accounts.paper.risk.max_notional"]
    assert "did you mean risk?" in found["risks"]
    assert "did you mean key_id?" in found["accounts.paper.keyid"]
    assert found["grpc"].startswith("variable ORDERD_GRPC|unknown key")
