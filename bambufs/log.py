"""Where the log goes, and that the access code never gets there.

A fault of bambufs itself is told to the user in a sentence. Its traceback is kept in a file that the sentence names,
and is shown in a terminal only to those who asked for every step.
"""

from __future__ import annotations

import logging
import sys
import threading
from logging.handlers import RotatingFileHandler
from pathlib import Path

_LARGEST, _KEPT = 2_000_000, 2
_LARGEST_FAULTS = 500_000
_SHORTEST_SECRET = 4
_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_VERBOSE_FORMAT = "%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"
_STEERING = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}

logger = logging.getLogger(__name__)
_secrets: set[str] = set()


def keep_secret(text: str) -> None:
    """Blot out ``text`` wherever something is logged from now on; what is too short for a secret stays readable."""
    if len(text) >= _SHORTEST_SECRET:
        _secrets.add(text)


def redacted(text: str) -> str:
    """``text`` without secrets, and fit for every file and terminal."""
    for secret in _secrets:
        text = text.replace(secret, "********")
    return text.encode("utf-8", "backslashreplace").decode()


class _Redacting(logging.Formatter):
    """A formatter that blots out secrets, in messages and in tracebacks."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """One line, whatever names it tells of: a file's name may hold line breaks, or steer the terminal."""
        return super().formatMessage(record).translate(_STEERING)

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class _ForTerminals(_Redacting):
    """One that keeps tracebacks in the file ``faults``, and names that instead."""

    def __init__(self, pattern: str, faults: Path) -> None:
        super().__init__(pattern)
        self._faults = faults

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """One line, whatever names it tells of: a file's name may hold line breaks, or steer the terminal."""
        return super().formatMessage(record).translate(_STEERING)

    def format(self, record: logging.LogRecord) -> str:
        if not record.exc_info or record.exc_info[1] is None:
            return super().format(record)
        error = record.exc_info[1]
        told = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
        return f"{super().format(told)} ({type(error).__name__}; {keep_fault(error, self._faults)})"


def keep_fault(error: BaseException, file: Path) -> str:
    """Add the traceback of ``error`` to ``file``, which stays bounded; returns where to look, as words."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = RotatingFileHandler(file, maxBytes=_LARGEST_FAULTS, backupCount=1, encoding="utf-8")
        file.chmod(0o600)
    except OSError:
        return "what happened could not be kept; run it again with -v --foreground"
    handler.setFormatter(_Redacting(_VERBOSE_FORMAT))
    what = (type(error), error, error.__traceback__)
    handler.emit(logger.makeRecord(logger.name, logging.ERROR, "", 0, "a fault in bambufs", (), what))
    handler.close()
    return f"details are in {file}"


def _log_fault_of_thread(fault: threading.ExceptHookArgs) -> None:
    """A thread has ended in an unforeseen way: that belongs into the log, not on the terminal."""
    name = fault.thread.name if fault.thread is not None else "?"
    error = fault.exc_value or fault.exc_type()
    logger.error("the thread %s ended in an unforeseen way", name, exc_info=error)


def set_up(
    *, verbosity: int = 0, file: Path | None = None, faults: Path | None = None, largest: int = _LARGEST
) -> None:
    """Send the log to ``file`` (rotated at ``largest`` bytes, two kept) or to standard error.

    ``verbosity`` 0 tells what matters to a user, 1 every step. On standard error the traceback of a fault is shown
    only with verbosity; else it is kept in the file ``faults``.
    """
    handler: logging.Handler
    pattern = _VERBOSE_FORMAT if verbosity else _FORMAT
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = RotatingFileHandler(file, maxBytes=largest, backupCount=_KEPT, encoding="utf-8")
        file.chmod(0o600)
    else:
        handler = logging.StreamHandler(sys.stderr)
    hides = file is None and faults is not None and not verbosity
    handler.setFormatter(_ForTerminals(pattern, faults) if hides and faults else _Redacting(pattern))
    threading.excepthook = _log_fault_of_thread
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("bambufs").setLevel(logging.DEBUG if verbosity else logging.INFO)
