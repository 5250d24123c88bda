"""How long the fuzzing goes on, and what must hold whatever a hostile printer says."""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SOAK_SHARE = 0.05
"""Of the time of `make soak`, for each of the tests here."""

PATIENCE = 30.0
"""Seconds within which every operation must have ended; its own bounds are far below."""

MOST_GROWTH = 400 << 20
"""Bytes by which the process may grow, with the printer in it; an unbounded listing takes more in a second."""


def soak_seconds() -> float:
    """How long a soaking test goes on."""
    return float(os.environ.get("SOAK_SECONDS", "900")) * SOAK_SHARE


class Clockwork:
    """Ends a run of examples after some ``seconds``; but an example that failed may be repeated for ever."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self.examples = 0

    @property
    def has_time(self) -> bool:
        """Whether the time is not over yet."""
        return time.monotonic() < self._end

    @contextmanager
    def example(self) -> Iterator[bool]:
        """Whether there is time for one more example."""
        has_time = self.has_time
        self.examples += has_time
        try:
            yield has_time
        except BaseException:
            self._end = float("inf")
            raise


class Listener(logging.Handler):
    """Keeps what is logged, and finds what should not be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.records.append(record)

    def check(self) -> None:
        """No traceback was told, and each thing that cannot be shown once at most."""
        faults = [record.getMessage() for record in self.records if record.exc_info and record.levelno > logging.DEBUG]
        assert not faults, f"unforeseen: {faults}"
        odd = [message for message in self._messages() if "cannot be shown" in message]
        assert len(odd) == len(set(odd)), "told more than once"

    def _messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@contextmanager
def listening() -> Iterator[Listener]:
    """Listen to the driver's log for the block."""
    logger, listener = logging.getLogger("bambufs"), Listener()
    logger.addHandler(listener)
    try:
        yield listener
    finally:
        logger.removeHandler(listener)


def attempt(name: str, verb: Callable[[], object]) -> OSError | None:
    """Do ``verb``, which may fail, but only with a true error and within `PATIENCE`; returns the error."""
    began = time.monotonic()
    error: OSError | None = None
    try:
        verb()
    except OSError as failure:
        error = failure
    if error is not None:
        assert type(error).__module__ in ("builtins", "bambufs.errors"), f"{name}: {error!r}"
        assert error.errno in errno.errorcode, f"{name}: {error!r}"
    taken = time.monotonic() - began
    assert taken < PATIENCE, f"{name} took {taken:.1f} s"
    return error


def resident(pid: int | str = "self") -> int:
    """Bytes of memory that a process has now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def tree(folder: Path) -> dict[str, bytes]:
    """All that is below ``folder``, but for the folders of the driver and of the printer."""
    places = [place for place in folder.rglob("*") if place.relative_to(folder).parts[0] not in ("cache", "card")]
    return {str(place): place.read_bytes() if place.is_file() else b"" for place in places}


def check_json(text: bytes) -> None:
    """It is JSON, in UTF-8, and strictly so."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads(text.decode(), parse_constant=refuse)
