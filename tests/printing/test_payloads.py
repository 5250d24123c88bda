"""What reaches a printer's broker when its owner writes into `print`, byte by byte, for each family.

Through a real mount, against vsftpd and mosquitto; an independent client in the printer's part looks.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.printing.bench import Address, Bench, Subscriber
from tests.support import threemf
from tests.support.mosquitto import Mosquitto, mosquitto_printer
from tests.support.mounting import mounted
from tests.support.needs import need
from tests.support.vsftpd import Vsftpd, vsftpd_printer
from tests.support.waiting import wait_until

TRAYS = (
    {"id": "0", "tray_type": "PETG", "tray_color": "FFFFFFFF"},
    {"id": "2", "tray_type": "PLA", "tray_color": "76D9F4FF"},
)

OLD = (
    '{"print":{"sequence_id":"%(sequence)s","command":"project_file","param":"Metadata/plate_2.gcode",'
    '"url":"%(url)s","file":"benchy.gcode.3mf","md5":"%(md5)s","subtask_name":"benchy","project_id":"0",'
    '"profile_id":"0","task_id":"%(task)s","subtask_id":"%(task)s","bed_type":"textured_plate","bed_leveling":true,'
    '"bed_levelling":true,"flow_cali":false,"vibration_cali":%(vibration)s,"layer_inspect":false,"timelapse":true,'
    '"use_ams":true,"ams_mapping":[2,-1,0]%(more)s}}'
)
NEWER = (
    ',"ams_mapping2":[{"ams_id":0,"slot_id":2},{"ams_id":255,"slot_id":255},{"ams_id":0,"slot_id":0}],'
    '"auto_bed_leveling":1,"extrude_cali_flag":0,"nozzle_offset_cali":0,"cfg":"0"'
)

# product name as the printer reports it: url, vibration calibration, more keys
FAMILIES = {
    "3DPrinter-X1-Carbon": ("file:///sdcard/cache/benchy.gcode.3mf", "true", ""),
    "P1S": ("file:///sdcard/cache/benchy.gcode.3mf", "true", ""),
    "Bambu Lab A1 mini": ("file:///sdcard/cache/benchy.gcode.3mf", "true", ""),
    "P2S": ("file:///media/usb0/cache/benchy.gcode.3mf", "false", NEWER),
    "Bambu Lab H2D": ("file:///sdcard/cache/benchy.gcode.3mf", "true", NEWER),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Vsftpd]:
    need("vsftpd", "fuse3")
    with vsftpd_printer() as running:
        (running.root / "cache").mkdir()
        yield running


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    need("mosquitto")
    with mosquitto_printer() as running:
        yield running


@pytest.fixture
def stored(server: Vsftpd) -> Path:
    file = server.root / "cache" / "benchy.gcode.3mf"
    file.write_bytes(threemf.make(plates=(1, 2), model=""))
    return file


@contextlib.contextmanager
def bench_of(server: Vsftpd, broker: Mosquitto, folder: Path, product: str) -> Iterator[tuple[Bench, Subscriber]]:
    with contextlib.closing(Subscriber(broker, product, trays=TRAYS)) as subscriber:
        with mounted(Address.of_daemons(server, broker), folder / "mnt") as mount:
            bench = Bench(mount)
            bench.wait_until_ready()
            yield bench, subscriber


@pytest.mark.parametrize("product", FAMILIES)
def test_request_is_what_the_family_wants(
    server: Vsftpd, broker: Mosquitto, stored: Path, tmp_path: Path, product: str
) -> None:
    url, vibration, more = FAMILIES[product]

    with bench_of(server, broker, tmp_path, product) as (bench, subscriber):
        done = bench.run("echo cache/benchy.gcode.3mf plate=2 timelapse=yes bed_type=textured_plate > .bambufs/print")
        bench.wait_until_told("The printer started benchy.")
        assert done.returncode == 0, done.stderr
        (payload, qos, retain), *others = subscriber.print_requests

    text = payload.decode()
    numbers = {
        name: found[1] if (found := re.search(rf'"{name}_id":"(\d+)"', text)) else "" for name in ("sequence", "task")
    }
    md5 = hashlib.md5(stored.read_bytes()).hexdigest().upper()
    assert text == OLD % {"url": url, "md5": md5, "vibration": vibration, "more": more, **numbers}
    assert (qos, retain, others) == (0, False, [])
    assert 0 < int(numbers["task"]) < 2**31


@pytest.mark.parametrize("product", ["3DPrinter-X1-Carbon", "P1S"])
def test_copied_file_is_stored_and_asked_for(
    server: Vsftpd, broker: Mosquitto, tmp_path: Path, product: str
) -> None:
    title = f"Vase for {product}"
    name = title.replace(" ", "_")
    source = tmp_path / "source.gcode.3mf"
    source.write_bytes(threemf.make(title=title))

    with bench_of(server, broker, tmp_path, product) as (bench, subscriber):
        done = bench.run(f"cp {source} .bambufs/print")
        assert (done.returncode, done.stderr) == (0, "")
        bench.wait_until_told(f"The printer started {name}.")
        ((payload, _, _),) = subscriber.print_requests

    assert (server.root / "cache" / f"{name}.gcode.3mf").read_bytes() == source.read_bytes()
    assert f'"url":"file:///sdcard/cache/{name}.gcode.3mf"'.encode() in payload
    assert hashlib.md5(source.read_bytes()).hexdigest().upper().encode() in payload


def test_url_template_of_the_mount_is_used(
    server: Vsftpd, broker: Mosquitto, stored: Path, tmp_path: Path
) -> None:
    with contextlib.closing(Subscriber(broker, "P1S")) as subscriber:
        options = ("url_template=ftp://somewhere/{path}",)
        with mounted(Address.of_daemons(server, broker), tmp_path / "mnt", options=options) as mount:
            Bench(mount).wait_until_ready()
            Bench(mount).run("echo cache/benchy.gcode.3mf > .bambufs/print")

        ((payload, _, _),) = subscriber.print_requests
    assert b'"url":"ftp://somewhere/cache/benchy.gcode.3mf"' in payload


def test_request_that_nobody_answered_is_asked_once(
    server: Vsftpd, broker: Mosquitto, stored: Path, tmp_path: Path
) -> None:
    with bench_of(server, broker, tmp_path, "P1S") as (bench, subscriber):
        broker.stop()  # frozen, with the connection up
        try:
            writer = bench.run("echo cache/benchy.gcode.3mf > .bambufs/print")
            told = bench.told
        finally:
            broker.cont()
        bench.wait_until_told("The printer started benchy.")

    assert writer.returncode == 1
    assert "Connection timed out" in writer.stderr
    assert "Unknown: the printer did not answer" in told
    assert len(subscriber.print_requests) == 1


def test_request_is_not_repeated_on_the_next_connection(
    server: Vsftpd, broker: Mosquitto, stored: Path, tmp_path: Path
) -> None:
    with bench_of(server, broker, tmp_path, "P1S") as (bench, _):
        broker.stop()
        writer = bench.run("echo cache/benchy.gcode.3mf > .bambufs/print")
        before = len(broker.log)
        broker.restart()
        wait_until(lambda: requests_of_mounts(broker, before), "the mount to connect anew", seconds=30)
        again = bench.run("echo cache/benchy.gcode.3mf > .bambufs/print")
        told = bench.told

    assert writer.returncode == 1
    assert again.returncode == 1, "since the printer's state is not known"
    assert "Unknown: the printer did not answer" in told
    assert max(requests_of_mounts(broker, before)) < 120, "only the version was asked for"


def requests_of_mounts(broker: Mosquitto, start: int) -> list[int]:
    """The sizes in bytes of all that mounts have published since the broker's log had ``start`` characters."""
    found = re.findall(r"Received PUBLISH from bambufs-.*\((\d+) bytes\)", broker.log[start:])
    return [int(size) for size in found]
