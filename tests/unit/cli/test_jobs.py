"""The commands for everyday jobs without a mount, on simulated printers of both families."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bambufs import simulator
from bambufs.cli import main
from bambufs.errors import UsageError
from tests.support import careful
from tests.support.waiting import wait_until

VIDEO = "video_2025-06-15_12-30-00.avi"
BIG = os.urandom(3_000_000)


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """A command sets up the log of its process, which here is that of all tests."""
    loggers = [logging.getLogger(name) for name in ("", "bambufs", "bambufs.printer.trust", "textual_image")]
    before = [(logger, logger.level) for logger in loggers]
    handlers = list(logging.root.handlers)
    yield
    logging.root.handlers[:] = handlers
    for logger, level in before:
        logger.setLevel(level)


@dataclass
class Desk:
    """A printer, and the command line pointed at it."""

    printer: simulator.Printer
    folder: Path
    capture: pytest.CaptureFixture[str]

    @property
    def card(self) -> Path:
        return self.printer.card

    def options(self) -> list[str]:
        ports = ["--ftps-port", str(self.printer.ftps_port), "--mqtt-port", str(self.printer.mqtt_port)]
        return [*ports, "--cache-dir", str(self.folder / "cache")]

    def run(self, command: str, *words: str, code: int = 0) -> str:
        """Run a command; return what it said, which is on standard error when it failed."""
        name = [] if command == "info" else [self.printer.host]
        ended = main([command, *name, *self.options(), *words])
        said, complained = self.capture.readouterr()
        assert ended == code, complained
        return said if code == 0 else complained

    def told(self, command: str, *words: str) -> Any:
        """What a command tells as JSON."""
        return json.loads(self.run(command, "--json", *words))

    def start(self, command: str, *words: str) -> subprocess.Popen[str]:
        """The command as a process of its own."""
        line = [*careful.program(), command, self.printer.host, *self.options(), *words]
        return subprocess.Popen(line, cwd=self.folder, stderr=subprocess.PIPE, text=True)


@pytest.fixture(params=["x1c", "p1s"])
def desk(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    logging_as_before: None,
) -> Iterator[Desk]:
    simulator.make_card(tmp_path / "card")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    with simulator.Printer(model=request.param, card=tmp_path / "card", report_interval=0.1) as printer:
        monkeypatch.setenv("BAMBU_ACCESS_CODE", printer.access_code)
        yield Desk(printer, tmp_path, capsys)


only_x1c = pytest.mark.parametrize("desk", ["x1c"], indirect=True)


# --- ls, get, put, rm, mkdir, mv ----------------------------------------------------------------------


def test_card_is_listed(desk: Desk) -> None:
    lines = desk.run("ls").splitlines()
    assert [line.split("  ")[-1] for line in lines][:3] == ["Calibration cube.gcode.3mf", "cache/", "image/"]
    (video,) = desk.told("ls", "/timelapse/*.avi")
    size = (desk.card / "timelapse" / VIDEO).stat().st_size
    assert (video["path"], video["type"], video["size"]) == (f"/timelapse/{VIDEO}", "file", size)
    assert "/cache:" in desk.run("ls", "/cache", "/model")
    assert "no such file" in desk.run("ls", "/none", code=1)


def test_files_come_and_go(desk: Desk) -> None:
    Path("one.bin").write_bytes(b"one")
    Path("folder").mkdir()
    Path("folder/two.bin").write_bytes(b"two")

    desk.run("mkdir", "-p", "/model/a/b")
    desk.run("put", "one.bin", "/model/a")
    desk.run("put", "-r", "folder", "one.bin", "/model/a/b")
    assert (desk.card / "model/a/b/folder/two.bin").read_bytes() == b"two"
    assert (desk.card / "model/a/one.bin").read_bytes() == b"one"
    desk.run("mv", "/model/a/one.bin", "/model/three.bin")
    desk.run("mv", "/model/*.bin", "/model/a/b")
    desk.run("get", "-r", "/model/a", "back")
    assert sorted(str(place) for place in Path("back").rglob("*.bin")) == [
        "back/b/folder/two.bin", "back/b/one.bin", "back/b/three.bin"
    ]  # fmt: skip
    desk.run("rm", "-r", "/model/a")
    assert os.listdir(desk.card / "model") == []


def test_folder_that_is_copied_again_is_the_same_folder(desk: Desk) -> None:
    Path("folder/inner").mkdir(parents=True)
    Path("folder/inner/two.bin").write_bytes(b"two")
    for content in (b"two", b"newer"):
        Path("folder/inner/two.bin").write_bytes(content)
        desk.run("put", "-r", "folder", "/model")
        desk.run("get", "-r", "/model/folder", ".")
        desk.run("get", "-r", "/model/folder", "back")
    assert [place.name for place in (desk.card / "model").rglob("*")] == ["folder", "inner", "two.bin"]
    assert (desk.card / "model/folder/inner/two.bin").read_bytes() == b"newer"
    found = [str(place) for top in ("back", "folder") for place in sorted(Path(top).rglob("*.bin"))]
    assert found == ["back/folder/inner/two.bin", "back/inner/two.bin", "folder/inner/two.bin"]
    assert Path("back/folder/inner/two.bin").read_bytes() == b"newer"
    desk.run("rm", "-r", "/model/folder")


def test_what_is_told_as_json(desk: Desk) -> None:
    Path("one.bin").write_bytes(b"one")
    (put,) = desk.told("put", "one.bin", "/model")
    (got,) = desk.told("get", "/model/one.bin", "two.bin")
    (moved,) = desk.told("mv", "/model/one.bin", "/model/x.bin")
    (gone,) = desk.told("rm", "/model/x.bin")
    (made,) = desk.told("mkdir", "/model/new")
    assert [put["path"], got["file"], moved["to"], gone["path"], made["type"]] == [
        "/model/one.bin", "two.bin", "/model/x.bin", "/model/x.bin", "folder"
    ]  # fmt: skip


def test_what_would_harm_is_refused(desk: Desk) -> None:
    Path("one.bin").write_bytes(b"one")
    assert "add -r" in desk.run("rm", "/cache", code=2)
    assert "add -r" in desk.run("get", "/cache", code=2)
    assert "add -r" in desk.run("put", ".", "/cache", code=2)
    assert "no file none" in desk.run("put", "none", "/cache", code=2)
    assert "no folder on the printer" in desk.run("mv", "/verify_job", "/none/", code=2)
    assert "no folder of this computer" in desk.run("get", "/verify_job", "/cache/benchy.gcode.3mf", "x", code=2)
    assert "already" in desk.run("put", "-n", "one.bin", "/verify_job", code=1)
    assert "no such file" in desk.run("rm", "/verify_job", "/none", code=1)
    assert (desk.card / "verify_job").read_bytes() == bytes(range(16))
    desk.run("rm", "-f", "/none")


def test_3mf_in_the_top_folder_is_warned_of_where_it_may_start(desk: Desk) -> None:
    simulator.make_3mf(Path("part.3mf"))
    main(["put", desk.printer.host, *desk.options(), "part.3mf", "/"])
    assert ("by themselves" in desk.capture.readouterr().err) == (desk.printer.model == "p1s")


def test_broken_off_download_can_be_taken_up(desk: Desk) -> None:
    (desk.card / "big.bin").write_bytes(BIG)
    desk.printer.rate = 1_000_000

    running = desk.start("get", "/big.bin", "got.bin")
    wait_until(lambda: sum(part.stat().st_size for part in desk.folder.glob(".bambufs-*.part")) > 500_000, "a part")
    running.send_signal(signal.SIGINT)
    _, complained = running.communicate(timeout=20)

    assert running.returncode == 130
    assert not Path("got.bin").exists()
    if desk.printer.model == "x1c":
        assert "the same command goes on from there" in complained
    else:
        assert complained == ""
        assert list(desk.folder.glob(".bambufs-*")) == []
    desk.printer.rate = None
    desk.run("get", "/big.bin", "got.bin")
    assert Path("got.bin").read_bytes() == BIG
    assert list(desk.folder.glob(".bambufs-*")) == []


def test_broken_off_upload_leaves_nothing(desk: Desk) -> None:
    Path("big.bin").write_bytes(BIG)
    (desk.card / "model/big.bin").write_bytes(b"old")
    desk.printer.rate = 1_000_000

    running = desk.start("put", "big.bin", "/model")
    desk.printer.wait_for("STOR")
    running.send_signal(signal.SIGINT)
    _, complained = running.communicate(timeout=20)

    assert (running.returncode, complained) == (130, "")
    wait_until(lambda: os.listdir(desk.card / "model") == ["big.bin"], "the part file to be removed")
    assert (desk.card / "model/big.bin").read_bytes() == b"old"


# --- timelapse, clean ---------------------------------------------------------------------------------


def add_video(desk: Desk, day: str, *, is_finished: bool = True) -> str:
    name = f"video_{day}_10-00-00"
    (desk.card / f"timelapse/{name}.avi").write_bytes(day.encode())
    if is_finished:
        (desk.card / f"timelapse/thumbnail/{name}.jpg").write_bytes(b"jpeg")
    return f"{name}.avi"


def test_finished_videos_are_fetched_once(desk: Desk) -> None:
    newer = add_video(desk, "2025-07-01")
    add_video(desk, "2025-08-01", is_finished=False)

    assert "1 video copied" in desk.run("timelapse", "--latest", "films")
    assert os.listdir("films") == [newer]
    assert "1 video copied" in desk.run("timelapse", "films")
    assert sorted(os.listdir("films")) == [VIDEO, newer]
    (desk.folder / "films" / newer).unlink()
    assert "Nothing new" in desk.run("timelapse", "films")
    assert [one["file"] for one in desk.told("timelapse", "--all", "again")] == [f"again/{VIDEO}", f"again/{newer}"]
    (desk.card / "timelapse" / newer).write_bytes(b"another film of that name")
    assert "1 video copied" in desk.run("timelapse", "--since", "2025-07-01", "films")
    assert "no finished" in desk.run("timelapse", "--since", "1d", "films")
    assert "write a date" in desk.run("timelapse", "--since", "soon", "films", code=2)


def test_old_videos_go_with_their_pictures(desk: Desk) -> None:
    newer = add_video(desk, "2025-07-01")
    recording = add_video(desk, "2025-05-01", is_finished=False)

    assert "say what may go" in desk.run("clean", code=2)
    assert VIDEO in desk.run("clean", "--keep", "1", "--dry-run")
    assert (desk.card / "timelapse" / VIDEO).exists()
    assert "Nothing to delete" in desk.run("clean", "--older-than", "2025-01-01")
    assert "Deleted 1 of 2 files" in desk.run("clean", "--keep", "1", "--older-than", "1d")
    left = sorted(place.name for place in (desk.card / "timelapse").rglob("*.*"))
    assert left == [recording, newer, newer.replace(".avi", ".jpg")]


def test_print_files_go_but_the_one_that_is_printed(desk: Desk) -> None:
    for name in ("old.gcode.3mf", "Part.gcode.3mf"):
        simulator.make_3mf(desk.card / "cache" / name)
    desk.printer.set_state(gcode_state="RUNNING", subtask_name="Part", gcode_file="/data/Metadata/plate_1.gcode")

    told = desk.told("clean", "--cache", "--keep", "0")

    assert sorted(one["path"] for one in told) == ["/cache/benchy.gcode.3mf", "/cache/old.gcode.3mf"]
    assert os.listdir(desk.card / "cache") == ["Part.gcode.3mf"]


# --- info ---------------------------------------------------------------------------------------------


def test_sliced_file_is_explained(desk: Desk) -> None:
    here = str(desk.card / "cache/benchy.gcode.3mf")
    there = f"{desk.printer.host}:/cache/benchy.gcode.3mf"

    said = desk.run("info", here)
    assert "Benchy" in said
    assert "sliced for the X1C, nozzle 0.4 mm" in said
    assert "40 min" in said
    assert desk.told("info", there) == desk.told("info", here)
    desk.run("info", there, "--thumbnail", "plate.png")
    assert Path("plate.png").read_bytes().startswith(b"\x89PNG")
    assert "not a 3MF" in desk.run("info", str(desk.card / "verify_job"), code=1)
    assert "no such file" in desk.run("info", f"{desk.printer.host}:/none.3mf", code=1)


@only_x1c
def test_info_of_a_file_on_the_printer_costs_little(desk: Desk) -> None:
    simulator.make_3mf(desk.card / "cache/big.gcode.3mf", extra={"Metadata/noise.bin": os.urandom(4_000_000)})
    desk.run("info", f"{desk.printer.host}:/cache/big.gcode.3mf")
    starts = [int(command.argument) for command in desk.printer.log if command.verb == "REST"]
    assert len(starts) <= 8


@pytest.mark.parametrize("text", ["soon", "3 days", "2025-13-01", ""])
def test_dates_that_are_none(text: str) -> None:
    from bambufs.cli.client import moment

    with pytest.raises(UsageError, match="write a date"):
        moment(text, "--since")


def test_ages_and_dates() -> None:
    from bambufs.cli.client import moment

    assert moment("2d", "--since", now=1_000_000.0) == 1_000_000.0 - 2 * 86400
    assert moment("2025-06-15T12:00:00+00:00", "--since") == 1_749_988_800
