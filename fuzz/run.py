"""Run the coverage-guided fuzzer: python -m fuzz.run [--seconds 60] [TARGET ...]

Each target runs in a process of its own, from the seeds on, and keeps what it learns in .fuzz/TARGET. What breaks a
target is written to fuzz/found/TARGET and said in one line; from then on every test run replays it.
"""

import argparse
import subprocess
import sys

SLOWEST_S = 10
"""One input may take so long, under instrumentation and on a busy machine."""


def main() -> int:
    """Run the targets that were asked for, or all; 1 when one of them broke."""
    from fuzz.targets import TARGETS  # noqa: PLC0415 - the child that fuzzes imports it under instrumentation

    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    asked.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}")
    asked.add_argument("--seconds", type=int, default=60, help="for each target")
    given = asked.parse_args()
    if unknown := set(given.targets) - set(TARGETS):
        asked.error(f"no such target: {', '.join(sorted(unknown))}")
    broken = [name for name in given.targets or TARGETS if not _runs(name, given.seconds)]
    for name in broken:
        print(f"BROKEN: {name}; replay: python -m pytest tests/fuzzing -k 'found and {name}'")
    return 1 if broken else 0


def _runs(name: str, seconds: int) -> bool:
    child = [sys.executable, "-c", "import sys; from fuzz.run import fuzz; fuzz(*sys.argv[1:])", name, str(seconds)]
    done = subprocess.run(child, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout.decode(errors="replace").splitlines()
    print(f"{name}: {next((line for line in reversed(said) if line.startswith(('Done ', '#'))), 'nothing done')}")
    if done.returncode:
        print("\n".join(said[-40:]))
    return done.returncode == 0


def fuzz(name: str, seconds: str) -> None:
    """Fuzz one target in this process, until the time is over or it breaks."""
    import atheris  # type: ignore[import-not-found]  # noqa: PLC0415 - not there unless somebody fuzzes

    with atheris.instrument_imports(include=["orderd", "fuzz"]):
        from fuzz.seeds import FOUND, ROOT, seeds  # noqa: PLC0415
        from fuzz.targets import LONGEST, TARGETS  # noqa: PLC0415
    corpus = ROOT / ".fuzz" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SLOWEST_S}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], str(corpus), f"-artifact_prefix={found}/", *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
