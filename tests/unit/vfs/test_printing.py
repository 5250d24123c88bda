"""From a request to a print: what is checked, what is stored, what is asked for, and what is told."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import threading
import time
from collections.abc import Iterator

import pytest

from bambufs.errors import InvalidJob, PrinterBusy, PrinterError, PrinterTimeout, PrinterUnreachable, PrintRefused
from bambufs.printer.models import find_model
from bambufs.printer.outcome import Phase
from bambufs.printer.request import PrintRequest
from bambufs.vfs.printing import PrintDesk, stored_name
from tests.support import threemf
from tests.unit.vfs.desk import Bytes, Line, Shelf, desk_for

BENCHY = "/cache/benchy.gcode.3mf"


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(**{BENCHY: threemf.make(plates=(1, 2))})


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def desk(shelf: Shelf, line: Line) -> PrintDesk:
    return desk_for(shelf, line)


def spoilt() -> bytes:
    """A file whose gcode is not what its checksum says."""
    members = threemf.members()
    members["Metadata/plate_1.gcode.md5"] = b"0" * 32
    return threemf.pack(members)


def unsliced() -> bytes:
    return threemf.pack({name: data for name, data in threemf.members().items() if "plate_1" not in name})


# -- a line --------------------------------------------------------------------------------------


def test_line_prints_the_file_it_names(desk: PrintDesk, line: Line) -> None:
    assert desk.print_line("cache/benchy.gcode.3mf plate=2 use_ams=no")

    (job,) = line.jobs
    assert (job.path, job.plate, job.use_ams) == (BENCHY, 2, False)


def test_job_carries_the_md5_of_the_whole_file(desk: PrintDesk, line: Line, shelf: Shelf) -> None:
    desk.print_line("cache/benchy.gcode.3mf")

    assert line.jobs[0].md5 == hashlib.md5(shelf.files[BENCHY]).hexdigest().upper()


@pytest.mark.parametrize("text", ["", "# cache/benchy.gcode.3mf"])
def test_empty_line_and_comment_ask_for_nothing(desk: PrintDesk, line: Line, text: str) -> None:
    before = desk.history.report()

    assert not desk.print_line(text)
    assert (line.jobs, desk.history.report()) == ([], before)


def test_path_as_the_user_sees_it_is_understood(shelf: Shelf, line: Line) -> None:
    desk_for(shelf, line, mountpoints=("/home/me/printer",)).print_line(f"/home/me/printer{BENCHY}")

    assert line.jobs[0].path == BENCHY


def test_url_template_overrides_the_form_of_the_model(shelf: Shelf, line: Line) -> None:
    desk_for(shelf, line, url_template="ftp:///{path}").print_line("cache/benchy.gcode.3mf")

    assert line.jobs[0].url == "ftp:///cache/benchy.gcode.3mf"


@pytest.mark.parametrize(
    ("text", "number", "said"),
    [
        ("cache/none.gcode.3mf", errno.ENOENT, "There is no such file"),
        (".hidden.gcode.3mf", errno.ENOENT, "There is no such file"),
        ("cache/benchy.gcode.3mf plate=7", errno.EINVAL, "it has plates 1, 2"),
        ("cache/benchy.gcode.3mf speed=9", errno.EINVAL, "speed= is not known"),
        ("cache/benchy.gcode", errno.EINVAL, "Bare gcode"),
    ],
)
def test_what_cannot_be_printed_is_refused_and_told(
    desk: PrintDesk, line: Line, text: str, number: int, said: str
) -> None:
    with pytest.raises(OSError) as refused:  # noqa: PT011 (the number is checked here)
        desk.print_line(text)

    assert refused.value.errno == number
    assert said in desk.history.report()
    assert line.jobs == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (spoilt(), "does not match its checksum"),
        (unsliced(), "has not been sliced"),
        (threemf.make()[:-200], "breaks off"),
        (b"solid cube", "not a 3MF file"),
    ],
)
def test_file_that_is_no_good_is_refused(
    shelf: Shelf, line: Line, desk: PrintDesk, content: bytes, said: str
) -> None:
    shelf.files[BENCHY] = content

    with pytest.raises(InvalidJob, match=said):
        desk.print_line("cache/benchy.gcode.3mf")
    assert line.jobs == []


def test_folder_is_no_file(desk: PrintDesk, shelf: Shelf) -> None:
    shelf.folders.add("/cache/folder.3mf")

    with pytest.raises(IsADirectoryError):
        desk.print_line("cache/folder.3mf")


def test_upload_that_is_owed_is_finished_first(desk: PrintDesk, shelf: Shelf) -> None:
    desk.print_line("cache/benchy.gcode.3mf")

    assert shelf.settled[0] == BENCHY


def test_file_that_is_being_written_is_busy(desk: PrintDesk, shelf: Shelf, line: Line) -> None:
    shelf.trouble = PrinterBusy("A program is still writing to this file.", BENCHY)

    with pytest.raises(PrinterBusy):
        desk.print_line("cache/benchy.gcode.3mf")
    assert (line.jobs, shelf.opened) == ([], [])


def test_name_that_the_printer_chokes_on_is_refused_with_a_safe_one(
    desk: PrintDesk, shelf: Shelf, line: Line
) -> None:
    shelf.files["/cache/my part.gcode.3mf"] = threemf.make()

    with pytest.raises(InvalidJob, match=r"Rename it to /cache/my_part\.gcode\.3mf"):
        desk.print_line("cache/my part.gcode.3mf")
    assert line.jobs == []


def test_name_that_may_confuse_the_printer_is_only_warned_of(desk: PrintDesk, shelf: Shelf, line: Line) -> None:
    shelf.files["/cache/für.gcode.3mf"] = threemf.make()

    desk.print_line("cache/für.gcode.3mf")

    assert "Warning: The printer may fail to print from a path with letters beyond ASCII" in desk.history.report()
    assert len(line.jobs) == 1


def test_file_for_another_model_is_only_warned_of(desk: PrintDesk, shelf: Shelf, line: Line) -> None:
    shelf.files[BENCHY] = threemf.make(model="N1")

    desk.print_line("cache/benchy.gcode.3mf")

    assert "Warning: It was sliced for the A1 mini, but this printer is the P1S." in desk.history.report()
    assert len(line.jobs) == 1


# -- the printer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["RUNNING", "PREPARE", "PAUSE", "SLICING", "INIT"])
def test_busy_printer_is_not_asked(desk: PrintDesk, line: Line, shelf: Shelf, state: str) -> None:
    line.report(gcode_state=state)

    with pytest.raises(PrinterBusy, match=state):
        desk.print_line("cache/benchy.gcode.3mf")
    assert (line.jobs, shelf.opened) == ([], []), "it was not even read"


@pytest.mark.parametrize("state", ["IDLE", "FINISH", "FAILED"])
def test_printer_that_is_done_is_asked(desk: PrintDesk, line: Line, state: str) -> None:
    line.report(gcode_state=state)

    desk.print_line("cache/benchy.gcode.3mf")

    assert len(line.jobs) == 1


@pytest.mark.parametrize("problem", [PrinterUnreachable("away"), PrinterTimeout("silent")])
def test_printer_that_cannot_be_asked_is_told(desk: PrintDesk, line: Line, problem: PrinterError) -> None:
    line.problem = problem

    with pytest.raises(type(problem)):
        desk.print_line("cache/benchy.gcode.3mf")
    assert f"Not printed: {problem.message}" in desk.history.report()


def test_refusal_is_the_writers_error(desk: PrintDesk, line: Line) -> None:
    line.refusal = PrintRefused("switch on Developer Mode")

    with pytest.raises(PrintRefused) as refused:
        desk.print_line("cache/benchy.gcode.3mf")

    assert refused.value.errno == errno.EACCES
    assert "The printer refused to print benchy. switch on Developer Mode" in desk.history.report()


def test_ams_trays_of_the_printer_are_used(desk: PrintDesk, line: Line, shelf: Shelf) -> None:
    trays = [{"id": "0", "tray_type": "PETG", "tray_color": "FFF144FF"}, {"id": "1", "tray_type": "PLA"}]
    line.report(ams={"ams": [{"id": "0", "tray": trays}]})

    desk.print_line("cache/benchy.gcode.3mf")

    assert line.jobs[0].ams_mapping == (1, -1, 0)


def test_second_request_at_the_same_time_is_busy(desk: PrintDesk, shelf: Shelf, line: Line) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        go_on.wait(10)

    shelf.when_settled = hold
    first = threading.Thread(target=desk.print_line, args=("cache/benchy.gcode.3mf",))
    first.start()
    try:
        assert reached.wait(10)
        before = desk.history.report()
        with pytest.raises(PrinterBusy):
            desk.print_line("cache/other.gcode.3mf")
        assert desk.history.report() == before, "the first one is what is told"
    finally:
        go_on.set()
        first.join()
    assert [job.path for job in line.jobs] == [BENCHY]


def test_request_that_may_still_start_keeps_others_out(desk: PrintDesk, line: Line) -> None:
    desk.print_line("cache/benchy.gcode.3mf")
    assert line.outcome is not None
    line.outcome = type(line.outcome)(**{**line.outcome.__dict__, "begun": time.monotonic()})

    with pytest.raises(PrinterBusy, match="still open"):
        desk.print_line("cache/benchy.gcode.3mf")
    assert len(line.jobs) == 1


# -- what is told --------------------------------------------------------------------------------


def test_report_follows_the_print(desk: PrintDesk, line: Line) -> None:
    desk.print_line("cache/benchy.gcode.3mf")
    accepted = desk.history.report()
    line.report(gcode_state="PREPARE", subtask_name="benchy")
    started = desk.history.report()
    line.report(gcode_state="FINISH")

    assert "accepted benchy and has not started it yet" in accepted
    assert "The printer started benchy." in started
    assert "The print of benchy is finished." in desk.history.report()


def test_refused_request_does_not_hide_the_running_print(desk: PrintDesk, line: Line) -> None:
    desk.print_line("cache/benchy.gcode.3mf")
    line.report(gcode_state="RUNNING", subtask_name="benchy")

    with pytest.raises(PrinterBusy):
        desk.print_line("cache/benchy.gcode.3mf plate=2")

    last, _, before = desk.history.report().partition("Before that:")
    assert "plate=2" in last
    assert "Not printed: The printer is at work" in last
    assert "The printer started benchy." in before


def test_every_line_of_the_report_is_a_comment(desk: PrintDesk, line: Line) -> None:
    reports = [desk.history.report()]
    desk.print_line("cache/benchy.gcode.3mf")
    reports.append(desk.history.report())

    assert all(text.startswith("#") for report in reports for text in report.splitlines())
    assert not any(desk.print_line(text) for report in reports for text in report.splitlines())


def test_start_and_failure_are_logged_once(
    desk: PrintDesk, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    desk.print_line("cache/benchy.gcode.3mf")
    line.report(gcode_state="RUNNING", subtask_name="benchy")
    desk.follow()
    desk.follow()
    line.report(gcode_state="FAILED", print_error=0x0500C010)
    desk.follow()

    assert caplog.messages.count("The printer started benchy.") == 1
    assert "The print of benchy failed. 0500_C010" in caplog.text
    assert line.outcome is not None
    assert line.outcome.phase is Phase.FAILED


# -- content -------------------------------------------------------------------------------------


def test_content_is_stored_under_its_title_and_printed(desk: PrintDesk, line: Line, shelf: Shelf) -> None:
    path = desk.print_content(Bytes(threemf.make(title="Wall bracket / v2")))

    assert path == "/cache/Wall_bracket_v2.gcode.3mf"
    assert shelf.stored == [path]
    assert [job.path for job in line.jobs] == [path]


def test_content_without_a_title_is_stored_under_the_time(
    desk: PrintDesk, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_utc(monkeypatch):
        assert desk.print_content(Bytes(threemf.make())) == "/cache/2025-06-15_12-00-00.gcode.3mf"


@contextlib.contextmanager
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """UTC for the block."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_different_file_of_that_name_is_left_alone(desk: PrintDesk, shelf: Shelf, line: Line) -> None:
    shelf.files["/cache/Vase.gcode.3mf"] = b"somebody else's"
    shelf.files["/cache/Vase_2.gcode.3mf"] = b"somebody else's, too"

    assert desk.print_content(Bytes(threemf.make(title="Vase"))) == "/cache/Vase_3.gcode.3mf"
    assert shelf.files["/cache/Vase.gcode.3mf"] == b"somebody else's"


