"""The MQTT connection to a printer: `PrinterLink`, kept up by one thread of its own. The only importer of paho.

One connection, subscribed to the printer's report topic alone (P1 and A1 drop whoever subscribes to more,
OpenBambuAPI#26), user `bblp`, clean session, QoS 0. Each connection has a client of its own, so nothing that
was handed to one can ever be sent by the next: a request is published once or not at all.

Every method may be called from any thread; what threads share is in `Ledger`. The access code is given to
paho and kept nowhere that a repr or a log could show.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import random
import re
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from bambufs.errors import (
    InvalidName,
    PrinterBusy,
    PrinterError,
    PrinterTimeout,
    PrinterUnreachable,
    again,
)
from bambufs.printer import codes, linkproblems
from bambufs.printer.exchange import GET_VERSION, PUSHALL, Ack, encoded
from bambufs.printer.job import PrintJob, command_payload
from bambufs.printer.ledger import Ledger, LinkHealth
from bambufs.printer.linktls import NamedContext
from bambufs.printer.outcome import Phase, PrintOutcome, refusal
from bambufs.printer.reports import decode
from bambufs.printer.state import PrinterState

__all__ = ["PORT", "Ack", "LinkHealth", "LinkTimes", "PrinterLink"]

logger = logging.getLogger(__name__)

PORT = 8883
USER = "bblp"


@dataclass(frozen=True)
class LinkTimes:
    """How long the link waits, in seconds."""

    connect: float = 10.0
    keepalive: int = 30
    pushall_every: float = 300.0
    """More often than every 5 min it slows P1 and A1 down (OpenBambuAPI mqtt.md)."""
    first_retry: float = 1.0
    longest_retry: float = 60.0
    silence: float = 30.0
    revive_after: float = 120.0
    """A P1S may stop reporting while its connection stays up (bambuddy); a new connection helps."""
    poll: float = 1.0


class PrinterLink:
    """The connection to the printer ``serial`` at ``host``.

    ``make_context`` gives the TLS context of each connection; if it checks names, the name is the serial.
    ``check_certificate`` gets the printer's certificate (DER) before the access code is sent, and raises
    `CertificateRefused` to end it there. With an empty ``serial`` it is what ``read_serial`` finds in the
    certificate. ``clock`` is monotonic, in seconds.

    Nothing happens before `start`. Raises `InvalidName` for a serial that cannot be one.
    """

    def __init__(
        self,
        host: str,
        serial: str,
        access_code: str,
        *,
        make_context: Callable[[], ssl.SSLContext],
        check_certificate: Callable[[bytes], None],
        read_serial: Callable[[bytes], str | None] | None = None,
        port: int = PORT,
        times: LinkTimes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = host
        self._port = port
        self._serial = _checked_serial(serial) if serial else ""
        # A closure and not an attribute: no repr, vars() or debugger view of the link shows the code.
        self._log_in: Callable[[mqtt.Client], None] = lambda client: client.username_pw_set(USER, access_code)
        self._make_context = make_context
        self._check_certificate = check_certificate
        self._read_serial = read_serial
        self._times = times or LinkTimes()
        self._clock = clock
        nothing_yet = PrinterUnreachable(f"No connection to {host} has been made yet.")
        self._ledger = Ledger(self._serial or host, clock, nothing_yet)
        self._client: mqtt.Client | None = None
        self._failures = 0
        self._last_pushall: float | None = None
        self._pushall_owed = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<PrinterLink {self._serial or '?'} at {self.host} {'up' if self.health.is_connected else 'down'}>"

    # -- living ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect in the background, and again whenever the connection ends. Call it after any fork."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"bambufs-link-{self.host}", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """Disconnect cleanly, so that the printer frees the slot, and end the thread. Waits ``timeout`` seconds."""
        self._stopping.set()
        client = self._client
        if client is not None:
            client.disconnect()
        if self._thread is not None:
            self._thread.join(timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- looking, without waiting ----------------------------------------------------------------

    @property
    def serial(self) -> str:
        """The printer's serial number, empty while it is not known."""
        return self._serial

    @property
    def state(self) -> PrinterState:
        """The printer as its reports so far describe it."""
        return self._ledger.state

    @property
    def health(self) -> LinkHealth:
        """How the connection is. Silence is a problem too: it is how a wrong serial shows."""
        health, now = self._ledger.health, self._clock()
        if health.is_connected and not health.reports and now - health.since > self._times.silence:
            return dataclasses.replace(health, problem=PrinterTimeout(linkproblems.silence(self.host, self._serial)))
        return health

    @property
    def is_ready(self) -> bool:
        """Whether there is a connection and the printer has told its state on it."""
        health = self._ledger.health
        return health.is_connected and health.has_told_state

    @property
    def has_failed(self) -> bool:
        """Whether a connection was tried and ended, and nothing was heard since."""
        return self._failures > 0

    @property
    def outcome(self) -> PrintOutcome | None:
        """What has become of the last print request, None before the first."""
        return self._ledger.outcome

    def as_status(self) -> dict[str, object]:
        """The connection's health, ready for JSON (see `LinkHealth.as_status`)."""
        return self.health.as_status(self._clock(), self.state.last_report)

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` after every change of state, health or outcome, from the thread that made it.

        It must not wait. Returns what to call to end it.
        """
        return self._ledger.on_change(listener)

    # -- asking ----------------------------------------------------------------------------------

    def wait_for(self, condition: Callable[[PrinterLink], bool], timeout: float) -> bool:
        """Wait until ``condition(link)`` holds, at most ``timeout`` seconds; returns whether it does."""
        return self._ledger.wait_for(lambda: condition(self), timeout)

    def wait_ready(self, timeout: float) -> None:
        """Wait until the printer has told its state.

        Raises what stands in the way (`LoginRefused`, `PrinterUnreachable`, ...): at once when waiting cannot
        help, after ``timeout`` seconds otherwise.
        """
        self.wait_for(lambda link: link.is_ready or link.health.is_hopeless, timeout)
        if not self.is_ready:
            raise again(self.health.problem or PrinterTimeout(self._untold()))

    def request(self, payload: Mapping[str, object], timeout: float = 10.0) -> Ack:
        """Publish ``payload`` once and wait for the printer's answer; its `sequence_id` is set here.

        Raises what stands in the way when there is no connection (then nothing was sent), `PrintRefused` when
        the printer takes no commands from here, `PrinterTimeout` without an answer in ``timeout`` seconds,
        and `ConnectionDropped` when the connection ended first.
        """
        return self._ledger.ask(payload, self._publish, timeout)

    def command(self, command: str, timeout: float = 10.0) -> Ack:
        """Send pause, resume or stop. Raises `InvalidJob` for another word, `PrinterError` if it is refused."""
        payload, before = command_payload(command), self.outcome
        ack = self.request(payload, timeout)
        if not ack.is_success:
            raise PrinterError(f"The printer refused to {command.strip().lower()}. {refusal(ack.reason, ack.error)}")
        if payload == command_payload("stop") and before is not None and not before.is_settled:
            self._ledger.step(PrintOutcome.stopped)
        return ack

    def start_print(self, job: PrintJob, timeout: float = 10.0) -> PrintOutcome:
        """Ask for a print, once, and wait for the answer; `outcome` then follows what becomes of it.

        Raises `PrinterBusy` unless the printer is idle and no other request is open, `PrinterError` when the
        printer says no, and else as `request` does. What was sent can be read in `outcome` also after an error.
        """
        ack = self._ledger.ask_for_print(job, self._publish, timeout)
        if ack is not None and not ack.is_success:
            reason = refusal(ack.reason, ack.error)
            self._ledger.step(lambda outcome: outcome.refused(reason))
        elif ack is not None:
            self._ledger.step(PrintOutcome.accepted)
        outcome = self.outcome
        assert outcome is not None
        if outcome.phase is Phase.REFUSED:
            error = PrinterBusy if ack is not None and ack.error == codes.BUSY else PrinterError
            raise error(outcome.sentence, job.path)
        return outcome

    def _publish(self, message: bytes) -> None:
        """Queue ``message`` for the link's thread. Raises what stands in the way; then it will not be sent."""
        client, health = self._client, self._ledger.health
        if client is None or not health.is_connected:
            raise again(health.problem or PrinterUnreachable(f"There is no connection to {self.host}."))
        done = client.publish(f"device/{self._serial}/request", message, qos=0)
        if done.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise PrinterUnreachable(f"The connection to {self.host} has just ended; nothing was sent. Try again.")

    # -- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                problem = self._live_once()
            except Exception:
                logger.exception("%s: unexpected error", self._ledger.name)
                problem = PrinterError("The connection failed for an unexpected reason; the log has the details.")
            self._client = None
            self._ledger.down(problem, quietly=self._stopping.is_set())
            self._stopping.wait(self._pause())

    def _pause(self) -> float:
        """How long to wait before the next connection: doubling, and never the same for two mounts."""
        self._failures += 1
        times = self._times
        longest = min(times.longest_retry, times.first_retry * 2.0 ** min(self._failures - 1, 16))
        if self._ledger.health.is_hopeless:
            longest = times.longest_retry
        return longest * random.SystemRandom().uniform(0.5, 1.0)

    def _live_once(self) -> PrinterError:
        """Make one connection and serve it until it ends; returns why it did."""
        client = self._new_client()
        try:
            client.connect(self.host, self._port, keepalive=self._times.keepalive)
            self._client = client
            while not self._stopping.is_set() and client.loop(self._times.poll) == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._keep_house()
            if self._stopping.is_set():
                return PrinterUnreachable("The connection was closed from here.")
            return linkproblems.hung_up(self.host, self._serial, has_reported=self._ledger.health.reports > 0)
        except PrinterError as error:
            return error
        except (OSError, ValueError) as error:
            return linkproblems.failed(error, self.host, self._port)
        finally:
            _say_goodbye(client)

    def _new_client(self) -> mqtt.Client:
        name = f"bambufs-{uuid.uuid4().hex[:12]}"
        client = mqtt.Client(CallbackAPIVersion.VERSION2, name, clean_session=True, protocol=mqtt.MQTTv311)
        self._log_in(client)
        client.tls_set_context(NamedContext(self._make_context(), self._serial or self.host))  # type: ignore[arg-type]
        client.connect_timeout = self._times.connect
        client.on_socket_open = self._opened
        client.on_connect = self._greeted
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        # With this set, a publish from another thread is queued and wakes the link's thread, which alone writes.
        client.on_socket_register_write = lambda *_: None
        return client

    def _keep_house(self) -> None:
        """What is due after every message and every ``poll`` seconds."""
        health, now, heard = self._ledger.health, self._clock(), self.state.last_report
        if not health.is_connected:
            return
        if self._pushall_owed and self._may_pushall(now):
            self._last_pushall, self._pushall_owed = now, False
            self._publish(encoded(PUSHALL))
        silent = now - heard if health.reports and heard is not None else 0.0
        if silent > self._times.revive_after and not self._ledger.has_open_requests:
            raise PrinterTimeout(f"The printer has been silent for {silent:.0f} s; connecting anew.")

    def _may_pushall(self, now: float) -> bool:
        return self._last_pushall is None or now - self._last_pushall >= self._times.pushall_every

    # -- what paho calls, from the link's thread ---------------------------------------------------

    def _opened(self, _client: mqtt.Client, _userdata: object, sock: Any) -> None:
        """The TLS connection is up, and nothing has been sent on it yet."""
        try:
            certificate = sock.getpeercert(True)
            self._check_certificate(certificate)
            if not self._serial:
                self._serial = self._ledger.name = self._learned_serial(certificate)
        except BaseException:
            sock.close()
            raise

    def _learned_serial(self, certificate: bytes) -> str:
        serial = self._read_serial(certificate) if self._read_serial else None
        if not serial:
            raise linkproblems.unknown_serial()
        logger.info("%s: the serial number %s was taken from the printer's certificate", self.host, serial)
        return _checked_serial(serial)

    def _greeted(self, client: mqtt.Client, _data: object, _flags: object, code: Any, _properties: object) -> None:
        if code.is_failure:
            raise linkproblems.login_refused(code.value, str(code))
        client.subscribe(f"device/{self._serial}/report", qos=0)

    def _subscribed(self, _client: mqtt.Client, _data: object, _mid: int, granted: list[Any], _props: object) -> None:
        if any(code.is_failure for code in granted):
            raise linkproblems.report_refused(self._serial)
        self._pushall_owed = True
        self._ledger.up()
        self._publish(encoded(GET_VERSION))

    def _received(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self._failures = 0
        self._ledger.received(decode(bytes(message.payload)))

    def _untold(self) -> str:
        """Why the state is not known although the connection is up."""
        if not self._ledger.health.reports or self._last_pushall is None:
            return linkproblems.silence(self.host, self._serial)
        return linkproblems.half_told(max(0.0, self._times.pushall_every - (self._clock() - self._last_pushall)))


def _checked_serial(serial: str) -> str:
    # It becomes part of a topic, where + and # would subscribe to everything.
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", serial):
        raise InvalidName("A printer's serial number has letters and digits only; see its screen (Settings, Device).")
    return serial


def _say_goodbye(client: mqtt.Client) -> None:
    """Send DISCONNECT, so that the printer frees the slot at once; slots of lost clients stay taken for hours."""
    client.on_message = client.on_subscribe = client.on_connect = None
    sock = client.socket()
    if sock is None or sock.fileno() < 0:
        return
    with contextlib.suppress(OSError, ValueError):
        client.disconnect()
        for _ in range(5):
            if client.socket() is None or client.loop(0.2) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
    sock.close()
