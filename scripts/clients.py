"""Other people's clients, each in an environment of its own under .clients/: what tests/clients runs against the venue.

python scripts/clients.py          make what is missing (node and npm for the JavaScript ones, a minute or two in all)
python scripts/clients.py NAME     make one of them: js3, js4 or python

Exactly what the lock files say, checked against their hashes. An environment is named after its lock file's hash, so a
changed lock makes a new one and an unchanged one is not made again.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GIVEN = ROOT / "tests" / "clients"
MADE = ROOT / ".clients"
LOCKS = {"js3": "package-lock.json", "js4": "package-lock.json", "python": "requirements.lock"}
BUILT_HERE = "msgpack"
"""Of the old Python client's pins this one has no wheel for newer Pythons; its source is built, in plain Python."""
BUILDERS = ("packaging", "setuptools", "wheel")


def environment(name: str) -> Path:
    """Where the environment of a client is, or would be."""
    digest = hashlib.sha256((GIVEN / name / LOCKS[name]).read_bytes()).hexdigest()[:12]
    return MADE / f"{name}-{digest}"


def is_made(name: str) -> bool:
    """Whether it is there and complete."""
    return (environment(name) / "complete").exists()


def make(name: str) -> None:
    """Make it, from nothing. Raises CalledProcessError."""
    place = environment(name)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if name == "python":
        _python(place, GIVEN / name / LOCKS[name])
    else:
        for file in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(GIVEN / name / file, place)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=place, check=True)
    (place / "complete").touch()


def _python(place: Path, lock: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    builders = place / "builders.lock"
    builders.write_text("".join(block for block in _blocks(lock) if block.startswith(BUILDERS)), encoding="utf-8")
    install = [
        place / "venv/bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install",
        "--require-hashes", "--only-binary", ":all:", "--no-build-isolation",
    ]  # fmt: skip
    plain = {**os.environ, "MSGPACK_PUREPYTHON": "1"}
    subprocess.run([*install, "-r", builders], check=True)
    subprocess.run([*install, "--no-binary", BUILT_HERE, "-r", lock], check=True, env=plain)


def _blocks(lock: Path) -> list[str]:
    """Each requirement with its hashes."""
    blocks: list[str] = []
    for line in lock.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith(" "):
            blocks[-1] += line
        else:
            blocks.append(line)
    return blocks


def main() -> int:
    """Make what is asked for, or everything; what cannot be made is said and is no reason not to make the rest."""
    failed: list[str] = []
    for name in sys.argv[1:] or LOCKS:
        if is_made(name):
            continue
        if name != "python" and shutil.which("npm") is None:
            print(f"{name}: there is no npm on this machine", file=sys.stderr)
            failed.append(name)
            continue
        print(f"making {environment(name).relative_to(ROOT)}")
        make(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
