"""Where the log goes, and that the access code never gets there."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_VERBOSE_FORMAT = "%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"
_STEERING = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


class _Redacting(logging.Formatter):
    """A formatter that blots out secrets, in messages and in tracebacks."""

    def __init__(self, pattern: str, secrets: tuple[str, ...]) -> None:
        super().__init__(pattern)
        self._secrets = tuple(secret for secret in secrets if secret)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """One line, whatever names it tells of: a file's name may hold line breaks, or steer the terminal."""
        return super().formatMessage(record).translate(_STEERING)

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, "********")
        return text.encode("utf-8", "backslashreplace").decode()


def set_up(*, verbosity: int = 0, file: Path | None = None, secrets: tuple[str, ...] = ()) -> None:
    """Send the log to ``file`` (rotated at 2 MB, two kept) or to standard error.

    ``verbosity`` 0 tells what matters to a user, 1 every step. ``secrets`` are blotted out.
    """
    handler: logging.Handler
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = RotatingFileHandler(file, maxBytes=2_000_000, backupCount=2, encoding="utf-8")
        file.chmod(0o600)
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(_VERBOSE_FORMAT if verbosity else _FORMAT, secrets))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("bambufs").setLevel(logging.DEBUG if verbosity else logging.INFO)
