"""The golden broker is what it says: TLS, one user, the access code as its password."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto, mosquitto_printer
from tests.support.needs import need
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    need("mosquitto", "mosquitto_sub")
    with mosquitto_printer() as running:
        yield running


def command(program: str, broker: Mosquitto, folder: Path, code: str) -> list[str]:
    (folder / "ca.pem").write_bytes(broker.certificate.ca)
    reach = [program, "-h", broker.host, "-p", str(broker.port), "-u", "bblp", "-P", code]
    return [*reach, "--cafile", str(folder / "ca.pem"), "--insecure"]


def test_a_message_reaches_a_subscriber(broker: Mosquitto, tmp_path: Path) -> None:
    listen = [*command("mosquitto_sub", broker, tmp_path, broker.access_code), "-t", "device/+/report", "-C", "1"]
    tell = [*command("mosquitto_pub", broker, tmp_path, broker.access_code), "-t", "device/x/report", "-m", "hello"]
    with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as subscriber:
        wait_until(lambda: "device/+/report" in broker.log, "the subscription")
        subprocess.run(tell, check=True)

        assert subscriber.communicate(timeout=10)[0] == "hello\n"


def test_a_wrong_access_code_is_refused(broker: Mosquitto, tmp_path: Path) -> None:
    tell = [*command("mosquitto_pub", broker, tmp_path, "wrong"), "-t", "device/x/report", "-m", "hello"]

    done = subprocess.run(tell, capture_output=True, text=True, check=False)

    assert "not authorised" in done.stderr
