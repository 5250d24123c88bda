"""A mounted printer to print on, made of Debian's daemons with an independent client in the printer's part, or of
the simulator; and what a user does with it."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from bambufs import simulator
from tests.support.mosquitto import Mosquitto
from tests.support.mounting import Mounted
from tests.support.vsftpd import Vsftpd
from tests.support.waiting import wait_until


@dataclass
class Address:
    """Where a printer is: what `mounted` needs to know."""

    host: str
    port: int
    mqtt_port: int
    access_code: str
    serial: str

    @classmethod
    def of(cls, printer: simulator.Printer) -> Address:
        return cls(printer.host, printer.ftps_port, printer.mqtt_port, printer.access_code, printer.serial)

    @classmethod
    def of_daemons(cls, server: Vsftpd, broker: Mosquitto) -> Address:
        return cls(server.host, server.port, broker.port, server.access_code, server.serial)


class Subscriber:
    """Listens to what a printer is asked, and answers as an idle one of the model ``product`` would."""

    def __init__(self, broker: Mosquitto, product: str, *, trays: Sequence[dict[str, str]] = ()) -> None:
        self._topic, self._product = f"device/{broker.serial}", product
        self._trays = list(trays)
        self.requests: list[tuple[bytes, int, bool]] = []
        self._subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "the-printer")
        self.client.username_pw_set("bblp", broker.access_code)
        self.client.tls_set(cert_reqs=ssl.CERT_NONE)
        self.client.tls_insecure_set(True)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{self._topic}/request", qos=1)
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._heard
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()
        assert self._subscribed.wait(10)

    def _heard(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        self.requests.append((bytes(message.payload), message.qos, message.retain))
        request = json.loads(message.payload)
        if "info" in request:
            modules = [{"name": "ota", "sw_ver": "01.08.00.00", "product_name": self._product}]
            self.say({"info": {"command": "get_version", "sequence_id": "0", "module": modules}})
        elif "pushing" in request:
            ams = {"ams": [{"id": "0", "tray": self._trays}] if self._trays else []}
            self.say({"print": {"command": "push_status", "msg": 0, "gcode_state": "IDLE", "ams": ams}})
        elif request["print"]["command"] == "project_file":
            asked = request["print"]
            self.say({"print": {**asked, "result": "success", "reason": ""}})
            self.say({"print": {"command": "push_status", "msg": 1, "gcode_state": "PREPARE",
                                "subtask_name": asked["subtask_name"], "task_id": asked["task_id"]}})  # fmt: skip

    def say(self, message: object) -> None:
        self.client.publish(f"{self._topic}/report", json.dumps(message), qos=0)

    @property
    def print_requests(self) -> list[tuple[bytes, int, bool]]:
        """The payloads of all print requests as they came, with their QoS and retain flag."""
        return [request for request in self.requests if b'"command":"project_file"' in request[0]]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Bench:
    """A mounted printer."""

    mount: Mounted

    @property
    def place(self) -> Path:
        return self.mount.path

    @property
    def told(self) -> str:
        """What the file `print` tells."""
        return self.control("print").read_text()

    def control(self, name: str) -> Path:
        return self.place / ".bambufs" / name

    def status(self, name: str = "status.json") -> dict[str, Any]:
        return dict(json.loads(self.control(name).read_text()))

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the mount, as its user."""
        return subprocess.run(
            ["bash", "-c", command], cwd=self.place, capture_output=True, text=True, timeout=60, check=False
        )

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.status()["ready_to_print"], "the printer to report", seconds=20)

    def wait_until_told(self, what: str) -> None:
        """Wait until the file `print` tells ``what``; fail with what it tells instead."""
        try:
            wait_until(lambda: what in self.told, what, seconds=20)
        except TimeoutError as error:
            raise AssertionError(f"{error}; it tells: {self.told}") from error
