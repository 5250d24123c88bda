"""What became of a print request: `PrintOutcome`, judged by the printer's reports and not by its answer.

An answer of "success" only means that the request was read; a print has started when the printer has left
IDLE, FINISH or FAILED with our job (bambuddy#1678: up to 135 s on a P1P, 210 s on an H2D Pro). Pure: every
step gives a new value. Times are readings of the caller's monotonic clock in seconds.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from bambufs.printer import codes
from bambufs.printer.state import PrinterState

NOT_STARTED_AFTER = 240.0


class Phase(enum.Enum):
    """How far a print has come."""

    SENT = "sent"
    ACCEPTED = "accepted"
    STARTED = "started"
    FINISHED = "finished"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_STARTED = "not started"


_WAITING = frozenset({Phase.SENT, Phase.ACCEPTED, Phase.UNKNOWN, Phase.NOT_STARTED})
_STOPPED = "It was stopped before it had started."
_OVER = frozenset({Phase.FINISHED, Phase.REFUSED, Phase.FAILED})


@dataclass(frozen=True)
class PrintOutcome:
    """One request and what is known of it; ``sentence`` is for the user.

    ``begun`` is when it was sent. ``old_error`` is the print error that the printer already showed then,
    which is not taken for this job's; nor is that of a stop, ``after_stop`` of the request before it. ``error`` is this
    job's own.
    """

    path: str
    name: str
    task_id: str
    begun: float
    old_error: int = 0
    old_state: str = ""
    after_stop: bool = False
    error: int = 0
    phase: Phase = Phase.SENT
    detail: str = ""

    @classmethod
    def begin(
        cls,
        *,
        path: str,
        name: str,
        task_id: int,
        state: PrinterState,
        now: float,
        before: PrintOutcome | None = None,
    ) -> PrintOutcome:
        """The outcome of a request that is about to be sent to a printer in ``state``; ``before`` is the last one's."""
        after_stop = before is not None and before.was_stopped
        error, gcode_state = state.print_error, state.gcode_state
        return cls(path, name, str(task_id), now, error, gcode_state, after_stop)

    # -- questions -------------------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Whether it is known if the print has started."""
        return self.phase not in (Phase.SENT, Phase.ACCEPTED, Phase.UNKNOWN)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can become of it."""
        return self.phase in _OVER

    @property
    def was_stopped(self) -> bool:
        """Whether it was stopped from here before it had started."""
        return self.phase is Phase.FAILED and self.detail == _STOPPED

    def is_pending(self, now: float) -> bool:
        """Whether the printer may still be about to start it, so that nothing else should be sent."""
        return not self.is_settled and now - self.begun <= NOT_STARTED_AFTER

    @property
    def sentence(self) -> str:
        """What became of it so far, in words."""
        return f"{_SENTENCES[self.phase].format(name=self.name)} {self.detail}".strip()

    # -- steps -----------------------------------------------------------------------------------

    def accepted(self) -> PrintOutcome:
        """The printer has answered yes."""
        return replace(self, phase=Phase.ACCEPTED) if self.phase in (Phase.SENT, Phase.UNKNOWN) else self

    def refused(self, reason: str) -> PrintOutcome:
        """The printer has answered no."""
        return replace(self, phase=Phase.REFUSED, detail=reason) if self.phase in _WAITING else self

    def stopped(self) -> PrintOutcome:
        """The printer was told to stop before it had started, and has agreed; it may have reported that already."""
        is_cancelled = self.phase is Phase.FAILED and self.error in codes.CANCELLED
        return replace(self, phase=Phase.FAILED, detail=_STOPPED) if self.phase in _WAITING or is_cancelled else self

    def unanswered(self) -> PrintOutcome:
        """The connection ended, or the wait for an answer did, and nobody knows whether it arrived."""
        return replace(self, phase=Phase.UNKNOWN) if self.phase is Phase.SENT else self

    def at(self, now: float) -> PrintOutcome:
        """The outcome at that time: what has not started after four minutes is said not to have."""
        late = self.phase in (Phase.SENT, Phase.ACCEPTED) and now - self.begun > NOT_STARTED_AFTER
        return replace(self, phase=Phase.NOT_STARTED) if late else self

    def observed(self, state: PrinterState) -> PrintOutcome:
        """The outcome after one more report."""
        if self.phase in _WAITING:
            return self._awaited(state)
        return self._followed(state) if self.phase is Phase.STARTED else self

    def _awaited(self, state: PrinterState) -> PrintOutcome:
        if self.after_stop and state.print_error in codes.CANCELLED:
            return replace(self, old_error=state.print_error, old_state=state.gcode_state)
        if state.print_error not in (0, self.old_error):
            return self._failed(state)
        seen = replace(self, old_error=state.print_error)
        if self._is_ours(state) and state.is_active:
            return replace(seen, phase=Phase.STARTED, detail="")
        if self._is_ours(state) and state.gcode_state == "FAILED" and self.old_state != "FAILED":
            return seen._failed(state)
        return seen

    def _followed(self, state: PrinterState) -> PrintOutcome:
        if state.is_active and self._is_ours(state):
            fault = state.print_fault if state.print_error != self.old_error else None
            return replace(self, detail=f"It reports {fault.code}: {fault.meaning}" if fault else "")
        if state.gcode_state == "FAILED":
            return self._failed(state)
        return replace(self, phase=Phase.FINISHED, detail="") if state.is_ready_to_print else self

    def _failed(self, state: PrinterState) -> PrintOutcome:
        fault = state.print_fault
        detail = f"{fault.code}: {fault.meaning}" if fault else "The printer gives no reason; look at its screen."
        return replace(self, phase=Phase.FAILED, detail=detail, error=state.print_error)

    def _is_ours(self, state: PrinterState) -> bool:
        """Whether the job in the printer is this one: by task id, by name, or by file name."""
        file_name = state.gcode_file.rpartition("/")[2]
        by_name = bool(self.name) and state.subtask_name.casefold() == self.name.casefold()
        by_file = bool(file_name) and file_name == self.path.rpartition("/")[2]
        return self.task_id in state.task_ids or by_name or by_file


_SENTENCES = {
    Phase.SENT: "The request to print {name} was sent; the printer has not answered yet.",
    Phase.ACCEPTED: "The printer accepted {name} and has not started it yet; that can take some minutes.",
    Phase.STARTED: "The printer started {name}.",
    Phase.FINISHED: "The print of {name} is finished.",
    Phase.REFUSED: "The printer refused to print {name}.",
    Phase.FAILED: "The print of {name} failed.",
    Phase.UNKNOWN: (
        "Unknown: the printer did not answer the request to print {name}. Look at the printer before you ask again; "
        "the request was sent once and is not repeated."
    ),
    Phase.NOT_STARTED: (
        "The printer has not started {name} within 4 minutes. Look at its screen; if it does not wait for anything "
        "there, the file's name or place may confuse it: copy it into /cache under a plain name."
    ),
}


def refusal(reason: str, error: int) -> str:
    """The printer's own reason for a refusal, in words."""
    if error in codes.NOT_AUTHORISED or "verify failed" in reason.lower():
        return codes.DEVELOPER_MODE
    if error in codes.PRINT_ERRORS:
        return codes.PRINT_ERRORS[error]
    told = f"Its reason: {reason}." if reason else "It gave no reason."
    return f"{told} ({codes.print_error_code(error)})" if error else told
