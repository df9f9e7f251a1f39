"""docs/reference/errors.md is the error table of the server, in words: check that it is, or write it.

    python scripts/check_docs_errors.py            change nothing; exit 1 when the page is out of date
    python scripts/check_docs_errors.py --write    write the page

The codes come from the server's table, the explanations from the comments of oms.v1.ErrorReason.
"""

import argparse
import re
import sys
from pathlib import Path

import grpc

from orderd.server.errors import CODES

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "protos" / "oms" / "v1" / "error.proto"
PAGE = ROOT / "docs" / "reference" / "errors.md"

HEAD = """\
# Errors

<!-- Written by scripts/check_docs_errors.py from the server's table and error.proto; edit those. -->

An error says that the call recorded nothing. What becomes of an order is not an error: a denied, rejected or unknown
order comes back as an order in an OK answer and stands in the journal.

Every error of orderd is one `google.rpc.Status` (trailer `grpc-status-details-bin`) with exactly one
`google.rpc.ErrorInfo`: domain `orderd`, a reason of the table below, and metadata. Program against the reason; the
message is for people and may change. Within `BatchSubmitOrders` the same stands in `oms.v1.Error`, where the reasons
have the prefix `ERROR_REASON_` and the wait before a repeat is the metadata `retry_after_ms`.

A status without an `ErrorInfo` is gRPC's own, made on either side: a deadline, a cancelled call, a message over the
limit (requests: 1 MiB), a connection that broke, a method that does not exist. After a deadline or a broken connection
it is not known whether the call was recorded: repeat it with the same key.
"""

ADVICE = {
    grpc.StatusCode.INVALID_ARGUMENT: (
        "The request is wrong, and will be wrong again. `BadRequest` names every field that is; when they are more "
        "than a header can carry, the last entry says how many are missing."
    ),
    grpc.StatusCode.NOT_FOUND: (
        "`ResourceInfo` names what was looked for. What belongs to another account is as unknown as what never was."
    ),
    grpc.StatusCode.ALREADY_EXISTS: "The key is taken by something else, which `ResourceInfo` names. Use a new key.",
    grpc.StatusCode.FAILED_PRECONDITION: (
        "The state forbids it; repeating changes nothing before the state does. `PreconditionFailure` says what, and "
        "the order as it stands is in the details (`oms.v1.Order`) when the call was about one and it fits."
    ),
    grpc.StatusCode.ABORTED: "Somebody else was faster. Read again, decide again.",
    grpc.StatusCode.OUT_OF_RANGE: "The stream cannot begin there. The metadata says where it can.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "Too much at once. `RetryInfo` says after how long to repeat.",
    grpc.StatusCode.UNAVAILABLE: (
        "Not now. Repeat after the time in `RetryInfo`; a submit with the same key is safe to repeat for ever, and a "
        "stream resumes after the last sequence that arrived."
    ),
    grpc.StatusCode.UNAUTHENTICATED: "The token is missing or not valid.",
    grpc.StatusCode.PERMISSION_DENIED: "The token is valid and does not reach so far.",
    grpc.StatusCode.INTERNAL: (
        "A defect of the server. The metadata `error_id` finds it in the server's log. Whether something was recorded "
        "is not known: repeat with the same key."
    ),
    grpc.StatusCode.UNIMPLEMENTED: "This server does not do that.",
}


def comments() -> dict[str, tuple[str, str]]:
    """By reason: the code its comment begins with, and the rest of the comment."""
    text = PROTO.read_text(encoding="utf-8")
    found = re.findall(r"((?:  // .*\n)+)  ERROR_REASON_(\w+) = \d+;", text)
    said = {reason: " ".join(line.strip(" /") for line in block.splitlines()) for block, reason in found}
    return {reason: (text.partition(". ")[0], text.partition(". ")[2]) for reason, text in said.items()}


def page() -> str:
    """The page as it should be."""
    explained = comments()
    sections: dict[grpc.StatusCode, list[str]] = {}
    for reason, code in CODES.items():
        sections.setdefault(code, []).append(f"| `{reason}` | {explained[reason][1]} |")
    parts = [HEAD]
    for code, rows in sections.items():
        table = "\n".join(["| reason | means |", "|---|---|", *rows])
        parts.append(f"\n## {code.name}\n\n{ADVICE[code]}\n\n{table}\n")
    return "".join(parts)


def main() -> int:
    """Check or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the page")
    wanted = page()
    if parser.parse_args().write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(wanted, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
        sys.stderr.write(f"{PAGE.relative_to(ROOT)} is out of date: run python {Path(__file__).name} --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
