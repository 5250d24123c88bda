"""Exit codes: which kind of failure ends the command line with which number."""

from __future__ import annotations

import os

from .. import log
from ..config import default_cache_dir
from ..errors import (
    CertificateRefused,
    DataRefused,
    LoginRefused,
    PrinterBusy,
    PrinterError,
    PrinterTimeout,
    PrinterUnreachable,
    UsageError,
)

EXIT_CODES: tuple[tuple[type[PrinterError], int], ...] = (
    (LoginRefused, 3),
    (PrinterUnreachable, 4),
    (PrinterTimeout, 4),
    (CertificateRefused, 7),
    (PrinterBusy, 8),
    (DataRefused, 8),
)


EXIT_FAULT = 9
"""bambufs itself is wrong."""


def explained(error: Exception) -> UsageError:
    """``error`` as a sentence with an exit code: 3 wrong code, 4 unreachable, 7 certificate, 8 busy, else 1.

    What nobody foresaw is a fault of bambufs itself, with the code 9; where it happened is kept in a file.
    """
    if isinstance(error, UsageError):
        return error
    if isinstance(error, PrinterError):
        return UsageError(str(error), next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1))
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        return UsageError(f"{error.filename or 'a file'}: {(error.strerror or str(error)).lower()}", 1)
    kept = log.keep_fault(error, default_cache_dir(os.environ) / "faults.log")
    what = f"this is a fault in bambufs itself ({type(error).__name__}), not in what you did"
    return UsageError(f"{what}; please report it, with the command that you gave: {kept}", EXIT_FAULT)


def in_one_line(message: str) -> str:
    """``message`` without secrets, and without line breaks and other control characters, which a name may hold."""
    shown = (letter if letter.isprintable() or letter == " " else ascii(letter)[1:-1] for letter in message)
    return log.redacted("".join(shown))
