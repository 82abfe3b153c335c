# ruff: noqa: T201  (it prints what it finds)
"""The whole harness in one command, and a table of what came of it.

python tests/faults/run.py [--kills 8] [--minutes 2] [--only input,machine,kills,launches,haul]
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import forks  # noqa: E402
import kills  # noqa: E402
import launches  # noqa: E402

TESTED = {
    "bad input": "test_bad_input.py",
    "disk and memory": "test_machine.py",
    "security": "test_security.py",
    "properties": "test_properties.py",
    "fuzzed files": "test_fuzz.py",
    "versions": "test_versions.py",
}
ENDED = re.compile(r"(\d+) (passed|failed|error|skipped)")


@dataclass
class Row:
    """One line of the table."""

    part: str
    tried: int = 0
    survived: int = 0
    lost: list[str] = field(default_factory=list)
    tracebacks: int = 0
    skipped: int = 0
    seconds: float = 0.0


def by_pytest(part: str) -> Row:
    """A table or a group of tests, each case counted."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / TESTED[part])]
    done = subprocess.run(words, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
    counts = {name: int(number) for number, name in ENDED.findall(done.stdout.strip().rpartition("\n")[2])}
    lost = re.findall(r"(?m)^(?:FAILED|ERROR) \S+::(.*)", done.stdout)
    passed, failed = counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)
    told = [line for line in done.stdout.splitlines() if line.startswith("E ") and "a traceback:" in line]
    return Row(part, passed + failed, passed, lost, len(told), counts.get("skipped", 0))


def of_kills(count: int, seed: int) -> Callable[[Path, Path, float], Row]:
    """The flow, killed so often."""

    def work(folder: Path, whole: Path, seconds: float) -> Row:
        def say(line: str) -> None:
            print(line, file=sys.stderr, flush=True)

        tally = kills.kill_often(count, folder, whole, seconds, seed=seed, say=say)
        where = ", ".join(f"{name} {number}" for name, number in tally.stages.most_common())
        return Row(f"kills ({where})", tally.kills, tally.kills - len(tally.lost), tally.lost)

    return work


def of_launches(folder: Path, whole: Path, seconds: float) -> Row:
    """Two processes under accelerate; either, and the launcher, killed."""
    lost = launches.kill_launches(folder, whole)
    return Row("kills under accelerate launch", len(launches.WHO), len(launches.WHO) - len(lost), lost)


def of_two_flows(folder: Path, whole: Path, seconds: float) -> Row:
    """Two flows on one folder."""
    lost = launches.two_at_once(folder, whole)
    return Row("two flows on one folder", 1, int(not lost), lost)


def of_hours(minutes: float) -> Row:
    """The long haul, in a process of its own."""
    words = [sys.executable, "-W", "ignore", str(HERE / "long_haul.py"), "--minutes", str(minutes)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    print(done.stdout, file=sys.stderr, flush=True)
    rounds = sum(int(number) for number in re.findall(r"(\d+) rounds", done.stdout))
    lost = [] if done.returncode == 0 else (done.stdout + done.stderr)[-300:].splitlines()
    return Row(f"rounds of training and serving, {minutes:g} minutes", rounds, rounds if not lost else 0, lost)


def timed(work: Callable[[], Row]) -> Row:
    """A row with its time."""
    began = time.monotonic()
    row = work()
    row.seconds = time.monotonic() - began
    return row


def main() -> int:
    """Run what is asked for, print the table; 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=8, help="of the flow, at random moments over all its stages")
    parser.add_argument("--minutes", type=float, default=2.0, help="of the long haul")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--only", default="input,machine,kills,launches,haul", help="parts, by comma")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    asked, rows = set(options.only.split(",")), []
    parts = (["bad input"] if "input" in asked else []) + (list(TESTED)[1:] if "machine" in asked else [])
    rows += [timed(lambda part=part: by_pytest(part)) for part in parts]  # type: ignore[misc]
    forked = [of_two_flows, of_kills(options.kills, options.seed)] if "kills" in asked else []
    forked += [of_launches] if "launches" in asked else []
    if forked:
        forks.import_everything()
        folder = Path(tempfile.mkdtemp(prefix="faults-"))
        whole, seconds = kills.unbroken(folder)
        rows += [timed(lambda work=work: work(folder, whole, seconds)) for work in forked]  # type: ignore[misc]
        if not any(row.lost for row in rows):
            shutil.rmtree(folder, ignore_errors=True)
    rows += [timed(lambda: of_hours(options.minutes))] if "haul" in asked else []
    return shown(rows)


def shown(rows: list[Row]) -> int:
    """Print the table, and what was lost."""
    lost = [f"{row.part}: {each}" for row in rows for each in row.lost]
    whole = Row("in all", lost=lost)
    for name in ("tried", "survived", "tracebacks", "skipped", "seconds"):
        setattr(whole, name, sum(getattr(row, name) for row in rows))
    print(f"{'tried':>6}{'survived':>10}{'lost':>6}{'tracebacks':>12}{'skipped':>9}{'seconds':>9}   part")
    for row in [*rows, whole]:
        counts = f"{row.tried:>6}{row.survived:>10}{len(row.lost):>6}{row.tracebacks:>12}{row.skipped:>9}"
        print(f"{counts}{row.seconds:>9.0f}   {row.part}")
    print("\n".join(lost))
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