def test_name_in_other_case_is_taken_too(desk: PrintDesk, shelf: Shelf) -> None:
    shelf.files["/cache/VASE.gcode.3mf"] = b"somebody else's"

    assert desk.print_content(Bytes(threemf.make(title="Vase"))) == "/cache/Vase_2.gcode.3mf"


def test_same_file_is_not_stored_again(desk: PrintDesk, shelf: Shelf, line: Line) -> None:
    content = threemf.make(title="Vase")
    shelf.files["/cache/Vase.gcode.3mf"] = content

    assert desk.print_content(Bytes(content)) == "/cache/Vase.gcode.3mf"
    assert (shelf.stored, len(line.jobs)) == ([], 1)


def test_file_of_the_same_size_is_compared(desk: PrintDesk, shelf: Shelf) -> None:
    content = threemf.make(title="Vase")
    shelf.files["/cache/Vase.gcode.3mf"] = content[:-1] + b"?"

    assert desk.print_content(Bytes(content)) == "/cache/Vase_2.gcode.3mf"


def test_longer_file_that_begins_alike_is_another(desk: PrintDesk, shelf: Shelf) -> None:
    content = threemf.make(title="Vase")
    shelf.files["/cache/Vase.gcode.3mf"] = content + b"more"

    assert desk.print_content(Bytes(content)) == "/cache/Vase_2.gcode.3mf"


