"""Pause points: a test holds the printer between two bytes, or before a reply.

A gate stays shut for every session that reaches it until it is released; then it is gone.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Literal, Self

Point = Literal["command", "reply"]


_POLL = 0.02


class Interrupted(ConnectionAbortedError):
    """Whoever waited at a gate is to end."""


class Gate:
    """One pause point. `reached` is set when the first session waits at it."""

    def __init__(self, verb: str, *, after_bytes: int | None, point: Point) -> None:
        self.verb = verb
        self.after_bytes = after_bytes
        self.point = point
        self.reached = threading.Event()
        self._open = threading.Event()

    def release(self) -> None:
        """Let everybody through, now and later."""
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    def wait_here(self, ended: threading.Event) -> None:
        """Wait until the gate is released; raises `Interrupted` once ``ended`` is set."""
        self.reached.set()
        while not self._open.wait(_POLL):
            if ended.is_set():
                raise Interrupted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Gates:
    """All gates of one printer."""

    def __init__(self) -> None:
        self._gates: list[Gate] = []
        self._lock = threading.Lock()
        self._closed = False

    def hold(self, verb: str, *, after_bytes: int | None, point: Point) -> Gate:
        """Put up a gate for ``verb`` (``*`` for every verb)."""
        gate = Gate(verb.upper(), after_bytes=after_bytes, point=point)
        with self._lock:
            if self._closed:
                gate.release()
            self._gates = [other for other in self._gates if not other.is_open] + [gate]
        return gate

    def pass_point(self, verb: str, point: Point, ended: threading.Event) -> None:
        """Wait at the gates that hold ``verb`` at ``point``."""
        for gate in self._shut(verb):
            if gate.after_bytes is None and gate.point == point:
                gate.wait_here(ended)

    def pass_byte(self, verb: str, done: int, ended: threading.Event) -> None:
        """Wait at the gates that hold ``verb`` once ``done`` bytes were moved."""
        for gate in self._shut(verb):
            if gate.after_bytes is not None and done >= gate.after_bytes:
                gate.wait_here(ended)

    def bytes_to_next(self, verb: str, done: int) -> int | None:
        """How many more bytes may move before a gate has to be looked at; None without a gate."""
        ahead = [
            gate.after_bytes - done
            for gate in self._shut(verb)
            if gate.after_bytes is not None and gate.after_bytes > done
        ]
        return min(ahead, default=None)

    def close(self) -> None:
        """Release all gates, and let none be shut again."""
        with self._lock:
            self._closed = True
            gates = list(self._gates)
        for gate in gates:
            gate.release()

    def _shut(self, verb: str) -> list[Gate]:
        if not self._gates:  # the usual case, on the path of every block of data
            return []
        with self._lock:
            return [gate for gate in self._gates if not gate.is_open and gate.verb in (verb, "*")]
