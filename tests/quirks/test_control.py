"""Rows 32 to 40: MQTT connections, reports, acknowledgements and prints."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bambufs import simulator
from tests.contract.box import refused
from tests.quirks.conftest import On
from tests.quirks.stand import Address, Stand
from tests.quirks.stand import stand as make_stand
from tests.support.mounting import mounted
from tests.support.needs import need
from tests.support.waiting import wait_until
from tests.unit.simulator.plain_mqtt import PlainMqtt

MODELS = pytest.mark.parametrize("model", ["x1c", "p1s", "a1mini"])
FILE_TROUBLE = 0x0500_C010

Ready = Callable[[str], Stand]


@pytest.fixture
def ready(on: On) -> Iterator[Ready]:
    """Lends the stand with a model whose printer is idle, with a sliced file in the test's folder."""
    lent: list[Stand] = []

    def lend(model: str) -> Stand:
        stand = on(model, mqtt=True)
        lent.append(stand)
        simulator.make_3mf(stand.disk / "part.gcode.3mf", model_id=simulator.MODELS[model].code)
        stand.refresh()
        wait_until(lambda: stand.status()["ready_to_print"], "the printer to report", seconds=20)
        stand.jobs_before = len(stand.printer.jobs)
        return stand

    yield lend
    for stand in lent:
        stand.printer.set_state(gcode_state="IDLE", print_error=0, hms=[])
        wait_until(lambda: stand.status()["ready_to_print"], "the printer to be idle again", seconds=20)  # noqa: B023


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[str], Stand]]:
    """Makes a stand of the test's own, for what a shared one would not get over."""
    need("fuse3")
    with ExitStack() as stack:
        yield lambda model: stack.enter_context(make_stand(tmp_path / "own", model, "fuse3", mqtt=True))


def print_part(stand: Stand) -> None:
    """Ask for the part, as a shell does: echo part.gcode.3mf > .bambufs/print."""
    write_once(stand.control("print"), f"{stand.name}/part.gcode.3mf\n")


