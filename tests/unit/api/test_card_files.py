"""A printer's files from a Python program."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import bambufs
from bambufs import FileInfo
from bambufs.errors import ConnectionDropped, InvalidName, LoginRefused, UsageError
from bambufs.printer.download import BLOCK
from tests.unit.api.conftest import Start

BOTH = pytest.mark.parametrize("model", ["x1c", "p1s"])
WHEN = 1_749_990_600
BIG = bytes(range(256)) * 4096


def part_files(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".part")]


# --- the package --------------------------------------------------------------------------------------


def test_package_is_light_until_the_printer_is_asked_for() -> None:
    program = (
        "import sys, bambufs; assert not [m for m in sys.modules if m.startswith('bambufs.')], 'loads too much'\n"
        "assert 'ssl' not in sys.modules and 'Printer' in dir(bambufs)\n"
        "assert bambufs.Printer.__name__ == 'Printer' and 'rich' not in sys.modules\n"
        "try: bambufs.nonsense\nexcept AttributeError: pass\nelse: raise SystemExit('nonsense is there')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_settings_that_cannot_be_right_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAMBU_ACCESS_CODE", raising=False)
    with pytest.raises(UsageError, match="no access code"):
        bambufs.Printer("192.0.2.1")
    with pytest.raises(UsageError, match="address"):
        bambufs.Printer("not an address", "12345678")


def test_printer_of_the_configuration_goes_by_its_name(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, simulated = start()
    (tmp_path / "bambufs").mkdir()
    file = tmp_path / "bambufs/config.toml"
    code, port = simulated.access_code, simulated.ftps_port
    file.write_text(f'[printer.garage]\naddress = "{simulated.host}"\naccess_code = "{code}"\nftps_port = {port}\n')
    file.chmod(0o600)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("BAMBU_ACCESS_CODE", raising=False)
    with bambufs.Printer("garage", cache_dir=tmp_path / "cache") as printer:
        assert printer.listdir("/cache") == ["benchy.gcode.3mf"]


def test_access_code_is_in_no_repr() -> None:
    assert "12345678" not in repr(bambufs.Printer("192.0.2.1", "12345678"))


def test_wrong_access_code_is_told_at_the_first_use(start: Start, tmp_path: Path) -> None:
    _, simulated = start()
    with (
        bambufs.Printer(simulated.host, "87654321", ftps_port=simulated.ftps_port, cache_dir=tmp_path) as printer,
        pytest.raises(LoginRefused, match="access code"),
    ):
        printer.listdir()


# --- looking ------------------------------------------------------------------------------------------


@BOTH
def test_folder_is_listed(start: Start, model: str) -> None:
    printer, simulated = start(model)

    assert printer.listdir() == sorted(os.listdir(simulated.card))
    assert printer.listdir("cache") == ["benchy.gcode.3mf"]
    (info,) = printer.scandir("/cache/")
    size = (simulated.card / "cache/benchy.gcode.3mf").stat().st_size
    assert (info.path, info.name, info.is_dir, info.size) == (
        "/cache/benchy.gcode.3mf", "benchy.gcode.3mf", False, size,
    )  # fmt: skip


def test_times_are_exact_where_the_printer_tells_them(start: Start) -> None:
    printer, simulated = start()
    os.utime(simulated.card / "cache/benchy.gcode.3mf", (WHEN + 8, WHEN + 8))

    info = printer.stat("/cache/benchy.gcode.3mf")

    assert info == printer.scandir("/cache")[0]
    assert info.modified == datetime.fromtimestamp(WHEN + 8, UTC)


@BOTH
def test_what_is_there_is_known(start: Start, model: str) -> None:
    printer, _ = start(model)

    assert printer.stat("/") == FileInfo("/", True, 0, 0)
    assert printer.stat("/timelapse").is_dir
    assert printer.exists("/")
    assert printer.exists("cache/benchy.gcode.3mf")
    assert not printer.exists("/cache/x/y")
    assert printer.is_dir("/cache")
    assert not printer.is_dir("/cache/benchy.gcode.3mf")


@BOTH
def test_what_is_not_there_is_told(start: Start, model: str) -> None:
    printer, _ = start(model)

    with pytest.raises(FileNotFoundError, match="/cache/none"):
        printer.stat("/cache/none")
    with pytest.raises(FileNotFoundError):
        printer.listdir("/none")
    with pytest.raises(NotADirectoryError):
        printer.listdir("/cache/benchy.gcode.3mf")
    with pytest.raises(InvalidName, match="out of the card"):
        printer.listdir("/cache/../..")


@BOTH
def test_walk_sees_everything_and_can_be_pruned(start: Start, model: str) -> None:
    printer, simulated = start(model)

    seen = {file.path for _, _, files in printer.walk() for file in files}
    there = {f"/{place.relative_to(simulated.card)}" for place in simulated.card.rglob("*") if place.is_file()}
    assert seen == there

    visited = []
    for folder, folders, _ in printer.walk():
        visited.append(folder)
        folders.clear()
    assert visited == ["/"]


# --- fetching -----------------------------------------------------------------------------------------


@BOTH
def test_file_is_fetched_whole_with_its_time(start: Start, tmp_path: Path, model: str) -> None:
    printer, simulated = start(model)
    (simulated.card / "big.bin").write_bytes(BIG)
    os.utime(simulated.card / "big.bin", (WHEN, WHEN))
    told: list[tuple[int, int]] = []

    place = printer.download("big.bin", tmp_path, progress=lambda done, size: told.append((done, size)))

    assert place == tmp_path / "big.bin"
    assert place.read_bytes() == BIG
    assert int(place.stat().st_mtime) == printer.stat("big.bin").mtime
    assert told[-1] == (len(BIG), len(BIG))
    assert told == sorted(told)
    assert part_files(tmp_path) == []


def test_what_is_at_the_target_is_replaced_only_by_a_whole_file(start: Start, tmp_path: Path) -> None:
    printer, simulated = start()
    (simulated.card / "big.bin").write_bytes(BIG)
    target = tmp_path / "mine.bin"
    target.write_bytes(b"old")

    def pull_the_plug(done: int, _size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        printer.download("big.bin", target, progress=pull_the_plug)
    assert target.read_bytes() == b"old"
    assert part_files(tmp_path) == []

    printer.download("big.bin", target)
    assert target.read_bytes() == BIG


def interrupted(done: int, size: int) -> None:
    if done > size // 2:
        raise KeyboardInterrupt


def test_interrupted_download_goes_on_where_it_was(start: Start, tmp_path: Path) -> None:
    printer, simulated = start()
    (simulated.card / "big.bin").write_bytes(BIG)
    with pytest.raises(KeyboardInterrupt):
        printer.download("big.bin", tmp_path, progress=interrupted, resume=True)
    (part,) = part_files(tmp_path)
    had = (tmp_path / part).stat().st_size
    assert had > len(BIG) // 2
    assert not (tmp_path / "big.bin").exists()
    told: list[int] = []

    printer.download("big.bin", tmp_path, progress=lambda done, _size: told.append(done), resume=True)

    assert told[0] > had
    assert (tmp_path / "big.bin").read_bytes() == BIG
    assert part_files(tmp_path) == []


def test_what_was_fetched_of_another_version_is_thrown_away(start: Start, tmp_path: Path) -> None:
    printer, simulated = start()
    (simulated.card / "big.bin").write_bytes(BIG)
    with pytest.raises(KeyboardInterrupt):
        printer.download("big.bin", tmp_path, progress=interrupted, resume=True)
    (simulated.card / "big.bin").write_bytes(BIG[::-1])
    os.utime(simulated.card / "big.bin", (WHEN, WHEN))

    printer.download("big.bin", tmp_path, resume=True)

    assert (tmp_path / "big.bin").read_bytes() == BIG[::-1]
    assert part_files(tmp_path) == []


def test_nothing_is_kept_where_the_printer_cannot_resume(start: Start, tmp_path: Path) -> None:
    printer, simulated = start("p1s")
    (simulated.card / "big.bin").write_bytes(BIG)
    with pytest.raises(KeyboardInterrupt):
        printer.download("big.bin", tmp_path, progress=interrupted, resume=True)
    assert part_files(tmp_path) == []


@BOTH
def test_broken_connection_is_made_anew(start: Start, tmp_path: Path, model: str) -> None:
    printer, simulated = start(model)
    (simulated.card / "big.bin").write_bytes(BIG)
    cut: list[int] = []

    def cut_once(done: int, _size: int) -> None:
        if not cut:
            cut.append(done)
            simulated.switch_off()
            simulated.switch_on()

    assert printer.download("big.bin", tmp_path, progress=cut_once).read_bytes() == BIG
    assert cut


def test_file_that_grows_meanwhile_is_not_taken_for_whole(start: Start, tmp_path: Path) -> None:
    printer, simulated = start()
    (simulated.card / "video.avi").write_bytes(BIG)

    def record(_done: int, _size: int) -> None:
        with open(simulated.card / "video.avi", "ab") as film:
            film.write(b"more")

    with pytest.raises(ConnectionDropped, match="changed"):
        printer.download("video.avi", tmp_path, progress=record, resume=True)
    assert os.listdir(tmp_path / "..")
    assert not (tmp_path / "video.avi").exists()
    assert part_files(tmp_path) == []


@BOTH
def test_folder_cannot_be_fetched(start: Start, tmp_path: Path, model: str) -> None:
    printer, _ = start(model)
    with pytest.raises(IsADirectoryError):
        printer.download("/cache", tmp_path)


@BOTH
def test_open_file_is_read_at_any_place(start: Start, model: str) -> None:
    printer, simulated = start(model)
    (simulated.card / "big.bin").write_bytes(BIG)

    with printer.open("big.bin") as file:
        assert file.seek(-5, os.SEEK_END) == len(BIG) - 5
        assert file.read() == BIG[-5:]
        assert file.seek(1000) == 1000
        assert file.read(10) == BIG[1000:1010]
        assert file.seek(0) == 0
        assert file.read() == BIG
        assert file.read(1) == b""
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_reading_the_end_fetches_little(start: Start) -> None:
    printer, simulated = start()
    (simulated.card / "big.bin").write_bytes(BIG * 8)

    with printer.open("big.bin") as file:
        file.seek(-100, os.SEEK_END)
        assert file.read(100) == BIG[-100:]

    (started,) = [int(command.argument) for command in simulated.log if command.verb == "REST"]
    assert started >= 8 * len(BIG) - BLOCK


# --- storing ------------------------------------------------------------------------------------------


@BOTH
def test_file_is_stored_whole(start: Start, tmp_path: Path, model: str) -> None:
    printer, simulated = start(model)
    local = tmp_path / "part.bin"
    local.write_bytes(BIG)
    os.utime(local, (WHEN, WHEN))
    told: list[tuple[int, int]] = []

    info = printer.upload(local, "/model/", progress=lambda done, size: told.append((done, size)))

    assert (info.path, info.size) == ("/model/part.bin", len(BIG))
    assert told[-1] == (len(BIG), len(BIG))
    assert (simulated.card / "model/part.bin").read_bytes() == BIG
    assert os.listdir(simulated.card / "model") == ["part.bin"]
    if model == "x1c":
        assert info.mtime == WHEN == int((simulated.card / "model/part.bin").stat().st_mtime)
    assert printer.upload(io.BytesIO(b"new"), "/model/part.bin").size == 3
    assert (simulated.card / "model/part.bin").read_bytes() == b"new"


def test_pipe_can_be_stored(start: Start) -> None:
    printer, simulated = start()
    inlet, outlet = os.pipe()
    os.write(outlet, b"from a pipe")
    os.close(outlet)
    with open(inlet, "rb") as file:
        printer.upload(file, "/model/x.bin")
    assert (simulated.card / "model/x.bin").read_bytes() == b"from a pipe"


@BOTH
def test_what_may_not_be_replaced_stays(start: Start, model: str) -> None:
    printer, simulated = start(model)
    old = (simulated.card / "cache/benchy.gcode.3mf").read_bytes()

    with pytest.raises(FileExistsError):
        printer.upload(io.BytesIO(b"x"), "/cache/benchy.gcode.3mf", overwrite=False)
    with pytest.raises(FileExistsError, match="same name"):
        printer.upload(io.BytesIO(b"x"), "/cache/Benchy.gcode.3mf")
    with pytest.raises(IsADirectoryError):
        printer.upload(io.BytesIO(b"x"), "/timelapse")
    with pytest.raises(FileNotFoundError):
        printer.upload(io.BytesIO(b"x"), "/none/x.bin")
    with pytest.raises(InvalidName):
        printer.upload(io.BytesIO(b"x"), "/cache/what?.3mf")
    with pytest.raises(InvalidName, match="dot"):
        printer.upload(io.BytesIO(b"x"), "/cache/.hidden")
    assert (simulated.card / "cache/benchy.gcode.3mf").read_bytes() == old
    assert os.listdir(simulated.card / "cache") == ["benchy.gcode.3mf"]


def test_interrupted_upload_leaves_nothing(start: Start) -> None:
    printer, simulated = start()

    def interrupt(_done: int, _size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        printer.upload(io.BytesIO(BIG), "/cache/benchy.gcode.3mf", progress=interrupt)
    printer.close()

    assert os.listdir(simulated.card / "cache") == ["benchy.gcode.3mf"]
    assert (simulated.card / "cache/benchy.gcode.3mf").stat().st_size != len(BIG)


# --- changing -----------------------------------------------------------------------------------------


@BOTH
def test_folders_are_made_and_removed(start: Start, model: str) -> None:
    printer, simulated = start(model)

    printer.mkdir("/model/a/b", parents=True)
    printer.mkdir("/model/a", exist_ok=True)
    with pytest.raises(FileExistsError):
        printer.mkdir("/model/a")
    with pytest.raises(FileNotFoundError):
        printer.mkdir("/none/a")
    with pytest.raises(OSError, match="not empty") as full:
        printer.rmdir("/model/a")
    assert full.value.errno == errno.ENOTEMPTY
    printer.upload(io.BytesIO(b"x"), "/model/a/b/x.bin")
    printer.rmtree("/model/a")
    assert os.listdir(simulated.card / "model") == []
    with pytest.raises(OSError, match="whole card"):
        printer.rmtree("/")
    with pytest.raises(NotADirectoryError):
        printer.rmdir("/cache/benchy.gcode.3mf")


@BOTH
def test_files_are_renamed_and_removed(start: Start, model: str) -> None:
    printer, simulated = start(model)
    printer.upload(io.BytesIO(b"one"), "/model/one.bin")
    printer.upload(io.BytesIO(b"two"), "/model/two.bin")

    with pytest.raises(FileExistsError):
        printer.rename("/model/one.bin", "/model/two.bin", overwrite=False)
    printer.rename("/model/one.bin", "/model/two.bin")
    assert (simulated.card / "model/two.bin").read_bytes() == b"one"
    printer.rename("/model/two.bin", "/model/Two.bin")
    assert os.listdir(simulated.card / "model") == ["Two.bin"]
    with pytest.raises(IsADirectoryError):
        printer.rename("/model/Two.bin", "/cache")
    with pytest.raises(FileNotFoundError):
        printer.rename("/model/none", "/model/x")
    with pytest.raises(OSError, match="into itself"):
        printer.rename("/model", "/model/x")
    printer.remove("/model/Two.bin")
    with pytest.raises(FileNotFoundError):
        printer.remove("/model/Two.bin")
    with pytest.raises(IsADirectoryError):
        printer.remove("/model")


def test_time_can_be_set(start: Start) -> None:
    printer, simulated = start()
    assert printer.set_time("/cache/benchy.gcode.3mf", WHEN + 9)
    assert int((simulated.card / "cache/benchy.gcode.3mf").stat().st_mtime) == WHEN + 9
