"""The control files of a mounted simulated printer, used as its owner would."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bambufs import simulator
from tests.printing.bench import Address, Bench
from tests.support import careful
from tests.support.mounting import mounted
from tests.support.needs import need
from tests.support.waiting import wait_until

BENCHY = "cache/benchy.gcode.3mf"
QUICK = 3000.0  # times as fast as a real printer

Start = Callable[..., contextlib.AbstractContextManager[tuple[Bench, simulator.Printer]]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a printer with the quirks given, and mounts it."""
    need("fuse3")

    @contextlib.contextmanager
    def starting(
        model: str = "x1c", *, arguments: tuple[str, ...] = (), options: tuple[str, ...] = (),
        environment: dict[str, str] | None = None, speed: float = 1.0, binding: str = "fuse3", **quirks: object,
    ) -> Iterator[tuple[Bench, simulator.Printer]]:  # fmt: skip
        card = tmp_path / "card"
        simulator.make_card(card, model_id=simulator.MODELS[model].code)
        with simulator.Printer(
            card=card, model=model, report_interval=0.1, speed=speed, quirks=quirks  # type: ignore[arg-type]
        ) as printer:
            address = Address.of(printer)
            with mounted(
                address, tmp_path / "mnt", binding, options=options, arguments=arguments, environment=environment
            ) as mount:
                yield Bench(mount), printer

    return starting


@pytest.mark.parametrize("binding", ["fuse2", "fuse3"])
@pytest.mark.parametrize("model", ["x1c", "p1s", "a1mini", "p2s", "h2s", "h2d"])
def test_print_runs_from_the_echo_to_its_end(start: Start, model: str, binding: str) -> None:
    need(binding)
    with start(model, speed=QUICK, binding=binding) as (bench, printer):
        bench.wait_until_ready()

        done = bench.run(f"echo {BENCHY} > .bambufs/print")

        assert (done.returncode, done.stderr) == (0, "")
        bench.wait_until_told("The print of benchy is finished.")
        assert len(printer.jobs) == 1


def test_mount_finds_the_serial_by_itself(start: Start) -> None:
    with start(environment={"BAMBU_DEVICE_ID": ""}) as (bench, printer):
        bench.wait_until_ready()

        assert bench.status()["printer"] == {"host": printer.host, "serial": printer.serial, "model": "X1C"}
        assert f"the serial number {printer.serial} was taken from the printer's certificate" in bench.mount.log


@pytest.mark.parametrize("command", ["echo {} > {}", "echo {} >> {}", "echo {} | tee {}", "printf %s {} > {}"])
def test_ways_to_write_a_line(start: Start, command: str) -> None:
    with start() as (bench, _):
        bench.wait_until_ready()

        done = bench.run(command.format(BENCHY, ".bambufs/print"))

        assert (done.returncode, done.stderr) == (0, "")
        bench.wait_until_told("The printer started benchy.")


def test_path_as_the_user_sees_it(start: Start) -> None:
    with start() as (bench, printer):
        bench.wait_until_ready()

        done = bench.run(f"echo '{bench.place}/{BENCHY}' > {bench.place}/.bambufs/print")

        assert (done.returncode, done.stderr) == (0, "")
        assert printer.jobs[0]["url"] == f"file:///sdcard/{BENCHY}"


def test_editor_may_write_back_what_it_read(start: Start) -> None:
    need("vim")
    with start() as (bench, printer):
        bench.wait_until_ready()

        done = bench.run(f"vim -n -es -u NONE -c 'normal Go{BENCHY} plate=2' -c wq .bambufs/print")

        assert done.returncode == 0, done.stdout + done.stderr
        bench.wait_until_told("The printer started benchy.")
        assert printer.jobs[0]["param"] == "Metadata/plate_2.gcode"


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("cache/none.gcode.3mf", "No such file or directory", "There is no such file on the printer"),
        (f"{BENCHY} plate=9", "Invalid argument", "it has plates 1, 2"),
        ("Calibration cube.gcode.3mf", "Invalid argument", "Rename it to /Calibration_cube.gcode.3mf"),
        ("what?", "Invalid argument", "does not end in .3mf"),
    ],
)
def test_wrong_request_is_the_writers_error_and_told(start: Start, text: str, error: str, said: str) -> None:
    with start() as (bench, printer):
        bench.wait_until_ready()

        done = bench.run(f"echo '{text}' > .bambufs/print")

        assert done.returncode == 1
        assert error in done.stderr
        assert said in bench.told
        assert said in bench.mount.log
        assert printer.jobs == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"is_sliced": False}, "has not been sliced"), ({"md5": "0" * 32}, "does not match its checksum")],
)
def test_bad_file_is_refused_when_its_copy_is_closed(
    start: Start, tmp_path: Path, changes: dict[str, bool | str], said: str
) -> None:
    source = simulator.make_3mf(tmp_path / "source.3mf", **changes)  # type: ignore[arg-type]
    with start() as (bench, printer):
        bench.wait_until_ready()

        done = bench.run(f"cp {source} .bambufs/print")

        assert done.returncode == 1
        assert "Invalid argument" in done.stderr
        assert said in bench.told
        assert printer.jobs == []
        assert sorted(file.name for file in (printer.card / "cache").iterdir()) == ["benchy.gcode.3mf"]


