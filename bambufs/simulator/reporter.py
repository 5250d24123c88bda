"""The mind of a simulated printer: handles requests, lets prints go on, and reports.

One thread does all of it, so that requests are answered in the order of their arrival and a test
can hold the printer before an answer without holding its connections.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from bambufs.simulator.card import timelapse_avi
from bambufs.simulator.desk import Desk, Request
from bambufs.simulator.machine import Machine
from bambufs.simulator.print_run import PrintRun
from bambufs.simulator.quirk_table import MODELS
from bambufs.simulator.status import Json, Status

_STEP = 0.05
_JOIN = 10.0
_REPORTED_FILE = "/data/Metadata/plate_{plate}.gcode"


class Reporter:
    """Runs from `start` to `close`. ``interval`` is the seconds between reports, ``speed`` how much
    faster than true a print goes; ``publish`` sends a document to all clients."""

    def __init__(
        self, machine: Machine, *, interval: float, speed: float, publish: Callable[[Json], None]
    ) -> None:
        self._machine = machine
        self._publish = publish
        self.interval = interval
        self.speed = speed
        model = MODELS[machine.quirks.model]
        self.status = Status(model, host=machine.host, quirks=machine.quirks)
        reported = _REPORTED_FILE if model.family == "vsftpd" else ""
        self._run = PrintRun(idle_stage=self.status["stg_cur"], reported_file=reported)
        self._desk = Desk(machine, status=self.status, run=self._run, publish=publish)
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="reporter", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(_JOIN)

    def take(self, request: Request) -> None:
        """Queue a request; it is in `requests` at once."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
        self._waiting.put(request)

    @property
    def requests(self) -> list[Request]:
        """All requests up to now."""
        with self._changed:
            return list(self._requests)

    def wait_for_request(self, command: str, *, count: int, timeout: float) -> list[Request]:
        """Wait until ``command`` was requested ``count`` times; `TimeoutError` if that takes too long."""

        def found() -> list[Request]:
            return [request for request in self._requests if request.command == command]

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= count, timeout):
                raise TimeoutError(f"{command} was not requested {count} times within {timeout} s")
            return found()

    def set_state(self, **values: Any) -> None:
        """Change what the printer reports, and report it at once."""
        with self._lock:
            if "gcode_state" in values:
                self._run.force(values["gcode_state"])
            self.status.set(**values)
        self._report()

    # -- in the thread

    def _work(self) -> None:
        last = time.monotonic()
        next_report = last + self.interval
        while not self._machine.closing.is_set():
            request = self._next_request(self._patience(next_report - last))
            now = time.monotonic()
            turned = self._advance(now - last)
            last = now
            if request is not None:
                self._desk.handle(request)  # without the lock: a gate may hold it for long
            if turned or now >= next_report:
                self._report()
                next_report = now + self.interval

    def _patience(self, until_report: float) -> float:
        """How long to wait for a request: shorter steps while a print goes on."""
        return max(0.0, min(until_report, _STEP) if self._run.is_busy else until_report)

    def _next_request(self, timeout: float) -> Request | None:
        try:
            return self._waiting.get(timeout=timeout)
        except queue.Empty:
            return None

    def _advance(self, seconds: float) -> bool:
        """Let the print go on; whether its state changed."""
        limit = int(self._machine.quirks.number("prepare_stops_at"))
        with self._lock:
            before, job = self._run.state, self._run.job
            changes = self._run.advance(seconds * self.speed, real_seconds=seconds, prepare_limit=limit)
            if changes:
                self.status.set(**changes)
            after = self._run.state
        if after == "FINISH" and before != after and job is not None and job.timelapse:
            self._leave_film()
        return before != after

    def _report(self) -> None:
        full = self._machine.quirks.flag("full_reports")
        self._publish(self.status.full_report() if full else self.status.delta_report())

    def _leave_film(self) -> None:
        name = time.strftime("video_%Y-%m-%d_%H-%M-%S.avi", time.gmtime(self._machine.now()))
        folder = self._machine.card.folder / "timelapse"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(timelapse_avi())
