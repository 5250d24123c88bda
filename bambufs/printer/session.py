"""FtpsSession: one logged-in implicit-TLS connection to a printer's FTP server.

A session belongs to one thread at a time (see `pool`).
Whatever goes wrong leaves here as one of `bambufs.errors`; ``answered`` on the error tells whether
the control connection is still in step. After anything else the session must be closed, since a late
reply would be taken for the answer to the next command (python/cpython#69645).
"""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import time
from calendar import timegm
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from ..errors import PrinterError, PrinterTimeout, PrinterUnreachable
from .download import Download, Version
from .family import Family, family_of
from .outflow import Outflow
from .replies import connecting, translating
from .sockets import connect, receive_all
from .wire import ImplicitFtps, check_reply

logger = logging.getLogger(__name__)

USER = "bblp"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NEGLIGIBLE = 256 * 1024
"""Bytes in the queue that are not worth a round trip to wait for."""
_MAX_LISTING = 16 << 20
"""Bytes of one listing: some 200,000 files."""
_ENDLESS_LISTING = (
    "the printer's listing of this folder does not end; switch the printer off and on again, or look at its card "
    "in a computer"
)


@dataclass(frozen=True)
class Timeouts:
    """How long each step may take, in seconds."""

    connect: float = 3.0
    """To reach the port, or to have a command acknowledged. A printer that is on answers TCP at once."""
    greet: float = 15.0
    """For TLS, greeting and login. P1 and A1 models are slow here (greghesp/ha-bambulab#1036)."""
    reply: float = 15.0
    """For the answer to a command."""
    stall: float = 30.0
    """Without a single byte moved on a data connection."""
    listing: float = 60.0
    """For a whole listing, however steadily it trickles in."""
    final_reply: float = 90.0
    """For the reply after an upload. An H2D takes 30 s and more (maziggy/bambuddy#645)."""
    probe: float = 3.0
    """Between two looks for a printer that is away."""


@dataclass
class Manners:
    """What one printer puts up with; learnt by one of its sessions, and known to all.

    ``pipelines`` is whether commands may be sent before those in front of them are answered, where the family allows
    it: until that is seen not to work, or when the user has switched it off.
    """

    pipelines: bool = True
    ends_listings: bool = False
    """Whether a listing of it has ended with TLS's close_notify: then one without that was cut short."""


class Stored(NamedTuple):
    """What the printer says of a file that was sent: its size, and whether its time was set. None: it does not say."""

    size: int | None
    time_kept: bool | None


@dataclass(frozen=True)
class Target:
    """Where the printer is and how to get in. The access code stays out of the repr."""

    host: str
    port: int
    access_code: str = field(repr=False)
    context: ssl.SSLContext = field(repr=False)
    server_name: str | None = None
    """The name the certificate is checked for (the serial), or None for the host."""
    check_certificate: Callable[[bytes], None] = field(default=lambda der: None, repr=False)
    """Called with the DER certificate before the access code is sent; raises to refuse."""
    manners: Manners = field(default_factory=Manners, repr=False, compare=False)


