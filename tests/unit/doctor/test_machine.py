"""What the doctor finds on this computer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from bambufs.config import MountOptions
from bambufs.doctor import Finding, Verdict, look_at_machine
from bambufs.doctor.machine import Machine, mounted_places
from bambufs.mount import binding
from bambufs.vfs.journal import Journal, Record


class Usage(NamedTuple):
    """What `shutil.disk_usage` gives."""

    total: int
    used: int
    free: int



@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A computer on which all is well."""
    for name in ("fuse", "fuse.conf", "mounts"):
        (tmp_path / name).write_text("")
    return Machine(tmp_path / "fuse", tmp_path / "fuse.conf", tmp_path / "mounts")


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(binding, "available", lambda: ["fuse3", "fuse2"])
    monkeypatch.setattr(os, "getuid", lambda: 0)


def found(machine: Machine, tmp_path: Path, **options: object) -> dict[str, Finding]:
    chosen = MountOptions(**options)  # type: ignore[arg-type]
    return {finding.step: finding for finding in look_at_machine(chosen, tmp_path / "cache", machine)}


def test_all_is_well(machine: Machine, tmp_path: Path) -> None:
    assert {finding.verdict for finding in found(machine, tmp_path).values()} == {Verdict.GOOD}


def test_no_fuse(machine: Machine, tmp_path: Path) -> None:
    machine.device.unlink()
    finding = found(machine, tmp_path)["FUSE"]
    assert (finding.exit_code, "modprobe fuse" in finding.advice) == (6, True)


def test_no_fusermount(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    finding = found(machine, tmp_path)["fusermount"]
    assert (finding.exit_code, "apt install fuse3" in finding.advice) == (6, True)


def test_fusermount_without_the_right(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fusermount3").write_text("")
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert "chmod u+s" in found(machine, tmp_path)["fusermount"].advice


@pytest.mark.parametrize(
    ("there", "wanted", "verdict"),
    [
        ([], None, Verdict.BAD),
        (["fuse2"], None, Verdict.GOOD),
        (["fuse2"], "fuse3", Verdict.BAD),
        (["fuse3", "fuse2"], "fuse2", Verdict.GOOD),
    ],
)
def test_libraries(
    there: list[str],
    wanted: str | None,
    verdict: Verdict,
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(binding, "available", lambda: there)
    assert found(machine, tmp_path, fuse=wanted)["libfuse"].verdict is verdict


@pytest.mark.parametrize(
    ("settings", "wanted", "verdict"),
    [
        ("#user_allow_other\n", True, Verdict.BAD),
        ("# x\nuser_allow_other\n", True, Verdict.GOOD),
        ("#user_allow_other\n", False, Verdict.GOOD),
    ],
)
def test_allow_other(
    settings: str, wanted: bool, verdict: Verdict, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    machine.settings.write_text(settings)
    assert found(machine, tmp_path, allow_other=wanted)["user_allow_other"].verdict is verdict


def test_remains_of_a_mount(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.mounts.write_text(f"bambufs:1.2.3.4 {tmp_path}/dead fuse.bambufs rw 0 0\nx /y ext4 rw 0 0\n")
    real = os.stat

    def stat(place: object, **options: object) -> os.stat_result:
        if place == tmp_path / "dead":
            raise OSError(107, "Transport endpoint is not connected")
        return real(place, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat)
    finding = found(machine, tmp_path)["mounts"]
    assert (finding.verdict, f"bambufs unmount {tmp_path}/dead" in finding.advice) == (Verdict.NOTE, True)


def test_names_of_mounts_are_read_as_the_kernel_writes_them(machine: Machine) -> None:
    machine.mounts.write_text("bambufs:1.2.3.4 /home/me/my\\040printer fuse.bambufs rw 0 0\n")
    assert mounted_places(machine.mounts) == [("bambufs:1.2.3.4", Path("/home/me/my printer"))]


def test_mount_point(machine: Machine, tmp_path: Path) -> None:
    place = tmp_path / "printer"
    assert "mkdir -p" in found(machine, tmp_path, mountpoint=place)["mount point"].advice
    place.mkdir()
    assert found(machine, tmp_path, mountpoint=place)["mount point"].verdict is Verdict.GOOD
    (place / "x").write_text("")
    assert found(machine, tmp_path, mountpoint=place)["mount point"].exit_code == 5
    machine.mounts.write_text(f"bambufs:x {place} fuse.bambufs rw 0 0\n")
    assert found(machine, tmp_path, mountpoint=place)["mount point"].verdict is Verdict.GOOD


def test_cache_that_cannot_be_made(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert "--cache-dir" in found(machine, tmp_path)["cache"].advice


def test_little_room(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 10**9, 10**6))
    assert "only 1 MB are free" in found(machine, tmp_path)["cache"].sentence


def test_files_that_could_not_be_sent(machine: Machine, tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "192.168.1.50_990" / "lost+found"
    kept.mkdir(parents=True)
    (kept / "benchy.3mf").write_text("")
    finding = found(machine, tmp_path)["unsent files"]
    assert (finding.verdict, str(kept) in finding.advice) == (Verdict.NOTE, True)


def test_files_that_are_still_owed(machine: Machine, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "cache" / "192.168.1.50_990")
    (journal.home / "spool").mkdir()
    for state in ("owed", "failed"):
        (journal.home / "spool" / state).write_text("x")
        record = Record(state, "/a.3mf", f"spool/{state}", 1, 0, 0.0, state="owed" if state == "owed" else "failed")
        journal.write(record, durable=False)
    (journal.home / "journal" / "damaged.json").write_text("{")
    finding = found(machine, tmp_path)["owed files"]
    assert (finding.verdict, finding.sentence) == (Verdict.NOTE, "1 that were written still have to reach the printer")
