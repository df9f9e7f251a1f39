"""The table of errors: complete, in agreement with the contract and with the engine, and small enough for a header."""

import ast
import runpy
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from oms.v1 import error_pb2
from orderd.engine.errors import EngineError, Kind
from orderd.ports import BrokerError, JournalError
from orderd.server.errors import CODES, KINDS, error_message, reason_number, refusal_of, refuse, status_bytes
from tests.server.conftest import House, order_request, refused

ROOT = Path(__file__).resolve().parents[2]
DOCS = runpy.run_path(str(ROOT / "scripts" / "check_docs_errors.py"))


def test_every_reason_of_the_contract_has_a_code_and_no_other_word_has() -> None:
    named = {name.removeprefix("ERROR_REASON_") for name in error_pb2.ErrorReason.keys()}  # noqa: SIM118 - no mapping
    assert set(CODES) == named - {"UNSPECIFIED"}


def test_the_contract_says_the_same_code_in_its_comments() -> None:
    assert {reason: said[0] for reason, said in DOCS["comments"]().items() if reason != "UNSPECIFIED"} == {
        reason: code.name for reason, code in CODES.items()
    }


def test_the_page_of_errors_is_up_to_date() -> None:
    assert DOCS["PAGE"].read_text(encoding="utf-8") == DOCS["page"]()


def test_every_kind_of_refusal_has_a_code() -> None:
    assert set(KINDS) == set(Kind)


def reasons_used() -> list[tuple[str, str, str]]:
    """Where the source says EngineError(Kind.X, "REASON", …): the place, the kind, the reason."""
    found: list[tuple[str, str, str]] = []
    for path in sorted((ROOT / "src" / "orderd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="EngineError"),
                    args=[ast.Attribute(attr=kind), ast.Constant(value=str(reason)), *_],
                ):
                    found.append((f"{path.name}:{node.lineno}", kind, reason))
                case ast.Call(func=ast.Name(id="precondition"), args=[ast.Constant(value=str(reason)), *_]):
                    found.append((f"{path.name}:{node.lineno}", "FAILED_PRECONDITION", reason))
                case ast.Call(func=ast.Name(id="not_found"), args=[ast.Constant(value=str(reason)), *_]):
                    found.append((f"{path.name}:{node.lineno}", "NOT_FOUND", reason))
                case _:
                    pass
    return found


def test_the_house_uses_documented_reasons_with_their_own_codes() -> None:
    used = reasons_used()
    assert len(used) > 10
    wrong = [(place, kind, reason) for place, kind, reason in used if CODES.get(reason) is not KINDS[Kind[kind]]]
    assert wrong == []


def test_each_code_comes_with_its_details() -> None:
    def details(kind: Kind, reason: str) -> set[str]:
        error = EngineError(kind, reason, "no", subject=("orderd.Order", "o"), fields=(("f", "is wrong"),))
        refusal = refusal_of(error)
        assert refusal is not None
        status = status_pb2.Status.FromString(status_bytes(refusal))
        return {packed.type_url.rpartition(".")[2] for packed in status.details} - {"ErrorInfo"}

    assert details(Kind.INVALID, "INVALID_FIELDS") == {"BadRequest"}
    assert details(Kind.NOT_FOUND, "ORDER_NOT_FOUND") == {"ResourceInfo"}
    assert details(Kind.ALREADY_EXISTS, "REQUEST_ID_REUSED") == {"ResourceInfo"}
    assert details(Kind.FAILED_PRECONDITION, "ORDER_ENDED") == {"PreconditionFailure"}
    assert details(Kind.ABORTED, "VERSION_CONFLICT") == set()
    assert details(Kind.OUT_OF_RANGE, "SEQUENCE_IN_FUTURE") == set()
    assert details(Kind.EXHAUSTED, "QUEUE_FULL") == {"RetryInfo"}
    assert details(Kind.UNAVAILABLE, "DISK_LOW") == {"RetryInfo"}
    assert details(Kind.PERMISSION, "PERMISSION_DENIED") == set()


@pytest.mark.parametrize(
    "error",
    [
        EngineError(
            Kind.INVALID, "INVALID_FIELDS", "x" * 9999, fields=tuple((f"f[{n}]", "r" * 99) for n in range(999))
        ),
        EngineError(Kind.NOT_FOUND, "ORDER_NOT_FOUND", "\u20ac" * 9999, metadata={"k": "v" * 9999}),
        EngineError(Kind.FAILED_PRECONDITION, "ORDER_ENDED", "no", order_data=b"x" * 100_000),
    ],
)
def test_a_status_fits_into_a_header(error: EngineError) -> None:
    refusal = refusal_of(error)
    assert refusal is not None
    assert len(status_bytes(refusal)) < 6000
    assert len(refusal.message.encode()) <= 512


def test_what_did_not_fit_is_counted() -> None:
    error = EngineError(Kind.INVALID, "INVALID_FIELDS", "x", fields=tuple((f"f[{n}]", "r" * 99) for n in range(999)))
    refusal = refusal_of(error)
    assert refusal is not None
    status = status_pb2.Status.FromString(status_bytes(refusal))
    bad = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(bad)
    assert bad.field_violations[-1].description == f"and {999 - len(bad.field_violations) + 1} more"
    assert len(error_message(refusal).field_violations) == 999, "a message of its own has room for all"


def test_failures_below_the_engine_are_no_defects() -> None:
    for error, reason in ((JournalError("disk /dev/x"), "STORAGE_FAILED"), (BrokerError("key"), "BROKER_UNAVAILABLE")):
        refusal = refusal_of(error)
        assert refusal is not None
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, reason)
        assert str(error) not in refusal.message


def test_a_defect_never_shows_its_text() -> None:
    assert refusal_of(ValueError("secret")) is None
    one, other = refuse("/a/b", ValueError("secret")), refuse("/a/b", ValueError("secret"))
    assert (one.code, one.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert b"secret" not in status_bytes(one)
    assert one.metadata != other.metadata, "each has its own id"


def test_a_word_that_the_contract_lacks_keeps_its_code() -> None:
    refusal = refusal_of(EngineError(Kind.ABORTED, "NEW_WORD", "no"))
    assert refusal is not None
    assert refusal.code is grpc.StatusCode.ABORTED
    assert reason_number("NEW_WORD") == error_pb2.ERROR_REASON_UNSPECIFIED


async def test_a_defect_is_answered_with_its_id(house: House) -> None:
    house.engine.errors["submit"] = ZeroDivisionError("secret text")
    error = await refused(house.orders.SubmitOrder(order_request()))
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert error.metadata["error_id"] in error.message
    assert "secret" not in error.message
    assert house.server.calls == 0