class FtpsSession:
    """One session. Open it with `open`; use it from one thread; `close` it."""

    def __init__(
        self, ftp: ImplicitFtps, timeouts: Timeouts, family: Family, manners: Manners | None = None
    ) -> None:
        self._ftp, self._timeouts, self._manners = ftp, timeouts, manners or Manners()
        self.family = family

    def __repr__(self) -> str:
        return f"<FtpsSession {self.family.name} {self._ftp.host}:{self._ftp.port}>"

    @classmethod
    def open(cls, target: Target, timeouts: Timeouts) -> FtpsSession:
        """Connect, check the certificate, log in; the first time finding out whether commands may go together.

        Raises `PrinterUnreachable`, `PrinterBusy`, `PrinterTimeout`, `LoginRefused`, `CertificateRefused`.
        """
        session = cls._open(target, timeouts, pipelines=target.manners.pipelines)
        if session is None:
            session = cls._open(target, timeouts, pipelines=False)
            assert session is not None
            logger.info("%s: answers no commands that are sent together; they go one by one from now on", target.host)
            target.manners.pipelines = False
        return session

    @classmethod
    def _open(cls, target: Target, timeouts: Timeouts, *, pipelines: bool) -> FtpsSession | None:
        """One try; None when it fails at commands that were sent together."""
        ftp = ImplicitFtps(target.context, target.server_name or target.host, timeouts.greet)
        ftp.host, ftp.port = target.host, target.port
        try:
            with connecting(target.host, target.port):
                raw = connect(target.host, target.port, timeouts.connect)
            with connecting(target.host, target.port, reached=True):
                ftp.secure(raw)
                target.check_certificate(ftp.control.getpeercert(binary_form=True) or b"")
                ftp.welcome = ftp.getresp()
                ftp.login(USER, target.access_code, secure=False)
                family = family_of(ftp.welcome)
                ftp.pipelines = family.pipelines and pipelines
                understood = _set_up(ftp)
        except BaseException:
            ftp.close()
            raise
        if not understood:
            ftp.close()
            return None
        ftp.patience = timeouts.reply
        logger.debug("%s: logged in (%s)", target.host, ftp.welcome.strip())
        return cls(ftp, timeouts, family, target.manners)

    @property
    def sessions_allowed(self) -> int:
        """How many sessions this printer's family puts up with."""
        return self.family.max_sessions

    @property
    def pipelines(self) -> bool:
        """Whether it takes many commands at once."""
        return self._ftp.pipelines

    # --- whether it still lives ------------------------------------------------------------------

    def has_hung_up(self) -> bool:
        """Whether something came in while nothing was asked: a 421, a TLS alert or the end. Costs no round trip."""
        return self._ftp.has_unread()

    def answers(self) -> bool:
        """Whether the printer still answers on this session (one round trip).

        Raises `PrinterUnreachable` when it is not in the network any more: soon, whatever the session did before.
        """
        self.be_patient(long=False)
        try:
            with translating(None):
                self._ftp.voidcmd("NOOP")
        except PrinterUnreachable:
            raise
        except OSError:
            return False
        return True

    def be_patient(self, *, long: bool) -> None:
        """Bear a network that is interrupted for some seconds, as a long transfer should; or tell of it soon."""
        self._ftp.lost_after = self._timeouts.reply if long else self._timeouts.connect

    def close(self) -> None:
        """Break the connection off; never raises, never waits.

        By a reset where there may be other sessions, so that nothing of ours that is still under way reaches the
        printer later, when they have changed what it was about. A printer with a single session takes no other before
        this one is over, and a reset that is lost would block it for minutes: there the kernel says goodbye, and
        repeats that until it is heard.
        """
        if self.family.max_sessions > 1:
            with suppress(Exception):
                self._ftp.control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        with suppress(Exception):
            self._ftp.close()

    def quit(self) -> None:
        """Say goodbye, so that the printer frees the slot at once, and close; never raises."""
        with suppress(Exception):
            self._ftp.putcmd("QUIT")
        with suppress(Exception):
            self._ftp.close()

    # --- commands --------------------------------------------------------------------------------

    def list(self, folder: str, *, hidden: bool = False) -> Sequence[str]:
        """The LIST lines of ``folder``; with ``hidden`` those of dot files too, where the family lists them.

        CWD goes first and LIST stays bare: vsFTPd answers LIST of a missing folder with an empty list
        and takes its argument for a pattern or an option.

        Raises `CardRefused` when there is no such folder.
        """
        return self._list(folder, hidden=hidden)[0]

    def list_then_ask(
        self, folder: str, files: Callable[[Sequence[str]], Sequence[str]]
    ) -> tuple[int | None, ...]:
        """As `list`, whose lines go to ``files``; the times, as `modified` tells them, of the paths that it returns.

        Only where it pipelines: they are asked for before the reply that ends the listing has come.
        """
        return tuple(_told_time(reply) for reply in self._list(folder, files=files)[1])

    def _list(
        self, folder: str, *, hidden: bool = False, files: Callable[[Sequence[str]], Sequence[str]] = lambda lines: ()
    ) -> tuple[Sequence[str], Sequence[str]]:
        cut_short: list[bool] = []

        def may_end(listing: bytes) -> bool:
            cut_short.append(self._manners.ends_listings or not self.family.may_have_listed(listing))
            return not cut_short[-1]

        with translating(folder):
            command = "LIST -a" if hidden and self.family.lists_hidden else "LIST"
            with self._ftp.transfer(command, folder=folder, ahead=True) as data:
                text = receive_all(
                    data,
                    stall=self._timeouts.stall,
                    seconds=self._timeouts.listing,
                    most=_MAX_LISTING,
                    may_end=may_end,
                )
            if text is None:
                raise PrinterError(_ENDLESS_LISTING, folder)
            self._manners.ends_listings |= not cut_short
            raw = text.decode("utf-8", "surrogateescape").split("\n")
            lines = [line.removesuffix("\r") for line in raw if line]
            return lines, self.final_reply(*(f"MDTM {path}" for path in files(lines)))

    def download(self, path: str, offset: int = 0) -> Download:
        """Start fetching ``path`` from ``offset`` (bytes; only 0 where the family has no REST)."""
        with translating(path):
            questions = _version_questions(path) if self.pipelines else ()
            data = self._ftp.transfer(f"RETR {path}", offset=offset, ahead=True, beside=questions)
        version = _version(self._ftp.told) if questions else None
        return Download(self, data, path, self._timeouts.stall, version)

    def version(self, path: str) -> Version | None:
        """What a download of ``path`` would send now, None when it is not told; `Download` tells where it pipelines."""
        with translating(path):
            return _version(self._ftp.answers(*_version_questions(path)))

    def store(
        self,
        path: str,
        source: BinaryIO,
        on_progress: Callable[[int], None],
        *,
        mtime: Callable[[], int] | None = None,
        begin: Callable[[], None] = lambda: None,
    ) -> Stored:
        """Send the rest of ``source`` as ``path``.

        ``begin`` is called when the printer waits for the first byte; ``on_progress`` is told those that have gone.

        A reply that says yes proves nothing (ESP32 printers take any end of the connection for the end of the file),
        so the caller has to compare the size that the printer tells. Where commands can be sent together, the file's
        time is set to ``mtime()`` (seconds since the epoch), asked for at the end, in the same round trip.
        """
        with translating(path, storing=True):
            with self._ftp.transfer(f"STOR {path}") as data:
                begin()
                outflow = Outflow(
                    data,
                    stall=self._timeouts.stall,
                    most_queued=self.family.most_queued,
                    on_progress=on_progress,
                    is_answered=self._ftp.wait_for_input,
                )
                try:
                    outflow.send(source)
                    outflow.drain(negligible=_NEGLIGIBLE if self.pipelines else 0)
                except (ConnectionError, ssl.SSLError):
                    self._raise_refusal()
                    raise
                timing = [_set_time(path, mtime())] if mtime is not None and self.pipelines else []
                size, *timed = self.final_reply(f"SIZE {path}", *timing)
            told = int(size[4:]) if size.startswith("213 ") and size[4:].strip().isdecimal() else None
        return Stored(told, timed[0].startswith("2") if timed else None)

    def size(self, path: str) -> int:
        """The size of a file in bytes. (ESP32 printers answer for folders as well.)"""
        with translating(path):
            return _size(*self._ftp.answers(f"SIZE {path}"))

    def set_time(self, path: str, mtime: int) -> None:
        """Set a file's time, in seconds since the epoch, by MDTM with two arguments (vsFTPd knows it)."""
        self._simply(_set_time(path, mtime), path)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at ``path``."""
        with translating(path):
            entered, left = self._ftp.answers(f"CWD {path}", "CWD /")
            check_reply(left, "2")
            return entered.startswith("2")

    def modified(self, paths: Sequence[str]) -> tuple[int | None, ...]:
        """The times of files in seconds since the epoch, all at once where it pipelines; None for one that is not told.

        vsFTPd answers 213 with UTC.
        """
        with translating(None):
            return tuple(_told_time(reply) for reply in self._ftp.answers(*(f"MDTM {path}" for path in paths)))

    def rename(self, old: str, new: str) -> None:
        """Rename a file or folder; over an existing file only where the family does that.

        In one round trip where it pipelines: without an RNFR that was accepted, RNTO only gets a 503.
        """
        if self.pipelines:
            with translating(old):
                accepted, renamed = self._ftp.answers(f"RNFR {old}", f"RNTO {new}")
                check_reply(accepted, "350")
            with translating(new):
                check_reply(renamed, "2")
            return
        with translating(old):
            self._ftp.sendcmd(f"RNFR {old}")
        with translating(new):
            self._ftp.voidcmd(f"RNTO {new}")

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._simply(f"DELE {path}", path)

    def make_folder(self, path: str) -> None:
        """Make a folder. (ESP32 printers answer 250 instead of 257.)"""
        self._simply(f"MKD {path}", path)

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder. The session's working folder must not be inside it."""
        with translating(path):
            for reply in self._ftp.answers("CWD /", f"RMD {path}"):
                check_reply(reply, "2")

    # --- the wire --------------------------------------------------------------------------------

    def _simply(self, command: str, path: str) -> None:
        with translating(path):
            self._ftp.voidcmd(command)

    def _raise_refusal(self) -> None:
        """The printer cut the data connection: raise the reply that tells why (a full card, say), if there is one."""
        if self._ftp.wait_for_input(min(2.0, self._timeouts.reply)):
            with suppress(EOFError, ssl.SSLError, ConnectionError):
                self._ftp.voidresp()

    def final_reply(self, *then: str) -> Sequence[str]:
        """Read the reply that ends a transfer, with its own long time-out; returns those to the commands ``then``."""
        try:
            return self._ftp.conclude(self._timeouts.final_reply, *then)
        except TimeoutError as late:
            raise PrinterTimeout("the printer took all the data but did not confirm it in time") from late


