"""Build generated/python from protos/, or prove that the committed files are what protos/ says.

    python scripts/generate.py            rewrite generated/python
    python scripts/generate.py --check    change nothing; exit 1 and name the files that differ

The output depends only on protos/ and on the pinned generators: no clock, no path, no locale.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
TARGET = ROOT / "generated" / "python"

PACKAGE_DOCS = {
    "oms": "The messages and services of orderd's wire contract. Built from protos/, never edited.",
    "oms/v1": "Version 1 of the wire contract. Built from protos/, never edited.",
}


def build(into: Path) -> None:
    """Run protoc over every proto: messages, their types, services, their types."""
    sources = sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto"))
    if not sources:
        sys.exit("protos/ holds no .proto file")
    well_known = resources.files("grpc_tools") / "_proto"
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={PROTOS}",
        f"--proto_path={well_known}",
        f"--python_out={into}",
        f"--grpc_python_out={into}",
        f"--mypy_out=quiet:{into}",
        # Neither only_sync nor only_async: a servicer's context then fits grpc.aio's own type.
        f"--mypy_grpc_out=quiet:{into}",
        *sources,
    ]
    # protoc finds its plugins on PATH; those of this interpreter's environment come first.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run(command, check=True, env=environment, cwd=ROOT)
    for package, text in PACKAGE_DOCS.items():
        (into / package / "__init__.py").write_text(f'"""{text}"""\n', encoding="utf-8")
    (into / "oms" / "py.typed").write_text("", encoding="utf-8")


def files_of(root: Path) -> dict[str, bytes]:
    """Every file below `root` that generation answers for, by its relative name."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def differences(fresh: dict[str, bytes], kept: dict[str, bytes]) -> dict[str, str]:
    """Name what is missing, stale or left over in the committed files."""
    return {
        name: "missing" if name not in kept else "left over" if name not in fresh else "stale"
        for name in sorted(fresh.keys() | kept.keys())
        if fresh.get(name) != kept.get(name)
    }


def apply(fresh: dict[str, bytes], changed: dict[str, str]) -> None:
    """Write what differs and remove what is left over; a file that is right is not touched."""
    for name in changed:
        path = TARGET / name
        if name in fresh:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(fresh[name])
        else:
            path.unlink()


def main() -> int:
    """Generate or check; the answer is the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when anything differs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        build(Path(scratch))
        fresh = files_of(Path(scratch))
    changed = differences(fresh, files_of(TARGET) if TARGET.exists() else {})
    if arguments.check:
        for name, how in changed.items():
            print(f"generated/python: {how}: {name}", file=sys.stderr)
        if changed:
            print("Run `make generate` and commit the result.", file=sys.stderr)
        return 1 if changed else 0
    apply(fresh, changed)
    print(f"generated/python: {len(fresh)} files, {len(changed)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
