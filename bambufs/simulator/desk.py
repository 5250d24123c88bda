"""Answers what arrives on the request topic: status, version, and control of a print."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bambufs.simulator.job_check import JobRefused, checked_job, has_proper_switches
from bambufs.simulator.machine import Machine
from bambufs.simulator.print_run import Job, PrintRun
from bambufs.simulator.quirk_table import MODELS
from bambufs.simulator.status import Json, Status

BUSY = 0x05004004
NOT_SIGNED = 0x05024007
_NOT_SIGNED_HMS = {"attr": 0x05000500, "code": 0x00010007}
_READS = frozenset({"pushall", "get_version", "start", "stop_push"})
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Request:
    """One message on the request topic. ``payload`` is empty when it is no JSON object."""

    payload: Json
    raw: bytes
    qos: int
    client: str

    @property
    def section(self) -> str:
        """The outer key, such as ``print``."""
        return next(iter(self.payload), "")

    @property
    def body(self) -> Json:
        """What the outer key holds."""
        body = self.payload.get(self.section)
        return body if isinstance(body, dict) else {}

    @property
    def command(self) -> str:
        """The command's name, such as ``project_file``."""
        return str(self.body.get("command", ""))


def read_request(raw: bytes, *, qos: int, client: str) -> Request:
    """Make sense of a message, whatever it is."""
    try:
        payload = json.loads(raw)
    except (ValueError, RecursionError):
        payload = {}
    return Request(payload if isinstance(payload, dict) else {}, raw, qos, client)


class Desk:
    """Handles requests one after the other. ``publish`` sends a document on the report topic."""

    def __init__(
        self, machine: Machine, *, status: Status, run: PrintRun, publish: Callable[[Json], None]
    ) -> None:
        self._machine = machine
        self._quirks = machine.quirks
        self._status = status
        self._run = run
        self._publish = publish
        self._last_pushall = -_DAY
        self._handlers: dict[tuple[str, str], Callable[[Request], None]] = {
            ("pushing", "pushall"): self._pushall,
            ("pushing", "start"): self._pushall,
            ("info", "get_version"): self._get_version,
            ("print", "project_file"): self._project_file,
            ("print", "gcode_file"): self._gcode_file,
            ("print", "pause"): lambda request: self._control(request, self._run.pause()),
            ("print", "resume"): lambda request: self._control(request, self._run.resume()),
            ("print", "stop"): lambda request: self._control(request, self._run.stop()),
            ("print", "print_speed"): self._print_speed,
            ("print", "gcode_line"): lambda request: self._control(request, {}),
            ("print", "clean_print_error"): lambda request: self._control(request, {"print_error": 0, "hms": []}),
            ("system", "ledctrl"): self._ledctrl,
        }

    def handle(self, request: Request) -> None:
        """Answer a request, if this printer answers such."""
        handler = self._handlers.get((request.section, request.command))
        if handler is None:
            return
        self._machine.gates.pass_point(request.command.upper(), "command", self._machine.closing)
        if request.section in ("print", "system") and not self._quirks.flag("developer_mode"):
            self._refuse(request)
        else:
            handler(request)

    # -- reading

    def _pushall(self, request: Request) -> None:
        now = time.monotonic()
        if now - self._last_pushall >= self._quirks.number("pushall_every"):
            self._last_pushall = now
            self._publish(self._status.full_report())

    def _get_version(self, request: Request) -> None:
        model = MODELS[self._quirks.model]
        own = {"sn": self._machine.serial, "hw_ver": "OTA"}
        modules = [{"name": "ota", "sw_ver": model.firmware, "product_name": model.title, **own}]
        if model.family == "esp32":
            modules.append({"name": "esp32", "sw_ver": "01.11.33.00", "product_name": "", **own})
        answer = {"command": "get_version", "sequence_id": request.body.get("sequence_id", "0"), "module": modules}
        self._publish({"info": answer})

    # -- control

    def _project_file(self, request: Request) -> None:
        if not has_proper_switches(request.body):
            self._acknowledge(request, result="fail", reason="invalid type")
        elif self._run.is_busy:
            self._refuse_busy(request)
        else:
            self._begin(request)

    def _begin(self, request: Request) -> None:
        name = str(request.body.get("subtask_name", ""))
        self._acknowledge(request)
        error = int(self._quirks.take("error_after_ack"))
        if error:
            self._status.set(**self._run.fail(name, error))
        elif not self._quirks.take("never_starts"):
            try:
                job = checked_job(request.body, card=self._machine.card, quirks=self._quirks)
            except JobRefused as refusal:
                self._status.set(**self._run.fail(name, refusal.code))
            else:
                self._run.start(job, delay=float(self._quirks.take("start_delay")))

    def _refuse_busy(self, request: Request) -> None:
        if self._quirks.text("busy") == "cancel":
            self._status.set(**self._run.stop(BUSY))
        self._status.set(print_error=BUSY)
        self._acknowledge(request, result="fail", reason="device busy")

    def _gcode_file(self, request: Request) -> None:
        habit = self._quirks.text("gcode_file")
        if habit == "fails":
            self._acknowledge(request, result="fail", reason="unsupported")
            return
        self._acknowledge(request)
        if habit == "starts" and not self._run.is_busy:
            name = str(request.body.get("param", "")).rpartition("/")[2]
            self._run.start(Job(name=name, file=name))

    def _control(self, request: Request, changes: Json) -> None:
        self._status.set(**changes)
        self._acknowledge(request)

    def _print_speed(self, request: Request) -> None:
        level = str(request.body.get("param", ""))
        if level in ("1", "2", "3", "4"):
            self._control(request, {"spd_lvl": int(level)})
        else:
            self._acknowledge(request, result="fail", reason="invalid param")

    def _ledctrl(self, request: Request) -> None:
        light = {"node": request.body.get("led_node", ""), "mode": request.body.get("led_mode", "")}
        self._control(request, {"lights_report": [light]})

    def _refuse(self, request: Request) -> None:
        """As without Developer Mode (maziggy/bambuddy#2732)."""
        habit = self._quirks.text("refusal")
        if habit == "answer":
            reason = "mqtt message verify failed"
            self._acknowledge(request, result="failed", reason=reason, err_code=NOT_SIGNED)
        elif habit == "hms":
            self._status.set(hms=[_NOT_SIGNED_HMS])

    def _acknowledge(self, request: Request, *, result: str = "", reason: str = "", **more: Any) -> None:
        habit = self._quirks.text("ack")
        self._machine.gates.pass_point(request.command.upper(), "reply", self._machine.closing)
        if habit == "none":
            return
        success = result or habit
        loud = success.upper() if habit == "SUCCESS" else success
        answer = dict(request.body) | {"result": loud, "reason": reason} | more
        if not self._quirks.flag("ack_command"):
            answer.pop("command", None)
        self._publish({request.section: answer})
