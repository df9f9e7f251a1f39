"""Every list walks an index in list order: nothing is scanned, nothing but one page of each branch is sorted."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from orderd.core.order import OrderState, Side
from orderd.core.records import RecordKind
from orderd.ports import FillFilter, OrderFilter, RecordFilter
from orderd.storage import queries, record_queries, statements
from orderd.storage.queries import Query, Values
from orderd.storage.schema import marks, metadata, orders
from tests.storage.making import START

ACCOUNTS = ("a", "b")


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    """The tables without rows; without statistics, as in production, plans do not depend on what is in them."""
    with closing(sqlite3.connect(":memory:")) as memory:
        dialect = sqlite.dialect()
        for table in metadata.sorted_tables:
            memory.execute(str(CreateTable(table).compile(dialect=dialect)))
            for index in table.indexes:
                memory.execute(str(CreateIndex(index).compile(dialect=dialect)))
        yield memory


def plan(connection: sqlite3.Connection, asked: tuple[Query, Values]) -> list[tuple[int, str]]:
    """SQLite's plan: each step after the one it is part of."""
    query, values = asked
    rows = connection.execute(f"EXPLAIN QUERY PLAN {query.text}", query.cells(values))
    return [(parent, step) for _, parent, _, step in rows]


WALKED: dict[str, tuple[dict[str, Any], str, int]] = {
    "nothing": ({}, "orders_by_account (account_id=?)", 2),
    "one account": ({"account_ids": ("a",)}, "orders_by_account (account_id=?)", 1),
    "open_only": ({"open_only": True}, "orders_by_status (status=? AND account_id=?)", 10),
    "open_only of an account": (
        {"open_only": True, "account_ids": ("a",)},
        "orders_by_status (status=? AND account_id=?)",
        5,
    ),
    "a status": ({"states": (OrderState.REJECTED,)}, "orders_by_status (status=? AND account_id=?)", 2),
    "the usual status": ({"states": (OrderState.FILLED,)}, "orders_by_status (status=? AND account_id=?)", 2),
    "symbols": ({"symbols": ("AAPL", "SPY", "AAPL")}, "orders_by_symbol (symbol=?)", 2),
    "a symbol's filled orders": (
        {"symbols": ("AAPL",), "states": (OrderState.FILLED,)},
        "orders_by_symbol (symbol=?)",
        1,
    ),
    "a symbol's open orders": (
        {"symbols": ("AAPL",), "open_only": True, "account_ids": ("a",)},
        "orders_by_status (status=? AND account_id=?)",
        5,
    ),
    "underlyings": ({"underlyings": ("AAPL",)}, "orders_by_underlying (underlying=?)", 1),
    "strategies": ({"strategies": ("momentum",)}, "orders_by_strategy (strategy=?)", 1),
    "traces": ({"trace_ids": ("t-1", "t-2")}, "orders_by_trace (trace_id=?)", 2),
    "a trace's open orders": ({"trace_ids": ("t",), "open_only": True}, "orders_by_trace (trace_id=?)", 1),
    "decisions": ({"decision_ids": ("d",), "symbols": ("AAPL",)}, "orders_by_decision (decision_id=?)", 1),
    "trades": ({"trade_ids": ("r",)}, "orders_by_trade (trade_id=?)", 1),
    "an account's traces": ({"trace_ids": ("t",), "account_ids": ("a",)}, "orders_by_trace (trace_id=?)", 1),
}


@pytest.mark.parametrize("name", WALKED)
def test_a_list_of_orders_walks_its_index_in_list_order(connection: sqlite3.Connection, name: str) -> None:
    filters, index, branches = WALKED[name]
    steps = [step for _, step in plan(connection, queries.orders_page(OrderFilter(**filters), ACCOUNTS, None, 51))]
    walked = [step for step in steps if step.startswith("SEARCH orders USING")]
    searches = [step.replace("COVERING ", "") for step in walked if "INTEGER PRIMARY KEY" not in step]
    assert searches == [f"SEARCH orders USING INDEX {index}"] * branches
    assert not [step for step in steps if step.startswith("SCAN orders")]