@pytest.mark.parametrize("refusal", ["answer", "hms"])
def test_printer_without_developer_mode(start: Start, refusal: str) -> None:
    with start("p1s", developer_mode=False, refusal=refusal) as (bench, _):
        bench.wait_until_ready()

        done = bench.run(f"echo {BENCHY} > .bambufs/print")

        assert "Permission denied" in done.stderr
        assert "switch on LAN Only mode and then Developer Mode" in bench.told
        assert "switch on LAN Only mode and then Developer Mode" in bench.mount.log


def test_busy_printer_keeps_its_print(start: Start) -> None:
    with start() as (bench, printer):
        bench.wait_until_ready()
        bench.run(f"echo {BENCHY} > .bambufs/print")
        bench.wait_until_told("The printer started benchy.")

        done = bench.run(f"echo {BENCHY} plate=2 > .bambufs/print")

        assert "Device or resource busy" in done.stderr
        assert "Not printed: The printer is at work" in bench.told
        assert len(printer.jobs) == 1


def test_second_line_is_refused_after_the_first_has_started(start: Start) -> None:
    with start() as (bench, printer):
        bench.wait_until_ready()

        done = bench.run(f"printf '{BENCHY}\\n{BENCHY} plate=2\\n' > .bambufs/print")

        assert "Device or resource busy" in done.stderr
        assert len(printer.jobs) == 1


def test_file_that_is_still_being_written_is_busy(start: Start) -> None:
    with start() as (bench, printer):
        bench.wait_until_ready()

        with (bench.place / BENCHY).open("ab", buffering=0) as file:
            file.write(b"more")
            # From this process: starting another one closes a copy of the descriptor, which uploads.
            with pytest.raises(OSError, match="Device or resource busy"):
                bench.control("print").write_text(BENCHY + "\n")

        assert "A program is still writing to this file." in bench.told
        assert printer.jobs == []


def test_error_of_the_printer_after_its_yes_is_told(start: Start) -> None:
    with start(error_after_ack=0x0500_C010) as (bench, _):
        bench.wait_until_ready()

        done = bench.run(f"echo {BENCHY} > .bambufs/print")

        assert done.returncode == 0
        bench.wait_until_told("The print of benchy failed. 0500_C010: The printer could not read or write its card")


def test_print_is_paused_resumed_and_stopped(start: Start) -> None:
    with start(speed=60.0) as (bench, _):
        bench.wait_until_ready()
        bench.run(f"echo {BENCHY} > .bambufs/print")
        for word, state in (("pause", "PAUSE"), ("resume", "RUNNING"), ("stop", "FAILED")):
            wait_until(lambda: bench.status("job")["state"] in ("RUNNING", "PAUSE"), "the print to run")
            done = bench.run(f"echo {word} > .bambufs/job")
            assert (done.returncode, done.stderr) == (0, "")
            wait_until(lambda state=state: bench.status("job")["state"] == state, state)  # type: ignore[misc]

        bench.wait_until_told("The print of benchy failed. 0300_400C: The print was cancelled.")
        refused = bench.run("echo pause > .bambufs/job")
        assert "Invalid argument" in refused.stderr
        assert "there is nothing to pause" in bench.status("job")["last_command"]["trouble"]


