"""Printing from a Python program, on a simulated printer."""

from __future__ import annotations

from pathlib import Path

import pytest

from bambufs import PrinterState, simulator
from bambufs.errors import InvalidJob, PrinterUnreachable
from tests.unit.api.conftest import Start


def test_status_is_told(start: Start) -> None:
    printer, simulated = start(mqtt=True)
    simulated.set_state(nozzle_temper=211.5)
    state = printer.status()
    assert state.gcode_state == "IDLE"
    assert state.nozzles[0].now == 211.5


def test_status_of_a_printer_without_control(start: Start) -> None:
    printer, _ = start()
    with pytest.raises(PrinterUnreachable):
        printer.status(timeout=0.5)


@pytest.mark.parametrize("model", ["x1c", "p1s"])
def test_file_on_the_card_is_printed_to_the_end(start: Start, model: str) -> None:
    printer, simulated = start(model, mqtt=True, speed=1000.0)
    states: list[PrinterState] = []

    printer.start_print("cache/benchy.gcode.3mf", plate=2, use_ams=False, timelapse=True, bed_type="hot_plate")
    begun = printer.wait_for_print(started=True, timeout=20)
    ended = printer.wait_for_print(timeout=20, progress=states.append)

    assert begun.phase.value in ("started", "finished")
    assert ended.sentence == "The print of benchy is finished."
    assert states
    (job,) = simulated.jobs
    asked = [job[key] for key in ("param", "timelapse", "bed_type", "use_ams")]
    assert asked == ["Metadata/plate_2.gcode", True, "hot_plate", False]


def test_file_of_this_computer_is_stored_and_printed(start: Start, tmp_path: Path) -> None:
    printer, simulated = start(mqtt=True, speed=1000.0)
    local = simulator.make_3mf(tmp_path / "Part.gcode.3mf", title="x")
    told: list[int] = []

    outcome = printer.print_file(local, progress=lambda done, _size: told.append(done))

    assert outcome.path == "/cache/Part.gcode.3mf"
    assert told[-1] == local.stat().st_size
    assert (simulated.card / "cache/Part.gcode.3mf").read_bytes() == local.read_bytes()
    assert printer.wait_for_print(timeout=20).phase.value == "finished"


def test_running_print_is_paused_resumed_and_stopped(start: Start) -> None:
    printer, simulated = start(mqtt=True)
    printer.start_print("/cache/benchy.gcode.3mf")
    printer.wait_for_print(started=True, timeout=20)
    printer.pause()
    simulated.wait_for_request("pause")
    printer.stop()
    assert printer.wait_for_print(timeout=20).phase.value == "failed"


def test_what_cannot_be_printed_is_refused(start: Start) -> None:
    printer, simulated = start(mqtt=True)
    with pytest.raises(ValueError, match="no print"):
        printer.wait_for_print()
    with pytest.raises(FileNotFoundError):
        printer.start_print("/cache/none.3mf")
    with pytest.raises(InvalidJob, match="bed_type"):
        printer.start_print("/cache/benchy.gcode.3mf", bed_type="warm_plate")
    with pytest.raises(InvalidJob, match="plate 9"):
        printer.start_print("/cache/benchy.gcode.3mf", plate=9)
    with pytest.raises(InvalidJob, match="nothing to pause"):
        printer.pause()
    assert simulated.jobs == []