@pytest.mark.parametrize("name", WALKED)
def test_only_pages_are_sorted(connection: sqlite3.Connection, name: str) -> None:
    """A branch ends after its page because its index is in list order; what is sorted then is a page a branch."""
    filters, _, branches = WALKED[name]
    beside: dict[int, list[str]] = {}
    for parent, step in plan(connection, queries.orders_page(OrderFilter(**filters), ACCOUNTS, None, 51)):
        beside.setdefault(parent, []).append(step)
    with_search = [steps for steps in beside.values() if any(step.startswith("SEARCH orders") for step in steps)]
    assert len(with_search) >= branches
    sorted_searches = [steps for steps in with_search if any("TEMP B-TREE" in step for step in steps)]
    # The outermost step fetches the rows of the page by their numbers and may sort those.
    assert all(any("INTEGER PRIMARY KEY" in step for step in steps) for steps in sorted_searches), sorted_searches


@pytest.mark.parametrize("name", WALKED)
def test_a_later_page_seeks_to_its_key(connection: sqlite3.Connection, name: str) -> None:
    filters, index, branches = WALKED[name]
    page = queries.orders_page(OrderFilter(**filters), ACCOUNTS, (1_767_623_400_000_000, "order-1"), 51)
    walked = [step for _, step in plan(connection, page) if step.startswith("SEARCH orders USING")]
    sought = index.replace("=?)", "=? AND (created_us,order_id)<(?,?))")
    assert len([step for step in walked if sought in step]) == branches, walked


RECORDS: dict[str, tuple[dict[str, Any], str, int]] = {
    "nothing": ({}, "desk_records_by_account (account_id=? AND kind=?)", 2),
    "one account": ({"account_ids": ("a",)}, "desk_records_by_account (account_id=? AND kind=?)", 1),
    "open_only": ({"open_only": True}, "desk_records_open (kind=?)", 1),
    "an account's open ones": ({"open_only": True, "account_ids": ("a",)}, "desk_records_open (kind=?)", 1),
    "statuses": ({"statuses": ("x", "y")}, "desk_records_by_status (kind=? AND status=? AND account_id=?)", 4),
    "symbols": ({"symbols": ("A", "B")}, "desk_records_by_symbol (symbol=? AND kind=?)", 2),
    "strategies": ({"strategies": ("s",)}, "desk_records_by_strategy (strategy=? AND kind=?)", 1),
    "traces": ({"trace_ids": ("t",)}, "desk_records_by_trace (trace_id=? AND kind=?)", 1),
    "decisions": ({"decision_ids": ("d",)}, "desk_records_by_decision (decision_id=? AND kind=?)", 1),
    "trades": ({"trade_ids": ("r",), "symbols": ("A",)}, "desk_records_by_trade (trade_id=? AND kind=?)", 1),
    "a trade's closed ones": (
        {"trade_ids": ("r",), "statuses": ("x",)},
        "desk_records_by_trade (trade_id=? AND kind=?)",
        1,
    ),
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("is_whole", [False, True])
def test_a_list_of_records_walks_its_index_in_list_order(
    connection: sqlite3.Connection, name: str, is_whole: bool
) -> None:
    filters, index, branches = RECORDS[name]
    where = RecordFilter(kind=RecordKind.TRADE, **filters)
    first = record_queries.records_page(where, ACCOUNTS, None, 51, is_whole=is_whole)
    later = record_queries.records_page(where, ACCOUNTS, (1_767_623_400_000_000, "r-1"), 51, is_whole=is_whole)
    sought = index[:-1] + " AND (created_us,record_id)<(?,?))"
    for page, wanted in ((first, index), (later, sought)):
        beside: dict[int, list[str]] = {}
        for parent, step in plan(connection, page):
            assert not step.startswith("SCAN desk_records")
            beside.setdefault(parent, []).append(step)
        walks = [steps for steps in beside.values() if any(wanted in step for step in steps)]
        assert sum(wanted in step for steps in walks for step in steps) == branches, beside
        by_number = "INTEGER PRIMARY KEY"  # the outermost step, which may sort its page
        sorts = [steps for steps in walks if any("TEMP B-TREE" in step for step in steps)]
        assert all(any(by_number in step for step in steps) for steps in sorts), beside


def test_points_of_records_are_one_search(connection: sqlite3.Connection) -> None:
    wanted = {
        statements.RECORD_DATA: "desk_records_by_id (record_id=?)",
        statements.LOAD_RECORD: "desk_records_by_id (record_id=?)",
        statements.FIND_RECORD: "desk_records_by_key (kind=? AND account_id=? AND client_key=?)",
    }
    for text, index in wanted.items():
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", ["x"] * text.count("?"))]
        assert steps == [f"SEARCH desk_records USING INDEX {index}"]
    steps = [step for _, step in plan(connection, (record_queries.OPEN_RECORDS, {"kind": "TRADE"}))]
    assert "SEARCH desk_records USING INDEX desk_records_open (kind=?)" in steps
    update = statements.UPDATE_RECORDS._texts[64]
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {update}", ["x"] * update.count("?"))]
    assert [step for step in steps if step.startswith("SEARCH desk_records USING INDEX desk_records_by_id")], steps
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statements.RECORD_ACCOUNTS}")]
    assert not [step for step in steps if re.fullmatch(r"SCAN desk_records.*", step) and "INDEX" not in step], steps


