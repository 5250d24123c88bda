"""What a link knows, and who waits for what: `Ledger`, shared by the link's thread and everyone who asks.

One lock guards it all. It is held to look and to decide, never while listeners are called nor across network
I/O. Nothing here knows MQTT: what is to be published is handed to a callable that must only queue.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bambufs import interrupts
from bambufs.errors import ConnectionDropped, PrinterBusy, PrinterError, PrinterTimeout, PrintRefused
from bambufs.printer import codes
from bambufs.printer.exchange import Ack, Exchange, blames_authorisation
from bambufs.printer.job import PrintJob
from bambufs.printer.outcome import PrintOutcome
from bambufs.printer.reports import Tree
from bambufs.printer.state import PrinterState

logger = logging.getLogger(__name__)

_LOOK_AGAIN = 0.2
_DROPPED = (
    "The connection to the printer ended before it answered, so it is unknown whether the request arrived: look at "
    "the printer. The request was sent once and is not repeated."
)
_SILENT = (
    "The printer did not answer within {seconds:g} s, so it is unknown whether the request arrived: look at the "
    "printer. The request was sent once and is not repeated. If the printer never reacts to requests, switch on its "
    "Developer Mode (Settings, Network)."
)


@dataclass(frozen=True)
class LinkHealth:
    """How the connection is: ``since`` is when it came up or went down, ``problem`` what stands in the way.

    ``reports`` counts those on this connection; ``has_told_state`` says whether one named the gcode_state.
    """

    is_connected: bool
    since: float
    problem: PrinterError | None = None
    reports: int = 0
    has_told_state: bool = False

    @property
    def is_hopeless(self) -> bool:
        """Whether only the user can mend it: trying again would end the same way."""
        return not self.is_connected and self.problem is not None and not self.problem.away

    def as_status(self, now: float, last_report: float | None) -> dict[str, object]:
        """Ready for JSON: connected, for_seconds, last_report_age_seconds, problem (a sentence or null)."""
        age = None if last_report is None else round(max(0.0, now - last_report), 1)
        return {
            "connected": self.is_connected,
            "for_seconds": round(max(0.0, now - self.since), 1),
            "last_report_age_seconds": age,
            "problem": self.problem.message if self.problem else None,
        }


class Ledger:
    """The state, health, outcome and open requests of one link; ``clock`` is monotonic, in seconds."""

    def __init__(self, name: str, clock: Callable[[], float], problem: PrinterError) -> None:
        self.name = name
        self._clock = clock
        self._changed = threading.Condition()
        self.state = PrinterState()
        self.health = LinkHealth(False, clock(), problem)
        self._outcome: PrintOutcome | None = None
        self._open: list[Exchange] = []
        self._sequence = itertools.count(random.SystemRandom().randrange(1_000_000, 1_000_000_000))
        self._listeners: list[Callable[[], None]] = []

    @property
    def outcome(self) -> PrintOutcome | None:
        """What has become of the last print request, as of now."""
        with self._changed:
            outcome, now = self._outcome, self._clock()
            # A printer that is not heard may well have started.
            return outcome.at(now) if outcome and not self.state.is_stale(now) else outcome

    @property
    def has_open_requests(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._open)

    # -- changes, by the link's thread -----------------------------------------------------------

    def up(self) -> None:
        """The connection is made, and nothing has been heard on it."""
        with self._changed:
            self.health = LinkHealth(True, self._clock())
        logger.info("%s: connected", self.name)
        self._tell()

    def down(self, problem: PrinterError, *, quietly: bool = False) -> None:
        """The connection has ended, or could not be made: who waits for an answer will not get one."""
        with self._changed:
            before = self.health
            self.health = LinkHealth(False, self._clock() if before.is_connected else before.since, problem)
            for exchange in self._open:
                exchange.is_dropped = True
        if not quietly and (before.is_connected or not before.problem or before.problem.message != problem.message):
            logger.warning("%s: %s", self.name, problem.message)
        self._tell()

    def received(self, report: Tree) -> None:
        """The printer has said something."""
        with self._changed:
            before = self.state
            self._offer(report, refuses=blames_authorisation(report) and not _showed_refusal(before))
            self.state = before.with_report(report, self._clock())
            if self.state is not before:
                self._note_report("gcode_state" in _section(report))
        self._tell()

    def _offer(self, report: Tree, *, refuses: bool) -> None:
        for exchange in self._open:
            exchange.offer(report)
            if refuses:
                exchange.refuse()

    def _note_report(self, tells_state: bool) -> None:
        health = self.health
        told = health.has_told_state or tells_state
        self.health = dataclasses.replace(health, reports=health.reports + 1, has_told_state=told)
        if self._outcome is not None:
            self._outcome = self._outcome.observed(self.state)

    # -- waiting -----------------------------------------------------------------------------------

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until ``condition()`` holds, at most ``timeout`` seconds; returns whether it does.

        Raises `Interrupted`.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                interrupts.check()
                # Looks again also without being told: some conditions come true by waiting.
                self._changed.wait(min(left, _LOOK_AGAIN))
            return True

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` after every change; returns what to call to end that."""
        with self._changed:
            self._listeners.append(listener)

        def remove() -> None:
            with self._changed, contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return remove

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
            listeners = tuple(self._listeners)
        for listener in listeners:
            try:
                listener()
            except Exception:
                logger.exception("%s: a listener failed", self.name)

    # -- asking ------------------------------------------------------------------------------------

    def ask(self, payload: Mapping[str, object], publish: Callable[[bytes], None], timeout: float) -> Ack:
        """Publish ``payload`` once and wait for the answer; raises as `PrinterLink.request` does."""
        with self._asked(payload, publish) as exchange:
            self.wait_for(lambda: not exchange.is_open, timeout)
            return self._answer(exchange, timeout)

    def ask_for_print(self, job: PrintJob, publish: Callable[[bytes], None], timeout: float) -> Ack | None:
        """Publish the job once and wait for the answer, or for the print to start or fail without one (None)."""
        with self._asked(job.payload(), publish, job) as exchange:
            try:
                self.wait_for(lambda: not exchange.is_open or self._is_settled(), timeout)
                return None if exchange.is_open and self._is_settled() else self._answer(exchange, timeout)
            except PrintRefused:
                self.step(lambda outcome: outcome.refused(codes.DEVELOPER_MODE))
                raise
            except BaseException:
                self.step(PrintOutcome.unanswered)
                raise

    @contextlib.contextmanager
    def _asked(
        self, payload: Mapping[str, object], publish: Callable[[bytes], None], job: PrintJob | None = None
    ) -> Iterator[Exchange]:
        """Publish ``payload`` once, and keep its exchange open for the block.

        Looking whether ``job`` may be sent and sending it are one step, so of two that come at once one is refused.
        """
        with self._changed:
            exchange = Exchange(payload, str(next(self._sequence)))
            if job is not None:
                self._refuse_if_busy()
            publish(exchange.message)
            if job is not None:
                self._outcome = self._begun(job)
            self._open.append(exchange)
        try:
            yield exchange
        finally:
            with self._changed:
                self._open.remove(exchange)

    def _answer(self, exchange: Exchange, timeout: float) -> Ack:
        """The answer that came; else the error that says why there is none."""
        if _showed_refusal(self.state):
            # It says so once and then keeps silent (bambuddy#2732).
            exchange.refuse()
        ack = exchange.ack
        if ack is not None and ack.is_unauthorised:
            raise PrintRefused(codes.DEVELOPER_MODE)
        if ack is not None:
            return ack
        raise ConnectionDropped(_DROPPED) if exchange.is_dropped else PrinterTimeout(_SILENT.format(seconds=timeout))

    def _begun(self, job: PrintJob) -> PrintOutcome:
        logger.info("%s: asking for %s, plate %d", self.name, job.path, job.plate)
        return PrintOutcome.begin(
            path=job.path,
            name=job.subtask_name,
            task_id=job.task_id,
            state=self.state,
            now=self._clock(),
            before=self._outcome,
        )

    def step(self, change: Callable[[PrintOutcome], PrintOutcome]) -> None:
        """Change the outcome of the last print request."""
        with self._changed:
            if self._outcome is not None:
                self._outcome = change(self._outcome)
                logger.info("%s: %s", self.name, self._outcome.sentence)
        self._tell()

    def _is_settled(self) -> bool:
        return self._outcome is not None and self._outcome.is_settled

    def _refuse_if_busy(self) -> None:
        now, state = self._clock(), self.state
        last = self._outcome
        if last is not None and last.is_pending(now):
            raise PrinterBusy(f"Another request is still open. {last.sentence}")
        if state.is_active:
            raise PrinterBusy(f"The printer is at work ({state.gcode_state}: {state.subtask_name or 'a job'}).")
        if self.health.is_connected and (not self.health.has_told_state or state.is_stale(now)):
            # What it said before the connection ended is not enough: sent to a busy A1 mini, a request
            # cancels the running print (bambuddy#2598).
            raise PrinterTimeout("The printer has not reported its state lately, so it may be at work. Try again soon.")
        if self.health.is_connected and not state.is_ready_to_print:
            raise PrinterBusy(f"The printer is not ready for a print ({state.gcode_state}).")


def _section(report: Tree) -> Tree:
    status = report.get("print")
    return status if isinstance(status, Mapping) else {}


def _showed_refusal(state: PrinterState) -> bool:
    return any(fault.code == codes.HMS_NOT_AUTHORISED for fault in state.hms)
