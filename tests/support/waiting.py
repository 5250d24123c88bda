"""Waiting for something to become true, with a deadline instead of a sleep."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(is_true: Callable[[], object], what: str, *, seconds: float = 10.0) -> None:
    """Return as soon as ``is_true()`` is; raise `TimeoutError` naming ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain for: {what}")
        time.sleep(0.01)