FILLS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "SCAN fills"),
    "an order": ({"order_id": "o"}, "SEARCH fills USING COVERING INDEX fills_by_order (order_id=?)"),
    "an account": ({"account_ids": ("a",)}, "SEARCH fills USING COVERING INDEX fills_by_account (account_id=?)"),
    "a symbol": ({"symbols": ("AAPL",)}, "SEARCH fills USING COVERING INDEX fills_by_symbol (symbol=?)"),
    "a trade": ({"trade_ids": ("r",)}, "SEARCH fills USING COVERING INDEX fills_by_trade (trade_id=?)"),
    "a time": ({"after": START}, "SEARCH fills USING INDEX fills_by_time (recorded_us>?)"),
    "an account since": (
        {"account_ids": ("a",), "after": START},
        "SEARCH fills USING INDEX fills_by_time (recorded_us>?)",
    ),
    "a decision": ({"decision_ids": ("d",)}, "SEARCH fills USING INDEX fills_by_order (order_id=?)"),
    "a trace since": (
        {"trace_ids": ("t",), "account_ids": ("a",), "after": START},
        "SEARCH fills USING INDEX fills_by_order (order_id=?)",
    ),
    "a trade since": ({"trade_ids": ("r",), "after": START}, "SEARCH fills USING INDEX fills_by_trade (trade_id=?)"),
}


@pytest.mark.parametrize("name", FILLS)
def test_a_list_of_fills_walks_its_index(connection: sqlite3.Connection, name: str) -> None:
    filters, first = FILLS[name]
    steps = [step for _, step in plan(connection, queries.fills_page(FillFilter(**filters), None, 51))]
    assert first in steps, steps


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (statements.FIND_KEY, ["SEARCH orders USING INDEX orders_by_key (account_id=? AND client_order_id=?)"]),
        (statements.FIND_BROKER_ORDER, ["SEARCH broker_links USING PRIMARY KEY (account_id=? AND broker_order_id=?)"]),
        (statements.ORDER_DATA, ["SEARCH orders USING INDEX orders_by_id (order_id=?)"]),
        (statements.FILL_DATA, ["SEARCH fills USING INDEX fills_by_order (order_id=?)"]),
    ],
)
def test_a_point_read_is_one_search(connection: sqlite3.Connection, text: str, steps: list[str]) -> None:
    cells = ["x"] * text.count("?")
    assert [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", cells)] == steps


def test_an_update_of_many_orders_searches_each_by_its_id(connection: sqlite3.Connection) -> None:
    text = statements.UPDATE_ORDERS._texts[64]
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", ["x"] * text.count("?"))]
    assert "SEARCH orders USING INDEX orders_by_id (order_id=?)" in steps
    assert not [step for step in steps if step.startswith("SCAN orders")]


def test_the_accounts_are_found_by_seeks(connection: sqlite3.Connection) -> None:
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statements.ACCOUNTS}")]
    assert not [step for step in steps if re.fullmatch(r"SCAN orders.*", step) and "INDEX" not in step], steps