def test_print_that_has_not_started_yet_can_be_stopped(start: Start) -> None:
    with start(start_delay=60.0) as (bench, printer):
        bench.wait_until_ready()
        bench.run(f"echo {BENCHY} > .bambufs/print")
        assert "has not started it yet" in bench.told

        bench.run("echo stop > .bambufs/job")

        assert "It was stopped before it had started." in bench.told
        again = bench.run(f"echo {BENCHY} > .bambufs/print")
        assert again.returncode == 0, "nothing keeps the next one out"
        assert len(printer.jobs) == 2


def test_ctrl_c_does_not_wait_for_the_printers_answer(start: Start) -> None:
    with start(ack="none", never_starts=True) as (bench, printer):
        bench.wait_until_ready()
        before = time.monotonic()

        done = bench.run(f"timeout -s INT 2 bash -c 'exec cp {BENCHY} .bambufs/print'")

        assert done.returncode != 0
        assert time.monotonic() - before < 5.0
        bench.wait_until_told("Unknown: the printer did not answer")
        assert len(printer.jobs) == 1


def test_status_tells_what_the_printer_reports(start: Start) -> None:
    with start() as (bench, printer):
        bench.wait_until_ready()
        printer.set_state(nozzle_temper=219.5, nozzle_target_temper=220.0, mc_percent=42, layer_num=7,
                          print_error=0x0500_C010, wifi_signal="-61dBm")  # fmt: skip
        wait_until(lambda: bench.status()["job"]["percent"] == 42, "the change to be told")

        told = bench.status()

    assert told["temperatures"]["nozzles"] == [{"now": 219.5, "target": 220.0}]
    assert told["job"]["layer"] == 7
    assert told["print_error"]["code"] == "0500_C010"
    assert "card" in told["print_error"]["meaning"]
    assert (told["wifi_signal"], told["firmware"]) == ("-61dBm", "01.08.02.00")
    assert {(tray["name"], tray["material"]) for tray in told["ams"]} == {("A1", "PLA"), ("A2", "PETG")}
    assert told["mqtt"]["connected"] is told["ftps"]["connected"] is True


def test_status_is_a_read_only_file_with_a_true_size(start: Start) -> None:
    with start() as (bench, _):
        found = bench.control("status.json").stat()
        assert stat.S_IMODE(found.st_mode) == 0o400
        assert found.st_size > 0
        assert bench.run("tail -c 3 .bambufs/status.json").stdout == "\n}\n"
        assert bench.run("echo x > .bambufs/status.json").returncode == 1
        assert stat.S_IMODE(bench.control("print").stat().st_mode) == 0o600


def test_readme_names_every_file(start: Start) -> None:
    with start() as (bench, _):
        text = bench.control("README").read_text()
        names = bench.run("ls .bambufs").stdout.split()

    assert len(names) == 7
    assert [name for name in names if f"\n  {name} " not in text] == []


def test_mount_works_without_mqtt(start: Start) -> None:
    with start() as (bench, printer):
        bench.wait_until_ready()
        printer.quirks["mqtt"] = False
        wait_until(lambda: not bench.status()["mqtt"]["connected"], "the loss to be told", seconds=20)

        wait_until(lambda: "refuses connections" in (bench.status()["mqtt"]["trouble"] or ""), "the reason", seconds=20)
        told = bench.status()
        assert told["ftps"] == {**told["ftps"], "connected": True, "trouble": None}
        assert not told["ready_to_print"]
        assert bench.run("cp /etc/hostname model/a.txt && cat model/a.txt").returncode == 0
        done = bench.run(f"echo {BENCHY} > .bambufs/print")
        assert "No route to host" in done.stderr


def test_control_works_without_ftps(start: Start) -> None:
    with start() as (bench, printer):
        bench.wait_until_ready()
        printer.quirks["ftps"] = False
        assert bench.run("ls model").returncode != 0

        wait_until(lambda: bench.status()["ftps"]["connected"] is False, "the loss to be told", seconds=20)
        told = bench.status()
        assert told["mqtt"] == {**told["mqtt"], "connected": True, "trouble": None}
        assert told["ready_to_print"]