def test_what_was_stored_before_is_not_read_back(desk: PrintDesk, shelf: Shelf, line: Line) -> None:
    content = Bytes(threemf.make())
    first = desk.print_content(content)
    line.report(gcode_state="RUNNING", subtask_name=line.jobs[0].subtask_name)
    line.report(gcode_state="FINISH")

    assert desk.print_content(content) == first
    assert (shelf.stored, shelf.opened) == ([first], [])


def test_named_content_keeps_its_name(desk: PrintDesk) -> None:
    assert desk.print_content(Bytes(threemf.make(title="x")), name="my part.3mf") == "/cache/my_part.3mf"


def test_options_apply_to_content(desk: PrintDesk, line: Line) -> None:
    content = Bytes(threemf.make(plates=(1, 2)))

    desk.print_content(content, request=PrintRequest("", plate=2, bed_type="hot_plate"))

    assert (line.jobs[0].plate, line.jobs[0].bed_type) == (2, "hot_plate")


@pytest.mark.parametrize("content", [spoilt(), unsliced(), threemf.make()[:500]])
def test_bad_content_is_not_stored(desk: PrintDesk, shelf: Shelf, line: Line, content: bytes) -> None:
    with pytest.raises(InvalidJob):
        desk.print_content(Bytes(content))
    assert (shelf.stored, line.jobs) == ([], [])


