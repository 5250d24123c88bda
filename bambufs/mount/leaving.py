"""Leaving: tells what a mount that ends is still waiting for: in the log, to systemd, and to `bambufs unmount`."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path

from ..vfs.writeback import Remaining
from . import daemon

logger = logging.getLogger(__name__)

_LOG_EVERY = 30.0
_EXTEND_SECONDS = 60


class Leaving:
    """What is told of one mount, whose folder on this computer is ``folder``. There the note for others lies."""

    def __init__(self, folder: Path) -> None:
        self._note = folder / "leaving"
        self._told: str | None = None
        self._told_at = 0.0
        self._note.unlink(missing_ok=True)

    def tell(self, remaining: Remaining) -> None:
        """Something is still owed; to be called about every second."""
        sentence = f"{remaining} still to be sent to the printer"
        if remaining.trouble:
            sentence = f"{sentence}; at present: {remaining.trouble}"
        daemon.notify(f"STATUS={sentence}\nEXTEND_TIMEOUT_USEC={_EXTEND_SECONDS * 1_000_000}")
        self._write(sentence)
        is_other = remaining.trouble != self._told
        if is_other or time.monotonic() - self._told_at >= _LOG_EVERY:
            self._told, self._told_at = remaining.trouble, time.monotonic()
            logger.info("%s", sentence)

    def done(self, remaining: Remaining) -> None:
        """The mount ends now; what remains is for the next one."""
        if not remaining.files:
            self._note.unlink(missing_ok=True)
            return
        why = f" ({remaining.trouble})" if remaining.trouble else ""
        sentence = f"{remaining} could not be sent{why}; kept on this computer, and sent by the next mount"
        self._write(sentence)
        logger.warning("%s", sentence)

    def _write(self, sentence: str) -> None:
        with suppress(OSError):
            new = self._note.with_suffix(".new")
            new.write_text(sentence, encoding="utf-8", errors="replace")
            new.replace(self._note)


def last_words(folder: Path) -> str:
    """What the mount that ends, or has ended, in ``folder`` said last; empty when nothing was left to send."""
    try:
        return (folder / "leaving").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
