from pathlib import Path

from hftrain.energy import EnergyMeter, metered


def zone(root: Path, place: str, name: str, microjoules: int, largest: int = 10_000_000) -> Path:
    folder = root / place
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{largest}\n")
    return folder


def test_packages_and_memory_are_added_up_and_what_is_within_them_is_not(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 0)
    core = zone(tmp_path, "intel-rapl:0:0", "core", 0)

    with metered(tmp_path) as meter:
        (package / "energy_uj").write_text("3500000")
        (memory / "energy_uj").write_text("500000")
        (core / "energy_uj").write_text("9000000")

    assert meter.joules == 3.0


def test_a_counter_that_began_anew_is_read_on(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 9_000_000, largest=10_000_000)
    meter = EnergyMeter(tmp_path)

    meter.start()
    (package / "energy_uj").write_text("2000000")
    meter.look()

    assert meter.joules == 3.0


def test_where_nothing_can_be_read_there_is_no_number(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()

    with metered(tmp_path) as unreadable, metered(tmp_path / "nowhere") as missing:
        pass

    assert (unreadable.joules, missing.joules) == (None, None)
