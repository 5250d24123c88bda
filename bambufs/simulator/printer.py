"""A Bambu Lab printer in software, for tests and for trying things out without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from bambufs.simulator.card_store import Card
from bambufs.simulator.certificate import identity_for, new_identity
from bambufs.simulator.desk import Request
from bambufs.simulator.gates import Gate, Point
from bambufs.simulator.life import Life
from bambufs.simulator.log import Command
from bambufs.simulator.machine import Machine, Tamper
from bambufs.simulator.quirk_table import Value
from bambufs.simulator.quirks import Quirks
from bambufs.simulator.reporter import Reporter
from bambufs.simulator.server import FtpsServer
from bambufs.simulator.status import Json
from bambufs.simulator.throttle import Throttle

if TYPE_CHECKING:
    from bambufs.simulator.mqtt import MqttServer


class Printer:
    """One simulated printer, running from `start` (or ``with``) to `close`.

    ``card`` is a folder on this machine. ``model`` names a set of quirks, which ``quirks`` overrides;
    both ports may be 0 for free ones. ``rate`` is in bytes a second over all transfers, ``latency`` in
    seconds for each receive of commands. Reports go out every ``report_interval`` seconds, and prints
    run ``speed`` times as fast as they would. The certificate is kept in ``identity_folder``, if one is
    given. ``seed`` decides everything that is random. ``clock`` gives the true time in seconds since 1970.
    """

    def __init__(
        self,
        *,
        card: Path,
        model: str = "x1c",
        serial: str = "01S00C000000001",
        access_code: str = "12345678",
        host: str = "127.0.0.1",
        ftps_port: int = 0,
        mqtt_port: int = 0,
        mqtt: bool = True,
        quirks: Mapping[str, Value] | None = None,
        rate: float | None = None,
        latency: float = 0.0,
        report_interval: float = 2.0,
        speed: float = 1.0,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        identity_folder: Path | None = None,
    ) -> None:
        self.quirks = Quirks(model, quirks or {})
        self._clock = clock
        self._machine = Machine(
            serial=serial,
            access_code=access_code,
            host=host,
            quirks=self.quirks,
            card=Card(card, quirks=self.quirks, now=self._now),
            throttle=Throttle(rate=rate),
            identity=identity_for(serial, identity_folder),
            clock=clock,
            latency=latency,
            seed=seed,
        )
        self._ftps = FtpsServer(self._machine, port=ftps_port)
        self._life = Life(self._machine)
        self._reporter = Reporter(
            self._machine, interval=report_interval, speed=speed, publish=self._publish
        )
        self._mqtt = self._make_mqtt(mqtt_port) if mqtt else None
        self.quirks.watch(self._tune)

    def __repr__(self) -> str:
        return f"Printer({self.model!r}, {self.serial!r}, ftps {self.host}:{self.ftps_port})"

    # -- running

    def start(self) -> Self:
        """Begin to answer."""
        if self._mqtt is not None:
            self._reporter.start()
        self._life.start()
        self.switch_on()
        return self

    def close(self) -> None:
        """Stop answering, release all gates, and end every thread."""
        self._machine.closing.set()
        self._machine.gates.close()
        self._ftps.close()
        if self._mqtt is not None:
            self._mqtt.close()
        self._reporter.close()
        self._life.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def switch_off(self) -> None:
        """Pull the plug: connections break, further ones are refused. The ports stay reserved."""
        self._ftps.stop()
        if self._mqtt is not None:
            self._mqtt.stop()

    def switch_on(self) -> None:
        """Answer again, at the same ports."""
        self._ftps.start()
        if self._mqtt is not None:
            self._mqtt.start()

    def drop_sessions(self) -> None:
        """Break all connections that there are now."""
        self._ftps.drop_sessions()
        if self._mqtt is not None:
            self._mqtt.drop_clients()

    # -- what a client has to know

    @property
    def model(self) -> str:
        return self.quirks.model

    @property
    def host(self) -> str:
        return self._machine.host

    @property
    def ftps_port(self) -> int:
        return self._ftps.port

    @property
    def mqtt_port(self) -> int:
        """The MQTT port; 0 for a printer without MQTT."""
        return self._mqtt.port if self._mqtt is not None else 0

    @property
    def serial(self) -> str:
        return self._machine.serial

    @property
    def access_code(self) -> str:
        return self._machine.access_code

    @access_code.setter
    def access_code(self, code: str) -> None:
        self._machine.access_code = code

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in hex."""
        return self._machine.identity.fingerprint

    def renew_certificate(self) -> None:
        """Show another certificate from the next connection on."""
        self._machine.identity = new_identity(self.serial)

    # -- what a test wants to see and to turn

    @property
    def card(self) -> Path:
        """The folder on this machine that holds the card's files."""
        return self._machine.card.folder

    @property
    def log(self) -> list[Command]:
        """Every command up to now, in the order of arrival."""
        return self._machine.log.snapshot()

    def wait_for(self, verb: str, *, count: int = 1, timeout: float = 10.0) -> list[Command]:
        """Wait until ``verb`` has arrived ``count`` times; `TimeoutError` after ``timeout`` seconds."""
        return self._machine.log.wait_for(verb, count=count, timeout=timeout)

    @property
    def session_count(self) -> int:
        """How many FTPS sessions there are now."""
        return self._ftps.session_count

    def wait_for_sessions(self, count: int, *, timeout: float = 10.0) -> None:
        """Wait until there are exactly ``count`` FTPS sessions; `TimeoutError` after ``timeout`` seconds."""
        self._ftps.wait_for_sessions(count, timeout)

    @property
    def rate(self) -> float | None:
        """Bytes a second over all transfers; None is no limit."""
        return self._machine.throttle.rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        self._machine.throttle.rate = rate

    @property
    def latency(self) -> float:
        """Seconds before each receive of commands is answered."""
        return self._machine.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._machine.latency = seconds

    def hold(self, verb: str, *, after_bytes: int | None = None, before: Point = "reply") -> Gate:
        """Put up a gate at which every session that sends ``verb`` (``*``: any) waits until it is released.

        With ``after_bytes`` it stands between two bytes of a transfer; else before the command is
        carried out (``before="command"``) or before its final reply is sent.
        """
        return self._machine.gates.hold(verb, after_bytes=after_bytes, point=before)

    def tamper(self, verb: str, *, reply: Tamper | None = None, data: Tamper | None = None) -> None:
        """Pass the raw replies to ``verb``, or the data that it sends, through a function. None: no more.

        The verb of the greeting is empty.
        """
        for table, function in ((self._machine.reply_tampers, reply), (self._machine.data_tampers, data)):
            if function is None:
                table.pop(verb.upper(), None)
            else:
                table[verb.upper()] = function

    def be_hostile(self, kinds: str, *, share: float = 0.3, seed: int = 0) -> None:
        """Do harm from now on (see the quirk ``hostile``; empty: no more), beginning anew with ``seed``."""
        self._machine.hostility.begin(seed)
        self.quirks["hostile_share"] = share
        self.quirks["hostile"] = kinds

    def live(self, ticks: int = 1) -> None:
        """Let the printer change its card by itself, as the quirk ``restless`` does from time to time."""
        for _ in range(ticks):
            self._life.tick()

    @property
    def state(self) -> dict[str, Any]:
        """All that the printer reports about itself, as a copy."""
        return self._reporter.status.snapshot()

    def set_state(self, **values: Any) -> None:
        """Change reported values, as in ``set_state(gcode_state="RUNNING")``, and report them at once."""
        self._reporter.set_state(**values)

    @property
    def requests(self) -> list[Request]:
        """Every message that came on the request topic."""
        return self._reporter.requests

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The bodies of all project_file requests."""
        return [request.body for request in self.requests if request.command == "project_file"]

    def publish(self, raw: bytes) -> None:
        """Send any bytes on the report topic, also such as no printer would."""
        if self._mqtt is not None:
            self._mqtt.publish_raw(raw)

    def wait_for_request(self, command: str, *, count: int = 1, timeout: float = 10.0) -> list[Request]:
        """Wait until ``command`` was requested ``count`` times; `TimeoutError` after ``timeout`` seconds."""
        return self._reporter.wait_for_request(command, count=count, timeout=timeout)

    @property
    def mqtt_client_count(self) -> int:
        """How many MQTT slots are taken."""
        return self._mqtt.client_count if self._mqtt is not None else 0

    # -- within

    def _make_mqtt(self, port: int) -> MqttServer:
        from bambufs.simulator.mqtt import MqttServer  # takes a while, and many tests do without

        return MqttServer(self._machine, port=port, on_request=self._reporter.take)

    def _publish(self, document: Json) -> None:
        if self._mqtt is not None:
            self._mqtt.publish_raw(self._machine.hostility.report(document))

    def _tune(self) -> None:
        self._ftps.tune()
        if self._mqtt is not None:
            self._mqtt.tune()

    def _now(self) -> float:
        return self._clock() + self.quirks.number("clock_error")
