"""Every error that bambufs raises on purpose: an `OSError` with a true errno and a sentence.

Facts about a path use Python's own classes (`FileNotFoundError`, `IsADirectoryError`, ...).
Facts about the printer are the subclasses of `PrinterError` below. The message is written for
the owner of a printer: what happened, to which file, and what to do. An FTP reply code is never
an errno; where one is worth keeping it is in `CardRefused.reply`.
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar


class PrinterError(OSError):
    """Something about the printer stands in the way; `message` says what to do.

    `number` is the errno that reaches the program that asked. `answered` tells whether the
    printer's control connection is still in step: only then may the session be used again.
    `away` tells that the printer could not be asked at all, so that old knowledge may serve.
    """

    number: ClassVar[int] = errno.EIO
    answered: ClassVar[bool] = False
    away: ClassVar[bool] = False

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(self.number, message)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class PrinterUnreachable(PrinterError):
    """Nobody answers at the printer's address."""

    number = errno.EHOSTUNREACH
    away = True


class PrinterTimeout(PrinterError):
    """The printer stopped answering in the middle."""

    number = errno.ETIMEDOUT
    away = True


class PrinterBusy(PrinterError):
    """The printer is there, but its connections are taken, or it is at work."""

    number = errno.EBUSY
    away = True


class PrinterSilent(PrinterBusy):
    """The printer accepts a connection but does not greet: its only one is taken, or it hangs."""


class ConnectionDropped(PrinterError):
    """The connection was lost in the middle, or what arrived is not what was sent."""

    number = errno.EIO
    away = True


class FileChanged(PrinterError):
    """The file was written on the printer between two transfers of it, whose bytes do not belong together."""

    @classmethod
    def at(cls, path: str) -> FileChanged:
        """The error for the file at ``path``."""
        return cls("this file was changed on the printer while it was being read; open it again", path)


class DataRefused(ConnectionDropped):
    """The printer talks to us and gives us no data connection: another program has the only one, or it was too slow."""

    number = errno.EBUSY


class LoginRefused(PrinterError):
    """The access code is wrong."""

    number = errno.EACCES


class CertificateRefused(PrinterError):
    """The printer showed another certificate than the one that is trusted."""

    number = errno.EACCES


class CardFull(PrinterError):
    """The printer's card has no room left."""

    number = errno.ENOSPC
    answered = True


class CardRefused(PrinterError):
    """The printer answered no. `reply` is its reply line, for the log."""

    number = errno.EACCES
    answered = True

    def __init__(self, message: str, path: str | None = None, reply: str = "") -> None:
        super().__init__(message, path)
        self.reply = reply

    @property
    def code(self) -> str:
        """The three digits of the reply, or an empty string."""
        return self.reply[:3]


class NotSupported(CardRefused):
    """This printer does not know the command (500 or 502)."""

    number = errno.EOPNOTSUPP


class InvalidName(PrinterError):
    """The card cannot store this name."""

    number = errno.EINVAL
    answered = True


class NameTooLong(PrinterError):
    """The name or path is longer than the card or the printer can take."""

    number = errno.ENAMETOOLONG
    answered = True


class InvalidJob(PrinterError):
    """The print request is not understood, or the file cannot be printed."""

    number = errno.EINVAL
    answered = True


class PrintRefused(PrinterError):
    """The printer refuses to be controlled (no Developer Mode)."""

    number = errno.EACCES
    answered = True


class Interrupted(PrinterError):
    """The program that asked was interrupted by a signal."""

    number = errno.EINTR


class CalledOff(PrinterError):
    """The upload is not wanted any more: its file was deleted."""

    number = errno.ECANCELED


class SpoolFull(OSError):
    """The room on this computer that the user has set aside is used up; no room elsewhere would help."""


def again(error: OSError) -> OSError:
    """The same error as a new object: for one that was kept, or that several threads raise."""
    if isinstance(error, PrinterError):
        fresh = type(error)(error.message, error.path)
        fresh.__dict__.update(error.__dict__)
        return fresh
    return OSError(error.errno, error.strerror, error.filename)


def os_error(number: int, path: str) -> OSError:
    """The plain `OSError` (of Python's own subclass) for ``number`` about ``path``."""
    return OSError(number, os.strerror(number), path)


class UsageError(Exception):
    """What the user asked for on the command line cannot be done; `exit_code` tells which kind.

    The exit codes are part of the command line's contract: 2 wrong usage, 3 wrong access code,
    4 printer unreachable, 5 bad mount point, 6 no FUSE, 7 certificate refused, 8 printer busy,
    9 a fault in bambufs itself.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
