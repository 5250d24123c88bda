"""History: the print requests of a mount and what became of them, as text for a person.

Every line begins with ``#``, which a print request ignores: so an editor may write back what it read, with a
request added below.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..printer.job import PrintJob
from ..printer.outcome import PrintOutcome

_NOTHING_YET = """\
# Nothing has been asked for since the printer was mounted.
# Write the name of a sliced file here, as in: echo cache/benchy.gcode.3mf > .bambufs/print
# or copy one here: cp benchy.gcode.3mf .bambufs/print
"""


class Entry:
    """One request. ``asked`` is what was written, ``at`` when, in seconds since the epoch."""

    def __init__(self, asked: str, at: float, touch: Callable[[], None]) -> None:
        self.asked, self.at = asked, at
        self._touch = touch
        self._step = "It is being looked at."
        self._problem: str | None = None
        self._warnings: list[str] = []
        self._task_id: str | None = None
        self._is_done = False

    def step(self, sentence: str) -> None:
        """What is being done now."""
        self._step = sentence
        self._touch()

    def warn(self, sentence: str) -> None:
        """Something that the user should know, and that does not stop the print."""
        if sentence not in self._warnings:
            self._warnings.append(sentence)

    def sent(self, job: PrintJob) -> None:
        """The printer is being asked for ``job``."""
        self._task_id = str(job.task_id)
        self.step(f"The printer is being asked to print {job.path}, plate {job.plate}.")

    def failed(self, sentence: str) -> None:
        """It came to nothing."""
        self._problem = sentence

    def done(self) -> None:
        """Whoever asked has been answered."""
        self._is_done = True
        self._touch()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know."""
        return tuple(self._warnings)

    def is_about(self, outcome: PrintOutcome | None) -> bool:
        """Whether ``outcome`` is what became of this request."""
        return outcome is not None and outcome.task_id == self._task_id

    def lines(self, outcome: PrintOutcome | None) -> list[str]:
        """What was asked and what became of it."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.at))
        notes = [f"Warning: {warning}" for warning in self._warnings]
        return [f"{stamp}  {self.asked}", self._verdict(outcome), *notes]

    def _verdict(self, outcome: PrintOutcome | None) -> str:
        if outcome is not None and self.is_about(outcome):
            return outcome.sentence
        return f"Not printed: {self._problem}" if self._problem else self._step


class History:
    """The last request, and the last one that was sent. ``outcome`` tells what became of that."""

    def __init__(self, outcome: Callable[[], PrintOutcome | None], clock: Callable[[], float] = time.time) -> None:
        self._outcome, self._clock = outcome, clock
        self._lock = threading.Lock()
        self._last: Entry | None = None
        self._before: Entry | None = None
        self.changed = clock()
        """When there was news last, in seconds since the epoch."""

    def begin(self, asked: str) -> Entry:
        """Note a new request."""
        entry = Entry(asked, self._clock(), self.touch)
        with self._lock:
            if self._last is not None and self._last.is_about(self._outcome()):
                self._before = self._last
            self._last = entry
        self.touch()
        return entry

    def touch(self) -> None:
        """There is news."""
        self.changed = self._clock()

    @property
    def last(self) -> Entry | None:
        """The last request."""
        return self._last

    def report(self) -> str:
        """What the file `print` shows."""
        outcome = self._outcome()
        with self._lock:
            last, before = self._last, self._before
        if last is None:
            return _NOTHING_YET
        lines = last.lines(outcome)
        if before is not None and before.is_about(outcome):
            lines += ["", "Before that:", *before.lines(outcome)]
        return "".join(f"# {line}".rstrip() + "\n" for line in lines)