def write_once(place: Path, text: str) -> None:
    """Write in one go; a file of Python's would write again when it is closed after an error."""
    fd = os.open(place, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def new_jobs(stand: Stand) -> list[dict[str, object]]:
    """What the printer was asked to print in this test."""
    return stand.printer.jobs[stand.jobs_before :]


# --- connections --------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["refuse", "disconnect"])
def test_nothing_but_the_reports_is_subscribed_to(ready: Ready, what: str) -> None:
    stand = ready("p1s" if what == "disconnect" else "x1c")
    assert stand.quirks.text("foreign_subscription") == what

    since = stand.status()["mqtt"]["since"]
    print_part(stand)
    stand.wait_until_told("The print of part is finished.")

    assert stand.printer.mqtt_client_count == 1
    told = stand.status()["mqtt"]
    assert (told["connected"], told["since"], told["trouble"]) == (True, since, None)


def test_a_mount_takes_one_slot_and_gets_it_back_when_it_lingers(fresh: Callable[[str], Stand]) -> None:
    stand = fresh("p1s")
    wait_until(lambda: stand.status()["mqtt"]["connected"], "the connection", seconds=20)
    stand.quirks["mqtt_clients"], stand.quirks["mqtt_linger"] = 1, 1.5
    assert stand.printer.mqtt_client_count == 1

    stand.printer.drop_sessions()
    wait_until(lambda: not stand.status()["mqtt"]["connected"], "the loss to be told", seconds=20)

    wait_until(lambda: stand.status()["mqtt"]["connected"], "the slot to come free", seconds=30)
    assert stand.printer.mqtt_client_count == 1


def test_a_mount_without_a_slot_says_so_and_shows_the_files(tmp_path: Path) -> None:
    need("fuse3")
    (tmp_path / "card").mkdir()
    (tmp_path / "card/there.3mf").write_bytes(b"content")
    with simulator.Printer(card=tmp_path / "card", model="p1s", quirks={"mqtt_clients": 1}) as printer:
        with PlainMqtt(printer), mounted(Address(printer), tmp_path / "mnt") as mount:
            lone = Stand(printer, mount)
            wait_until(lambda: lone.status()["mqtt"]["trouble"], "the reason", seconds=20)

            assert not lone.status()["mqtt"]["connected"]
            assert not lone.status()["ready_to_print"]
            assert (mount.path / "there.3mf").read_bytes() == b"content"
            assert lone.status()["ftps"]["connected"]
        with mounted(Address(printer), tmp_path / "mnt") as mount:
            lone = Stand(printer, mount)
            wait_until(lambda: lone.status()["mqtt"]["connected"], "the slot", seconds=20)


# --- reports ------------------------------------------------------------------------------------------


@MODELS
def test_reports_of_changes_are_put_together(ready: Ready, model: str) -> None:
    stand = ready(model)
    stand.quirks["full_reports"] = model == "x1c"

    stand.printer.set_state(nozzle_temper=123.5)
    wait_until(lambda: stand.status()["temperatures"]["nozzles"][0]["now"] == 123.5, "the change to be told")

    told = stand.status()
    assert told["ready_to_print"]
    assert {tray["material"] for tray in told["ams"]} == {"PLA", "PETG"}


def test_the_whole_state_is_asked_for_once(fresh: Callable[[str], Stand]) -> None:
    stand = fresh("p1s")
    stand.quirks["pushall_every"] = 300.0
    wait_until(lambda: stand.status()["ready_to_print"], "the printer to report", seconds=20)
    for _ in range(20):
        stand.status()

    stand.printer.drop_sessions()
    wait_until(lambda: len(asked(stand, "get_version")) == 2, "the second connection", seconds=20)
    wait_until(lambda: stand.status()["mqtt"]["connected"], "it to be told", seconds=20)

    assert len(asked(stand, "pushall")) == 1


def asked(stand: Stand, command: str) -> list[simulator.Request]:
    return [request for request in stand.printer.requests if request.command == command]


# --- prints -------------------------------------------------------------------------------------------


@MODELS
@pytest.mark.parametrize(("ack", "names_command"), [("success", True), ("SUCCESS", False), ("none", True)])
def test_a_print_is_judged_by_what_the_printer_does(ready: Ready, model: str, ack: str, names_command: bool) -> None:
    stand = ready(model)
    stand.quirks["ack"], stand.quirks["ack_command"] = ack, names_command
    stand.quirks["prepare_stops_at"] = 99

    print_part(stand)

    stand.wait_until_told("The print of part is finished.")
    assert len(new_jobs(stand)) == 1


def test_a_print_that_starts_late_is_waited_for_and_not_sent_again(ready: Ready) -> None:
    stand = ready("p1s")
    stand.quirks.once("start_delay", 2.0)

    print_part(stand)
    stand.wait_until_told("The printer accepted part and has not started it yet")

    stand.wait_until_told("The print of part is finished.")
    assert len(new_jobs(stand)) == 1


def test_a_print_that_never_starts_is_not_said_to_have(ready: Ready) -> None:
    stand = ready("p1s")
    stand.quirks.once("never_starts", True)

    print_part(stand)

    stand.wait_until_told("The printer accepted part and has not started it yet")
    with refused(errno.EBUSY):  # a second one would come on top
        print_part(stand)
    assert len(new_jobs(stand)) == 1
    stand.control("job").write_text("stop\n")


@MODELS
def test_an_error_after_the_yes_is_told(ready: Ready, model: str) -> None:
    stand = ready(model)
    stand.quirks.once("error_after_ack", FILE_TROUBLE)

    print_part(stand)

    stand.wait_until_told("The print of part failed. 0500_C010: The printer could not read or write its card")


@pytest.mark.parametrize(("model", "refusal"), [("x1c", "answer"), ("a1mini", "answer"), ("p1s", "hms")])
def test_without_developer_mode_the_writer_is_told_what_to_switch_on(ready: Ready, model: str, refusal: str) -> None:
    stand = ready(model)
    stand.quirks["developer_mode"], stand.quirks["refusal"] = False, refusal

    with refused(errno.EACCES):
        print_part(stand)

    assert "switch on LAN Only mode and then Developer Mode" in stand.control("print").read_text()
    assert stand.status()["mqtt"]["connected"]


@pytest.mark.slow  # it waits for an answer
def test_a_printer_that_refuses_in_silence_is_not_said_to_print(fresh: Callable[[str], Stand]) -> None:
    stand = fresh("p1s")
    stand.quirks["developer_mode"], stand.quirks["refusal"] = False, "silent"
    simulator.make_3mf(stand.disk / "part.gcode.3mf")
    stand.refresh()
    wait_until(lambda: stand.status()["ready_to_print"], "the printer to report", seconds=20)

    done = stand.run("echo part.gcode.3mf > .bambufs/print")

    assert "Connection timed out" in done.stderr
    told = stand.control("print").read_text()
    assert "did not answer" in told
    assert "The request was sent once and is not repeated" in stand.said
    assert len(new_jobs(stand)) == 1


@pytest.mark.parametrize("busy", ["cancel", "refuse"])
def test_a_printer_at_work_is_not_even_asked(ready: Ready, busy: str) -> None:
    stand = ready("a1mini")
    stand.quirks["busy"] = busy
    stand.printer.set_state(gcode_state="RUNNING")
    wait_until(lambda: not stand.status()["ready_to_print"], "the change to be told")

    with refused(errno.EBUSY):
        print_part(stand)

    assert new_jobs(stand) == []
    assert stand.printer.state["gcode_state"] == "RUNNING"


@pytest.mark.parametrize("checks", [True, False])
def test_a_file_whose_checksum_is_wrong_is_not_asked_for(ready: Ready, checks: bool) -> None:
    stand = ready("p1s")
    stand.quirks["gcode_md5"] = checks
    simulator.make_3mf(stand.disk / "part.gcode.3mf", md5="0" * 32)
    stand.refresh()

    with refused(errno.EINVAL):
        print_part(stand)

    assert "does not match its checksum" in stand.control("print").read_text()
    assert new_jobs(stand) == []


@pytest.mark.parametrize("effect", ["starts", "ignored", "fails"])
def test_plain_gcode_is_not_asked_for(ready: Ready, effect: str) -> None:
    stand = ready("p1s")
    stand.quirks["gcode_file"] = effect
    stand.put("part.gcode", b"G28\n")

    with refused(errno.EINVAL):
        write_once(stand.control("print"), f"{stand.name}/part.gcode\n")

    assert asked(stand, "gcode_file") == []