_SETTINGS = ("TYPE I", "PBSZ 0", "PROT P")


def _set_up(ftp: ImplicitFtps) -> bool:
    """Say how data shall be sent; returns False when commands were sent together and are not all answered."""
    if not ftp.pipelines:
        for command in _SETTINGS:
            ftp.voidcmd(command)
        return True
    try:
        *replies, port = ftp.answers(*_SETTINGS, "PASV")
    except TimeoutError:
        return False
    for reply in replies:
        check_reply(reply, "2")
    ftp.prepare(port)
    return True


def _set_time(path: str, mtime: int) -> str:
    return f"MDTM {time.strftime('%Y%m%d%H%M%S', time.gmtime(mtime))} {path}"


def _size(reply: str) -> int:
    check_reply(reply, "2")
    return int(reply[3:].strip())


def _version_questions(path: str) -> tuple[str, str]:
    return f"SIZE {path}", f"MDTM {path}"


def _version(replies: Sequence[str]) -> Version | None:
    size, mtime = replies
    told = size[4:].strip() if size.startswith("213 ") else ""
    return Version(int(told), _told_time(mtime)) if told.isdecimal() else None


def _told_time(reply: str) -> int | None:
    try:
        return timegm(time.strptime(reply[4:18], "%Y%m%d%H%M%S")) if reply.startswith("213 ") else None
    except ValueError:
        return None
