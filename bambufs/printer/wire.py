"""The connections of one FTPS session: `ftplib.FTP_TLS` for port 990, made patient.

`ftplib` reads and connects in one blocking call; here every wait is taken in steps of `interrupts.STEP`, so that
Ctrl-C gets through, and has a deadline. The data connection resumes the control connection's TLS session.
"""

from __future__ import annotations

import errno
import ftplib
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

from .. import interrupts
from .paths import check_sendable

Result = TypeVar("Result")

_MAX_LINE = 64 * 1024
_MAX_REPLY_LINES = 1000


def patiently(step: Callable[..., Result], seconds: float, *arguments: object) -> Result:
    """Repeat a socket operation that waits at most `interrupts.STEP`, until it is done or ``seconds`` have passed.

    Raises `TimeoutError`, `Interrupted` and what the operation raises.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return step(*arguments)
        except TimeoutError:
            interrupts.check()
            if time.monotonic() >= deadline:
                raise


def is_ready(connection: socket.socket, seconds: float, *, to_send: bool = False) -> bool:
    """Whether ``connection`` can be read from (or sent to) within ``seconds``; works for any number of open files."""
    poll = select.poll()
    poll.register(connection, select.POLLOUT if to_send else select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def connect(host: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection to ``host``, with TCP_NODELAY and steps of `interrupts.STEP` as its time-out."""
    failure: OSError = TimeoutError("timed out")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            _connect(connection, address, seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(interrupts.STEP)
            return connection
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
    raise failure


def _connect(connection: socket.socket, address: object, seconds: float) -> None:
    connection.setblocking(False)
    deadline = time.monotonic() + seconds
    code = connection.connect_ex(address)  # type: ignore[arg-type]
    if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
        raise OSError(code, os.strerror(code))
    while not is_ready(connection, interrupts.STEP, to_send=True):
        interrupts.check()
        if time.monotonic() >= deadline:
            raise TimeoutError("timed out")
    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


class ImplicitFtps(ftplib.FTP_TLS):
    """One control connection, and the data connections that belong to it.

    ``patience`` is how long the next reply may take, in seconds.
    """

    def __init__(self, context: ssl.SSLContext, server_name: str, patience: float) -> None:
        super().__init__(context=context, encoding="utf-8")
        self.patience = patience
        self._server_name = server_name
        self._received = b""

    @property
    def control(self) -> ssl.SSLSocket:
        """The control connection; raises `ConnectionResetError` once it is closed."""
        if not isinstance(self.sock, ssl.SSLSocket):
            raise ConnectionResetError("it is closed")
        return self.sock

    def secure(self, raw: socket.socket) -> None:
        """Start TLS on a fresh connection and make it the control connection."""
        self.af = raw.family
        self.sock = self._handshake(raw, None)

    def _handshake(self, raw: socket.socket, session: ssl.SSLSession | None) -> ssl.SSLSocket:
        secured = self.context.wrap_socket(
            raw, server_hostname=self._server_name, session=session, do_handshake_on_connect=False
        )
        try:
            patiently(secured.do_handshake, self.patience)
        except BaseException:
            secured.close()
            raise
        return secured

    def has_unread(self) -> bool:
        """Whether something has come in that was not asked for, or the connection has ended."""
        if not isinstance(self.sock, ssl.SSLSocket):
            return True
        return bool(self._received) or self.sock.pending() > 0 or is_ready(self.sock, 0)

    def wait_for_input(self, seconds: float) -> bool:
        """Wait until a reply begins to come in; returns whether it did within ``seconds``. Raises `Interrupted`."""
        deadline = time.monotonic() + seconds
        while not self.has_unread():
            interrupts.check()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            is_ready(self.control, min(interrupts.STEP, left))
        return True

    def encoded(self, line: str) -> bytes:
        """One line as it goes over the wire; bytes that are not UTF-8 go out as they came in."""
        return check_sendable(line).encode("utf-8", "surrogateescape") + b"\r\n"

    def send(self, data: bytes) -> None:
        """Send encoded lines."""
        view = memoryview(data)
        while view:
            view = view[patiently(self.control.send, self.patience, view) :]

    # --- what ftplib calls ------------------------------------------------------------------------

    def putline(self, line: str) -> None:
        """Send one line."""
        self.send(self.encoded(line))

    def getline(self) -> str:
        """Read one line of a reply."""
        while b"\n" not in self._received:
            if len(self._received) > _MAX_LINE:
                raise ftplib.Error("a line of the reply does not end")
            data = patiently(self.control.recv, self.patience, 8192)
            if not data:
                raise EOFError
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")

    def getmultiline(self) -> str:
        """Read one reply of one or more lines, and not endlessly many."""
        line = self.getline()
        lines = [line]
        if line[3:4] == "-":
            code = line[:3]
            while not (line[:3] == code and line[3:4] != "-"):
                if len(lines) >= _MAX_REPLY_LINES:
                    raise ftplib.Error("the reply does not end")
                line = self.getline()
                lines.append(line)
        return "\n".join(lines)

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[ssl.SSLSocket, int | None]:
        """The data connection for ``cmd``; passive only, to the control connection's own host.

        The address in the PASV reply is not used: it is 0.0.0.0 on a P1S (jneilliii/OctoPrint-BambuPrinter#18). TLS
        starts after the 150, as the printers want it. vsFTPd printers answer 522 and hang up unless the control
        connection's session is resumed.
        """
        host, port = self.makepasv()
        raw = connect(host, port, self.patience)
        try:
            if rest is not None:
                self.sendcmd(f"REST {rest}")
            reply = self.sendcmd(cmd)
            if not reply.startswith("1"):
                raise ftplib.error_reply(reply)
            return self._handshake(raw, self.control.session), None
        except BaseException:
            raw.close()
            raise