def test_an_append_of_a_plain_order_touches_five_indexes() -> None:
    """Ruling 26. The others are partial: each is touched only by an order that carries what it is about."""
    full = {index.name for index in orders.indexes if index.dialect_options["sqlite"]["where"] is None}
    assert full | {"orders_by_key"} == {
        "orders_by_id",
        "orders_by_key",
        "orders_by_account",
        "orders_by_status",
        "orders_by_symbol",
    }


def test_statements_say_their_parameters_in_the_order_they_are_given() -> None:
    with pytest.raises(ValueError, match="parameters are"):
        statements.sql(select(marks.c.value).where(marks.c.name == bindparam("name")), "another")
    with pytest.raises(ValueError, match="no single row"):
        statements.ManyRows("INSERT INTO marks VALUES (?, ?)", 3)


def test_the_text_of_a_list_depends_on_its_shape_alone() -> None:
    """So that it is compiled once: no value of a filter stands in it."""
    one, _ = queries.orders_page(OrderFilter(symbols=("A",), sides=(Side.BUY,)), ACCOUNTS, None, 10)
    two, values = queries.orders_page(OrderFilter(symbols=("B",), sides=(Side.SELL, Side.BUY)), ("c",), None, 99)
    assert one is two
    assert values == {"limit": 99, "symbol_0": "B", "side": '["SELL", "BUY"]'}
    with pytest.raises(KeyError):
        one.cells({"limit": 1})


def test_the_events_after_a_sequence_are_a_walk_through_the_journal(connection: sqlite3.Connection) -> None:
    steps = [step for _, step in plan(connection, (queries.EVENTS_AFTER, {"after": 5, "limit": 500}))]
    assert steps == [
        "SEARCH order_events USING INTEGER PRIMARY KEY (rowid>?)",
        "SEARCH orders USING INDEX orders_by_id (order_id=?) LEFT-JOIN",
    ]


def test_recovery_searches_the_open_orders_only(connection: sqlite3.Connection) -> None:
    steps = [step for _, step in plan(connection, (queries.OPEN_NUMBERS, {}))]
    assert [step for step in steps if step.startswith("SEARCH orders") and "orders_by_status (status=?)" in step]
    assert not [step for step in steps if step.startswith("SCAN orders")]
    steps = [step for _, step in plan(connection, (queries.ORDERS_WITH_FILLS, {"numbers": "[1,2]"}))]
    assert "SEARCH orders USING INTEGER PRIMARY KEY (rowid=?)" in steps
    assert [step for step in steps if "fills_by_order (order_id=?)" in step]
    assert not [step for step in steps if step.startswith(("SCAN orders", "SCAN fills"))]


def test_the_latest_payload_is_found_by_its_broker_order(connection: sqlite3.Connection) -> None:
    steps = [step for _, step in plan(connection, (queries.LATEST_RAW, {"account_id": "a", "broker_order_ids": "[]"}))]
    wanted = "INDEX raw_payloads_by_broker_order (account_id=? AND broker_order_id=?)"
    assert [step for step in steps if wanted in step], steps