def test_mount_without_ftps_is_there_for_control(tmp_path: Path) -> None:
    need("fuse3")
    card, place = tmp_path / "card", tmp_path / "mnt"
    card.mkdir()
    place.mkdir()
    simulator.make_card(card)
    with simulator.Printer(model="h2d", card=card) as printer:
        printer.quirks["ftps"] = False
        line = [*careful.program(), "mount", printer.host, str(place), "--serial", printer.serial]
        line += ["--ftps-port", str(printer.ftps_port), "--mqtt-port", str(printer.mqtt_port)]
        line += ["--cache-dir", str(tmp_path / "cache")]
        environment = {**os.environ, "BAMBU_ACCESS_CODE": printer.access_code}
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        try:
            told = json.loads((place / ".bambufs" / "status.json").read_text())
            assert (told["mqtt"]["connected"], told["ftps"]["connected"]) == (True, False)
            with pytest.raises(OSError, match="No route to host"):
                os.listdir(place)
            printer.quirks["ftps"] = True
            wait_until(lambda: _lists(place), "the files to appear", seconds=10)
        finally:
            subprocess.run([*careful.program(), "unmount", str(place)], timeout=30, check=True)


def _lists(place: Path) -> bool:
    try:
        return "timelapse" in os.listdir(place)
    except OSError:
        return False


def test_reading_never_waits_for_the_printer(start: Start) -> None:
    with start() as (bench, printer):
        bench.wait_until_ready()
        printer.switch_off()
        before = time.monotonic()
        for name in ("print", "job", "status.json", "README", "transfers", "stats"):
            bench.control(name).read_bytes()

        assert time.monotonic() - before < 2.0


def test_read_only_mount_takes_no_requests(start: Start) -> None:
    with start(arguments=("--read-only",)) as (bench, printer):
        bench.wait_until_ready()

        done = bench.run(f"echo {BENCHY} > .bambufs/print")

        assert "Read-only file system" in done.stderr
        assert printer.jobs == []


# -- the drop folder -----------------------------------------------------------------------------


def test_drop_folder_is_listed_and_prints(start: Start, tmp_path: Path) -> None:
    source = simulator.make_3mf(tmp_path / "Part.gcode.3mf", title="x")
    with start(arguments=("--drop-folder", "Print")) as (bench, printer):
        bench.wait_until_ready()
        assert "Print" in bench.run("ls").stdout.split()

        done = bench.run(f"cp {source} Print/")

        assert (done.returncode, done.stderr) == (0, "")
        bench.wait_until_told("The printer started Part.")
        assert (printer.card / "cache" / "Part.gcode.3mf").read_bytes() == source.read_bytes()
        assert not (printer.card / "Print").exists()


@pytest.mark.parametrize("tool", ["gio copy {} Print/", "rsync -a {} Print/", "cp -p {} Print/", "mv {} Print/"])
def test_ways_to_drop_a_file(start: Start, tmp_path: Path, tool: str) -> None:
    need(tool.split()[0])
    source = simulator.make_3mf(tmp_path / "Part.gcode.3mf", title="x")
    with start(arguments=("--drop-folder", "Print")) as (bench, printer):
        bench.wait_until_ready()

        done = bench.run(tool.format(source))

        assert (done.returncode, done.stderr) == (0, "")
        assert len(printer.jobs) == 1


def test_refused_file_stays_with_the_reason(start: Start, tmp_path: Path) -> None:
    source = simulator.make_3mf(tmp_path / "Part.3mf", is_sliced=False)
    with start(options=("drop_folder=Print",)) as (bench, printer):
        bench.wait_until_ready()

        done = bench.run(f"mv {source} Print/")

        assert "Invalid argument" in done.stderr
        assert source.exists()
        assert "has not been sliced" in (bench.place / "Print" / "Part.3mf.not-printed.txt").read_text()
        assert bench.run("rm Print/*; ls Print").stdout == ""
        assert printer.jobs == []


def test_moving_a_file_of_the_card_into_it_is_refused(start: Start) -> None:
    """`mv` would delete the very file that is being printed."""
    with start(arguments=("--drop-folder", "Print")) as (bench, printer):
        bench.wait_until_ready()

        done = bench.run(f"mv {BENCHY} Print/")

        assert "Operation not permitted" in done.stderr
        assert (printer.card / BENCHY).exists()
        assert printer.jobs == []


def test_drop_folder_itself_stays(start: Start) -> None:
    with start(arguments=("--drop-folder", "Print")) as (bench, _):
        for command in ("rmdir Print", "mv Print other", "mkdir Print", "mkdir Print/a"):
            assert bench.run(command).returncode != 0, command
