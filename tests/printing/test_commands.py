"""`bambufs print` and `bambufs status` on a simulated printer, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bambufs import simulator
from tests.support import careful
from tests.support.waiting import wait_until

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def printer(tmp_path: Path) -> Iterator[simulator.Printer]:
    simulator.make_card(tmp_path / "card")
    with simulator.Printer(card=tmp_path / "card", report_interval=0.1, speed=1000.0) as running:
        yield running


def command(printer: simulator.Printer, folder: Path, *words: str) -> tuple[list[str], dict[str, str]]:
    """A command line and its environment."""
    name, *rest = words
    line = [*careful.program(), name, printer.host, *rest]
    line += ["--ftps-port", str(printer.ftps_port), "--mqtt-port", str(printer.mqtt_port)]
    line += ["--cache-dir", str(folder / "cache")]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("BAMBU_")}
    return line, clean | {"BAMBU_ACCESS_CODE": printer.access_code, "COLUMNS": "200"}


@pytest.fixture
def run(printer: simulator.Printer, tmp_path: Path) -> Run:
    def running(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        line, clean = command(printer, tmp_path, *words)
        return subprocess.run(
            line, env=clean | environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    return running


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return simulator.make_3mf(tmp_path / "Part.gcode.3mf", title="x", plates=2)


def has_started(name: str, told: str) -> bool:
    """Whether the print was said to have begun; the simulated one may be over before that could be told."""
    return f"The printer started {name}." in told or f"The print of {name} is finished." in told


def test_local_file_is_uploaded_and_printed(run: Run, printer: simulator.Printer, part: Path) -> None:
    done = run("print", str(part), "--plate", "2", "--timelapse", "--bed-type", "hot_plate", "--ams", "no")

    assert done.returncode == 0, done.stderr
    assert "It is on the printer as /cache/Part.gcode.3mf." in done.stdout
    assert has_started("Part", done.stdout)
    assert (printer.card / "cache" / "Part.gcode.3mf").read_bytes() == part.read_bytes()
    (job,) = printer.jobs
    asked = [job[key] for key in ("param", "timelapse", "bed_type", "use_ams")]
    assert asked == ["Metadata/plate_2.gcode", True, "hot_plate", False]


def test_watch_follows_to_the_end(run: Run, part: Path) -> None:
    done = run("print", str(part), "--watch")

    assert done.returncode == 0, done.stderr
    assert "The print of Part is finished." in done.stdout


@pytest.mark.parametrize("name", ["printer:cache/benchy.gcode.3mf", "printer:/cache/benchy.gcode.3mf",
                                  "/cache/benchy.gcode.3mf"])  # fmt: skip
def test_file_on_the_card_is_printed_where_it_is(run: Run, printer: simulator.Printer, name: str) -> None:
    done = run("print", name)

    assert done.returncode == 0, done.stderr
    assert has_started("benchy", done.stdout)
    assert printer.jobs[0]["url"].endswith("/cache/benchy.gcode.3mf")
    assert [entry.verb for entry in printer.log if entry.verb == "STOR"] == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("none.gcode.3mf",), 2, "there is no file none.gcode.3mf here"),
        (("printer:/cache/none.gcode.3mf",), 1, "there is no such file on the printer"),
        (("Part.gcode.3mf", "--ams", "Z9"), 2, "ams_mapping=Z9 is not understood"),
        (("Part.gcode.3mf", "--plate", "9"), 1, "There is no sliced plate 9"),
        (("plain.3mf",), 1, "has not been sliced"),
        ((".",), 2, "is a folder"),
    ],
)
def test_wrong_request_is_one_sentence(
    run: Run, printer: simulator.Printer, part: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    simulator.make_3mf(part.parent / "plain.3mf", is_sliced=False)

    done = run("print", *words)

    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
    assert said in done.stderr
    assert [entry.verb for entry in printer.log if entry.verb == "STOR"] == []
    assert printer.jobs == []


def test_wrong_access_code(run: Run, part: Path) -> None:
    done = run("print", str(part), BAMBU_ACCESS_CODE="wrongone")

    assert done.returncode == 3
    assert "access code" in done.stderr
    assert "wrongone" not in done.stderr


def test_printer_that_is_away(run: Run, printer: simulator.Printer, part: Path) -> None:
    printer.quirks["mqtt"] = False

    assert run("print", str(part)).returncode == 4


def test_busy_printer(run: Run, printer: simulator.Printer, part: Path) -> None:
    printer.set_state(gcode_state="RUNNING")

    done = run("print", str(part))

    assert done.returncode == 8
    assert [entry.verb for entry in printer.log if entry.verb == "STOR"] == []


def test_printer_without_developer_mode(run: Run, printer: simulator.Printer, part: Path) -> None:
    printer.quirks["developer_mode"] = False

    done = run("print", str(part))

    assert done.returncode == 1
    assert "Developer Mode" in done.stderr


def test_print_that_fails_is_told(run: Run, printer: simulator.Printer, part: Path) -> None:
    printer.quirks["error_after_ack"] = 0x0500_C010

    done = run("print", str(part))

    assert done.returncode == 1
    assert "The print of Part failed. 0500_C010" in done.stdout


@pytest.mark.parametrize("verb", ["STOR", "project_file"])
def test_ctrl_c_ends_it_at_once(printer: simulator.Printer, part: Path, tmp_path: Path, verb: str) -> None:
    line, environment = command(printer, tmp_path, "print", str(part))
    with printer.hold(verb.upper()) as gate:
        process = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert gate.reached.wait(30)
            before = time.monotonic()
            process.send_signal(signal.SIGINT)
            # The janitor of the card may wait for its tidying up, and the gate holds the session that it would use.
            code = process.wait(30)
            took = time.monotonic() - before
        finally:
            process.kill()
            process.wait()

    assert code == 130
    assert took < 5.0


def test_status_is_a_table(run: Run, printer: simulator.Printer) -> None:
    done = run("status")

    assert done.returncode == 0, done.stderr
    assert f"X1C {printer.serial} at 127.0.0.1" in done.stdout
    assert "idle" in done.stdout
    assert "A1    PLA" in done.stdout


def test_status_tells_errors(run: Run, printer: simulator.Printer) -> None:
    printer.set_state(print_error=0x0500_C010)

    assert "0500_C010: The printer could not read or write its card" in run("status").stdout


def test_status_as_json(run: Run, printer: simulator.Printer) -> None:
    told = json.loads(run("status", "--json").stdout)

    assert told["printer"] == {"host": "127.0.0.1", "serial": printer.serial, "model": "X1C"}
    assert (told["gcode_state"], told["mqtt"]["connected"]) == ("IDLE", True)
    assert [entry.verb for entry in printer.log] == [], "status leaves the file server alone"


def test_status_follows_changes_until_ctrl_c(printer: simulator.Printer, tmp_path: Path) -> None:
    line, environment = command(printer, tmp_path, "status", "--watch", "--json")
    output = tmp_path / "status.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(line, env=environment, stdout=file, stderr=file)
        try:
            wait_until(lambda: '"IDLE"' in output.read_text(), "the first line", seconds=30)
            printer.set_state(gcode_state="RUNNING")
            wait_until(lambda: '"RUNNING"' in output.read_text(), "the change", seconds=30)
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == 130
        finally:
            process.kill()
            process.wait()


def test_status_of_a_printer_that_is_away(run: Run, printer: simulator.Printer) -> None:
    printer.switch_off()

    done = run("status")

    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)
