"""Exit codes: which kind of failure ends the command line with which number."""

from __future__ import annotations

from ..errors import (
    CertificateRefused,
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
)


def explained(error: Exception) -> UsageError:
    """``error`` as a sentence with an exit code: 3 wrong code, 4 unreachable, 7 certificate, 8 busy, else 1."""
    if isinstance(error, UsageError):
        return error
    if isinstance(error, PrinterError):
        return UsageError(str(error), next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1))
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        return UsageError(f"{error.filename or 'a file'}: {(error.strerror or str(error)).lower()}", 1)
    return UsageError(f"something went wrong that nobody foresaw ({error!r}); the log tells more", 1)