def test_nothing_is_stored_for_a_busy_printer(desk: PrintDesk, shelf: Shelf, line: Line) -> None:
    line.report(gcode_state="RUNNING")

    with pytest.raises(PrinterBusy):
        desk.print_content(Bytes(threemf.make()))
    assert shelf.stored == []


def test_nothing_is_stored_when_the_ams_lacks_the_filament(desk: PrintDesk, shelf: Shelf, line: Line) -> None:
    line.report(ams={"ams": [{"id": "0", "tray": [{"id": "0", "tray_type": "TPU"}]}]})

    with pytest.raises(InvalidJob, match="holds no PLA"):
        desk.print_content(Bytes(threemf.make()))
    assert shelf.stored == []


def test_missing_folder_is_made(desk: PrintDesk, shelf: Shelf) -> None:
    shelf.folders.remove("/cache")

    desk.print_content(Bytes(threemf.make()))

    assert "/cache" in shelf.folders


@pytest.mark.parametrize(
    ("name", "model", "stored"),
    [
        ("Benchy.gcode.3mf", "P1S", "Benchy.gcode.3mf"),
        ("part.3MF", "P1S", "part.3MF"),
        ("no ending", "P1S", "no_ending.gcode.3mf"),
        ("a b.3mf", "A1 mini", "a b.3mf"),
        ("../../etc/passwd", "P1S", "_.._etc_passwd.gcode.3mf"),
        (".hidden.3mf", "P1S", "hidden.3mf"),
        ("für Élise.3mf", "P1S", "fur_Elise.3mf"),
        ("für.3mf", "X1C", "für.3mf"),
        ("100%?#.3mf", "X1C", "100_.3mf"),
        ("trailing. .gcode.3mf", "X1C", "trailing.gcode.3mf"),
        ("a\nb.3mf", "X1C", "a_b.3mf"),
        ("x" * 300 + ".3mf", "X1C", "x" * 90 + ".3mf"),
        ("x" * 300 + ".3mf", "P1S", "x" * 90 + ".3mf"),
    ],
)
def test_stored_names_are_safe(name: str, model: str, stored: str) -> None:
    assert stored_name(name, find_model(model), 0.0) == stored


