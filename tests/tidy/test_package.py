"""What is built and what is pinned: the wheel holds both packages, the lock files hold every dependency."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.compile(r"^([a-z0-9.-]+)==([^ ;\\]+)(?: ; ([^\\]+))?", re.MULTILINE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """orderd, built the way pip builds it."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=50)
    (built,) = target.glob("*.whl")
    return zipfile.ZipFile(built)


def names_under(folder: Path, package: str) -> set[str]:
    """The files of one package, as a wheel names them."""
    files = (folder / package).rglob("*") if (folder / package).is_dir() else ()
    return {p.relative_to(folder).as_posix() for p in files if p.is_file() and p.suffix in {".py", ".pyi", ".typed"}}


def test_the_wheel_holds_the_server_and_the_contract(wheel: zipfile.ZipFile) -> None:
    expected = names_under(ROOT / "src", "orderd") | names_under(ROOT / "generated" / "python", "oms")
    assert expected - set(wheel.namelist()) == set()
    assert {"orderd/py.typed", "oms/py.typed"} <= set(wheel.namelist())


def test_the_wheel_brings_the_command(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "orderd = orderd.__main__:main" in wheel.read(entry_points).decode()


def pins(name: str) -> dict[tuple[str, str], str]:
    """Version by name and marker."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return {(package, marker.strip()): version for package, version, marker in PINNED.findall(text)}


def asked_for(group: str | None) -> set[str]:
    """The names pyproject.toml asks for, without extras and bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] if group is None else project["optional-dependencies"][group]
    return {re.split(r"[\[<>=;! ]", requirement)[0].lower() for requirement in wanted}


def test_every_dependency_is_locked() -> None:
    assert asked_for(None) - {package for package, _ in pins("runtime.lock")} == set()
    assert asked_for(None) | asked_for("dev") <= {package for package, _ in pins("dev.lock")}


def test_both_lock_files_agree() -> None:
    runtime, everything = pins("runtime.lock"), pins("dev.lock")
    versions = {(package, version) for (package, _), version in everything.items()}
    assert {(package, version) for (package, _), version in runtime.items()} <= versions


@pytest.mark.parametrize("name", ["runtime.lock", "dev.lock"])
def test_every_pin_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(blocks) == len(pins(name))
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in text
