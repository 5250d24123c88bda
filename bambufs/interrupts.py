"""Whether the program behind the present request has been interrupted by a signal.

A request that waits (for bytes, for a reply, for its turn) calls `check` at least every `STEP`
seconds, so that Ctrl-C gives the shell back at once. What knows about signals (the FUSE layer) installs
a probe for the length of a request with `watched`; threads without one are never interrupted.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import Interrupted

STEP = 0.25
"""Seconds that a wait may last before it has to look again."""

_thread = threading.local()


Probe = Callable[[], bool]


def begin(probe: Probe) -> Probe | None:
    """Let ``probe`` answer for this thread whether the caller was interrupted, until `end` gets what this returns."""
    before: Probe | None = getattr(_thread, "probe", None)
    _thread.probe = probe
    return before


def end(before: Probe | None) -> None:
    """What was `begin` last is over."""
    _thread.probe = before


@contextmanager
def watched(probe: Probe) -> Iterator[None]:
    """Let ``probe`` answer, for this thread and this ``with`` block, whether the caller was interrupted."""
    before = begin(probe)
    try:
        yield
    finally:
        end(before)


def check() -> None:
    """Raise `Interrupted` (EINTR) when the caller of the present request was interrupted."""
    probe = getattr(_thread, "probe", None)
    if probe is not None and probe():
        raise Interrupted("the program that asked was interrupted")


def acquire(lock: threading.Lock, patience: float = math.inf) -> bool:
    """Acquire ``lock``, looking for an interrupt while waiting; raises `Interrupted`.

    Returns False when that took longer than ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    while not lock.acquire(timeout=min(STEP, max(0.0, deadline - time.monotonic()))):
        check()
        if time.monotonic() >= deadline:
            return False
    return True


def wait_for(
    condition: threading.Condition, is_true: Callable[[], bool], deadline: float, now: Callable[[], float]
) -> bool:
    """Wait on the held ``condition`` until ``is_true()`` or ``now()`` reaches ``deadline``.

    Returns whether it became true; raises `Interrupted`.
    """
    while not is_true():
        left = deadline - now()
        if left <= 0:
            return False
        condition.wait(min(STEP, left))
        check()
    return True