@pytest.mark.parametrize("name", ["", " ", "???", "..", ".gcode.3mf", "___"])
def test_name_of_which_nothing_is_left_becomes_the_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_utc(monkeypatch):
        assert stored_name(name, find_model("P1S"), 0.0) == "1970-01-01_00-00-00.gcode.3mf"


# -- the running job -----------------------------------------------------------------------------


@pytest.fixture
def running(line: Line) -> Line:
    line.report(gcode_state="RUNNING", subtask_name="benchy")
    return line


def test_commands_reach_the_printer(desk: PrintDesk, running: Line) -> None:
    desk.command("pause")
    running.report(gcode_state="PAUSE")
    desk.command("Resume")
    desk.command("stop")
    desk.command("")

    assert running.commands == ["pause", "resume", "stop"]


@pytest.mark.parametrize(
    ("word", "said"),
    [("dance", "not understood"), ("pause", "Nothing is being printed"), ("stop", "Nothing is being printed")],
)
def test_senseless_command_is_refused_and_told(desk: PrintDesk, line: Line, word: str, said: str) -> None:
    with pytest.raises(InvalidJob, match=said):
        desk.command(word)

    assert line.commands == []
    assert desk.last_command is not None
    assert said in (desk.last_command["trouble"] or "")


def test_running_job_cannot_be_resumed(desk: PrintDesk, running: Line) -> None:
    with pytest.raises(InvalidJob, match="not paused"):
        desk.command("resume")
    assert running.commands == []


def test_job_that_has_not_started_yet_can_be_stopped(desk: PrintDesk, line: Line) -> None:
    desk.print_line("cache/benchy.gcode.3mf")
    assert line.outcome is not None
    line.outcome = type(line.outcome)(**{**line.outcome.__dict__, "begun": time.monotonic()})

    desk.command("stop")

    assert line.commands == ["stop"]
