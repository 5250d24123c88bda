"""SessionPool: lends logged-in sessions, takes them back, retires them; with a breaker before the door.

Generic: it knows nothing of FTP. Every decision is made under one lock, all I/O (opening, probing,
closing) happens outside it. Whoever waits is served in order; one session is kept out of reach of
bulk transfers where there is more than one, so that a listing never waits for an upload.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .. import interrupts
from ..errors import ConnectionDropped, PrinterBusy, PrinterError, PrinterSilent, PrinterTimeout, PrinterUnreachable
from .breaker import Breaker, Clock, Prober

logger = logging.getLogger(__name__)


class Session(Protocol):
    """What the pool asks of a session."""

    @property
    def sessions_allowed(self) -> int:
        """How many sessions this printer puts up with."""

    def has_hung_up(self) -> bool:
        """Whether the other side has ended it, told without a round trip."""

    def answers(self) -> bool:
        """Whether the other side still answers (one round trip). Raises `PrinterUnreachable` when it is gone."""

    def close(self) -> None:
        """Drop the connection; never raises."""

    def quit(self) -> None:
        """Say goodbye and close; never raises."""


SessionT = TypeVar("SessionT", bound=Session)


@dataclass(eq=False)
class _Turn:
    """One caller waiting for a session."""

    bulk: bool


class SessionPool(Generic[SessionT]):
    """A few sessions, lent one at a time.

    ``limit`` bounds the number of sessions, as does what the printer allows. A session idle for
    ``idle_timeout`` seconds is closed (printers drop it at 300 s), and sooner, after ``spare_timeout``, while there is
    another idle one: its place may be wanted by others. One idle for ``probe_after`` seconds is asked whether it still
    answers before it is lent. A printer that is away is looked for every
    ``probe_every`` seconds in the background (0: by whoever asks next); meanwhile nobody waits for it.
    """

    def __init__(
        self,
        open_session: Callable[[], SessionT],
        *,
        limit: int = 3,
        idle_timeout: float = 240.0,
        spare_timeout: float = 60.0,
        probe_after: float = 20.0,
        probe_every: float = 3.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._open_session = open_session
        self._asked_limit = limit
        self._allowed = 1  # until the first session tells what the printer allows
        self._learnt_limit, self._learnt_until = 0, 0.0
        self._idle_timeout, self._spare_timeout, self._probe_after = idle_timeout, spare_timeout, probe_after
        self._clock = clock
        self._condition = threading.Condition()
        self._idle: list[tuple[SessionT, float]] = []
        self._queue: deque[_Turn] = deque()
        self._lent = self._lent_bulk = 0
        self._closed = self._is_warming = False
        self.opened = 0
        self.breaker = Breaker(clock)
        self._prober = Prober(self.probe, self.breaker, every=probe_every, clock=clock)

    def __repr__(self) -> str:
        return f"<SessionPool lent={self._lent} idle={len(self._idle)} waiting={len(self._queue)} limit={self._limit}>"

    @property
    def is_wanted(self) -> bool:
        """Whether somebody is waiting, so that a long transfer that can pause should."""
        return bool(self._queue)

    @property
    def spare(self) -> int:
        """How many sessions could be lent at once, with nobody waiting: for work that nobody has asked for yet."""
        with self._condition:
            return 0 if self.breaker.is_open else max(0, self._limit - self._lent - len(self._queue))

    @property
    def has_idle(self) -> bool:
        """Whether a transfer could begin at once on a session that is open already, with nobody waiting for it."""
        with self._condition:
            return bool(self._idle) and not self._queue and self._has_place_locked(_Turn(bulk=True))

    @property
    def _limit(self) -> int:
        """How many sessions there may be just now."""
        limit = max(1, min(self._asked_limit, self._allowed))
        return min(limit, self._learnt_limit) if self._clock() < self._learnt_until else limit

    @property
    def state(self) -> dict[str, int]:
        """Counts for the statistics."""
        with self._condition:
            return {
                "lent": self._lent,
                "idle": len(self._idle),
                "waiting": len(self._queue),
                "limit": self._limit,
                "opened": self.opened,
            }

    @contextmanager
    def lend(self, *, bulk: bool = False, patience: float = 20.0) -> Iterator[SessionT]:
        """Lend one session for the length of the ``with`` block.

        The session used last is lent first; one is opened when none is idle and the limit allows;
        otherwise the caller waits, for at most ``patience`` seconds. ``bulk`` marks a transfer of content.
        A block that ends well, or with an error that the printer answered, gives the session back; any
        other end closes it, because a half-read connection cannot be trusted again.

        Raises `PrinterBusy` when no session came free in time, `Interrupted`, what opening raises, and at once what
        it raised before while the printer is known to be away.
        """
        session = self._take(bulk, self._clock() + patience)
        keep = False
        try:
            yield session
            keep = True
        except OSError as error:
            keep = _was_answered(error)
            if isinstance(error, (PrinterTimeout, ConnectionDropped, PrinterUnreachable)):
                self.forget_idle()  # what broke this session has most likely broken its siblings
            if isinstance(error, PrinterUnreachable):
                self._failed(error)
            raise
        finally:
            self._give_back(session, bulk, keep)

    def forget_idle(self) -> None:
        """Close every idle session."""
        with self._condition:
            idle, self._idle = self._idle, []
        for session, _ in idle:
            session.close()

    def retire(self) -> None:
        """Close the sessions that have been idle too long. To be called now and then."""
        now = self._clock()
        with self._condition:
            last = len(self._idle) - 1
            limits = [self._idle_timeout if number == last else self._spare_timeout for number in range(last + 1)]
            old = [item for item, limit in zip(self._idle, limits) if now - item[1] >= limit]
            self._idle = [item for item in self._idle if item not in old]
        for session, _ in old:
            session.quit()

    def warm(self, count: int) -> None:
        """Open sessions in the background until there are ``count``, as far as the printer puts up with them.

        For work that is about to come: logging in costs seven round trips. Never waits, and its failure is nobody's.
        """
        with self._condition:
            if self._is_warming or not self._may_warm_locked(count):
                return
            self._is_warming = True
        try:
            threading.Thread(target=self._warm_up, args=(count,), name="bambufs-warm", daemon=True).start()
        except RuntimeError:  # no thread is to be had
            self._is_warming = False

    def _may_warm_locked(self, count: int) -> bool:
        have = self._lent + len(self._idle)
        return 0 < have < min(count, self._limit) and not (self._queue or self._closed or self.breaker.is_open)

    def _warm_up(self, count: int) -> None:
        while self._has_begun_to_warm(count):
            try:
                session = self._open_session()
            except OSError as error:  # whoever needs the printer finds out by himself
                logger.debug("no further session was opened ahead: %s", error)
                count = 0
                if isinstance(error, PrinterBusy) and not isinstance(error, PrinterSilent):
                    self._learn_limit()
            else:
                self._entered(session)
                self._keep_or_close(session, keep=True)
            finally:
                self._release(bulk=False)

    def _has_begun_to_warm(self, count: int) -> bool:
        """Count one more session as lent, unless there are enough."""
        with self._condition:
            self._is_warming = self._may_warm_locked(count)
            self._lent += self._is_warming
            return self._is_warming

    def close(self) -> None:
        """Say goodbye on every idle session; lent ones are closed as they come back."""
        self._prober.close()
        with self._condition:
            self._closed = True
            idle, self._idle = self._idle, []
            self._condition.notify_all()
        for session, _ in idle:
            session.quit()

    # --- taking and giving back -------------------------------------------------------------------

    def _take(self, bulk: bool, deadline: float) -> SessionT:
        while True:
            idle = self._reserve(bulk, deadline)
            session = None
            try:
                session = self._usable(idle) if idle is not None else None
                if session is not None or (session := self._open(bulk)) is not None:
                    return session
            finally:
                if session is None:
                    self._release(bulk)

    def _reserve(self, bulk: bool, deadline: float) -> tuple[SessionT, float] | None:
        """Wait for a place, count it as lent, and return an idle session for it if there is one."""
        turn = _Turn(bulk)
        self._prober.asked()
        with self._condition:
            self._queue.append(turn)
            try:
                self._await_turn_locked(turn, deadline)
            finally:
                self._queue.remove(turn)
                self._condition.notify_all()
            if self._closed:
                raise PrinterUnreachable("the mount is being closed")
            self._lent += 1
            self._lent_bulk += bulk
            return self._idle.pop() if self._idle else None

    def _await_turn_locked(self, turn: _Turn, deadline: float) -> None:
        """Wait for its turn; there is nothing to wait for once the printer has gone away."""

        def is_over() -> bool:
            return self._is_next_locked(turn) or self.breaker.is_away

        while not self._is_next_locked(turn):
            if self.breaker.is_away:
                self.breaker.check()
            if not interrupts.wait_for(self._condition, is_over, deadline, self._clock):
                raise PrinterBusy("all connections to the printer are at work; try again when the transfer is done")

    def _is_next_locked(self, turn: _Turn) -> bool:
        return self._closed or next((t for t in self._queue if self._has_place_locked(t)), None) is turn

    def _has_place_locked(self, turn: _Turn) -> bool:
        if self._lent >= self._limit:
            return False
        return not turn.bulk or self._lent_bulk < max(1, self._limit - 1)

    def _usable(self, idle: tuple[SessionT, float]) -> SessionT | None:
        """The idle session, or another one, or None when none of them lives any more."""
        candidate: tuple[SessionT, float] | None = idle
        while candidate is not None:
            session, since = candidate
            rested = self._clock() - since
            alive = rested < self._idle_timeout and not session.has_hung_up()
            if alive and (rested < self._probe_after or self._answers(session)):
                return session
            session.close()
            with self._condition:
                candidate = self._idle.pop() if self._idle else None
        return None

    def _answers(self, session: SessionT) -> bool:
        try:
            return session.answers()
        except PrinterUnreachable as away:
            session.close()
            self.forget_idle()
            self._failed(away)
            raise

    def _open(self, bulk: bool) -> SessionT | None:
        """A new session, or None when the printer takes no further one beside those we have."""
        self.breaker.check()
        try:
            session = self._open_session()
        except PrinterBusy as busy:
            if not isinstance(busy, PrinterSilent) and self._learn_limit():
                return None
            self._failed(busy)
            raise
        except PrinterError as error:
            self._failed(error)
            raise
        self._entered(session)
        return session

    def _entered(self, session: SessionT) -> None:
        self.breaker.succeeded()
        with self._condition:
            self.opened += 1
            self._allowed = session.sessions_allowed
            self._condition.notify_all()

    def _failed(self, error: PrinterError) -> None:
        """Whoever comes next is told so at once; from now on the printer is looked for."""
        self.breaker.failed(error)
        if self.breaker.is_away:
            self._prober.start()
        with self._condition:
            self._condition.notify_all()

    def probe(self) -> bool:
        """Look once whether the printer lets us in again, and keep the session if it does.

        Returns whether that needs no further looking. Nothing is tried while every session there may be is lent.
        """
        with self._condition:
            if self._lent + len(self._idle) >= self._limit:
                return self._closed or not self.breaker.is_away
            self._lent += 1
        try:
            session = self._open_session()
        except PrinterError as error:
            self.breaker.failed(error)
            return not self.breaker.is_away
        else:
            self._entered(session)
            self._keep_or_close(session, keep=True)
            return True
        finally:
            self._release(bulk=False)

    def _learn_limit(self) -> bool:
        """The printer refused one more session: make do, for a minute, with those that there are besides."""
        with self._condition:
            others = self._lent - 1 + len(self._idle)
            if others < 1:
                return False
            self._learnt_limit, self._learnt_until = others, self._clock() + 60.0
        logger.info("the printer takes no more than %d of our connections just now", others)
        return True

    def _give_back(self, session: SessionT, bulk: bool, keep: bool) -> None:
        if keep and self.breaker.is_away:
            self.breaker.succeeded()  # it has just answered
        self._keep_or_close(session, keep=keep)
        self._release(bulk)

    def _keep_or_close(self, session: SessionT, *, keep: bool) -> None:
        with self._condition:
            keep = keep and not self._closed
            if keep:
                self._idle.append((session, self._clock()))
        if not keep:
            session.close()

    def _release(self, bulk: bool) -> None:
        with self._condition:
            self._lent -= 1
            self._lent_bulk -= bulk
            self._condition.notify_all()


def _was_answered(error: OSError) -> bool:
    """Whether the printer answered: the error says so itself, or was made of an answer."""
    known = error if isinstance(error, PrinterError) else error.__cause__
    return isinstance(known, PrinterError) and known.answered
