"""Breaker and Prober: a printer that cannot be entered is told of at once, and looked for in the background.

So a printer that is switched off costs its first caller one connect time-out, and nobody else anything; when it is
back, that is found out within seconds, without anybody having to wait for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ..errors import (
    CertificateRefused,
    LoginRefused,
    PrinterBusy,
    PrinterError,
    PrinterSilent,
    PrinterTimeout,
    PrinterUnreachable,
    again,
)

logger = logging.getLogger(__name__)

Clock = Callable[[], float]


class Breaker:
    """Remembers why the printer could not be entered, and says so at once meanwhile.

    For some seconds, and for as long as somebody keeps looking (`is_probed`) when it is away. A wrong access code is
    not tried over and over: printers lock out after some failures. `watcher` is told of every failure, and of
    success as None.
    """

    # How many seconds a failure is remembered, and how many somebody must not have asked until looking for the
    # printer stops. Whoever looks for one whose only connection is taken waits in line for it, hence not for long.
    _RULES: tuple[tuple[type[PrinterError], float, float], ...] = (
        (PrinterUnreachable, 3.0, 600.0),
        (LoginRefused, 30.0, 0.0),
        (CertificateRefused, 5.0, 0.0),
        (PrinterSilent, 2.0, 60.0),
        (PrinterBusy, 2.0, 0.0),
        (PrinterTimeout, 3.0, 0.0),
    )

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._error: PrinterError | None = None
        self._until = self._looking = 0.0
        self.is_probed = False
        self.watcher: Callable[[PrinterError | None], None] = lambda error: None

    @property
    def is_open(self) -> bool:
        """Whether calls are being refused just now."""
        with self._lock:
            return self._refusal_locked() is not None

    @property
    def is_away(self) -> bool:
        """Whether they are because the printer does not answer, which only looking again can change."""
        with self._lock:
            return self._refusal_locked() is not None and self._looking > 0

    @property
    def looking(self) -> float:
        """For how many seconds after the last caller the printer is to be looked for; 0 when it is not."""
        return self._looking if self._error is not None else 0.0

    @property
    def reason(self) -> str | None:
        """The sentence of the last failure, or None since the last success."""
        error = self._error
        return str(error) if error else None

    def check(self) -> None:
        """Raise the remembered error while it is fresh."""
        with self._lock:
            error = self._refusal_locked()
        if error is not None:
            raise again(error)

    def _refusal_locked(self) -> PrinterError | None:
        is_fresh = self._clock() < self._until or (self.is_probed and self._looking > 0)
        return self._error if is_fresh else None

    def failed(self, error: PrinterError) -> None:
        """Remember ``error`` if it is of a kind that trying again at once would not cure."""
        for kind, seconds, looking in self._RULES:
            if isinstance(error, kind):
                with self._lock:
                    self._error, self._until, self._looking = error, self._clock() + seconds, looking
                self.watcher(error)
                return

    def succeeded(self) -> None:
        """The printer let us in, or answers."""
        with self._lock:
            self._error = None
        self.watcher(None)


class Prober:
    """Calls ``knock`` every ``every`` seconds (0: never) in a thread of its own, until it returns True, or nobody has
    asked for as long as the breaker says.

    Printers are not to be pestered: between two knocks there is at least a second, however long they take.
    """

    def __init__(
        self,
        knock: Callable[[], bool],
        breaker: Breaker,
        *,
        every: float = 3.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._knock, self._breaker = knock, breaker
        self._every, self._clock = every, clock
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked = clock()
        self._closed = False

    @property
    def is_running(self) -> bool:
        """Whether it is looking just now."""
        return self._thread is not None

    def asked(self) -> None:
        """Somebody would like to come in."""
        self._asked = self._clock()

    def start(self) -> None:
        """Begin to look, unless it is looking. To be called after any fork."""
        with self._condition:
            if self._thread is None and self._every > 0 and not self._closed:
                self._breaker.is_probed = True
                self._thread = threading.Thread(target=self._run, name="bambufs-probe", daemon=True)
                self._thread.start()

    def close(self, patience: float = 1.0) -> None:
        """End it; waits ``patience`` seconds for a knock that is under way."""
        with self._condition:
            self._closed = True
            thread = self._thread
            self._condition.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(patience)

    def _run(self) -> None:
        pause = self._every
        while self._waited(pause):
            began = self._clock()
            if self._is_let_in():
                break
            pause = max(self._every - (self._clock() - began), min(1.0, self._every))
        with self._condition:
            self._breaker.is_probed = False
            self._thread = None

    def _is_let_in(self) -> bool:
        """Knock. Whatever goes wrong, the looking goes on: everybody is refused for as long as it is not over."""
        try:
            return self._knock()
        except Exception:
            logger.exception("looking for the printer failed")
            return False

    def _waited(self, seconds: float) -> bool:
        """Wait; returns whether to go on."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed, seconds)
            return not self._closed and self._clock() - self._asked < self._breaker.looking
