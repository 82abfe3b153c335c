"""How much energy the processor took, in joules, where the kernel lets it be read (RAPL).

It is of the whole processor (and its memory, where that is counted), whoever used it: on a shared machine it is an
upper bound. Most kernels let only root read it, since it tells of other programs; virtual machines rarely have it.
Source: https://docs.kernel.org/power/powercap/powercap.html
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
ZONES = ("package-", "dram")
"""What is added up; ``core`` and ``uncore`` are within a package, ``psys`` holds packages and more."""
LOOK_SECONDS = 30.0
"""The counter begins anew at its largest value: at 65 watts after about an hour, at 1,000 in four minutes."""


@dataclass
class EnergyMeter:
    """Adds up what the counters of a machine say."""

    root: Path = POWERCAP
    joules: float | None = None
    """Since `start`; None where nothing can be read."""
    _last: dict[Path, int] = field(default_factory=dict)

    def start(self) -> None:
        """Begin at zero."""
        self._last = {zone: value for zone in _zones(self.root) if (value := _number(zone / "energy_uj")) is not None}
        self.joules = 0.0 if self._last else None

    def look(self) -> None:
        """Add what was taken since the last look; a counter that is smaller than then began anew."""
        for zone, before in self._last.items():
            now = _number(zone / "energy_uj")
            if now is None or self.joules is None:
                continue
            over = (_number(zone / "max_energy_range_uj") or 0) if now < before else 0
            self.joules += (now - before + over) / 1e6
            self._last[zone] = now


@contextlib.contextmanager
def metered(root: Path = POWERCAP) -> Iterator[EnergyMeter]:
    """A meter that runs within the block, and has looked a last time after it."""
    meter, over = EnergyMeter(root), threading.Event()
    meter.start()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            meter.look()

    watcher = threading.Thread(target=watch, name="energy", daemon=True) if meter.joules is not None else None
    if watcher is not None:
        watcher.start()
    try:
        yield meter
    finally:
        over.set()
        if watcher is not None:
            watcher.join()
        meter.look()


def _zones(root: Path) -> list[Path]:
    """Packages and memory; the same zone is not counted twice under another driver's name."""
    try:
        found = sorted(path for path in root.iterdir() if path.name.startswith("intel-rapl:"))
    except OSError:
        return []
    return [zone for zone in found if _text(zone / "name").startswith(ZONES)]


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
