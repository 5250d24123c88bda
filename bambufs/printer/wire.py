"""The connections of one FTPS session: `ftplib.FTP_TLS` for port 990, made patient.

`ftplib` reads and connects in one blocking call; here every wait can be interrupted and has a deadline (see
`sockets`). The data connection resumes the control connection's TLS session.

Where the printer `pipelines`, what does not depend on an answer is not kept waiting for it: commands go out together,
TLS is begun before the 150 has come, and the data connection of the next transfer is made while this one ends.
"""

from __future__ import annotations

import errno
import ftplib
import os
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress

from .. import interrupts
from ..errors import ConnectionDropped
from .paths import check_sendable
from .sockets import begin_to_connect, check_time, connected, is_ready, is_unacknowledged, patiently, receive_all

_MAX_REPLY = 64 * 1024
"""Bytes of one reply, all its lines together."""
_SECOND_THOUGHTS = 2.0
"""Seconds to wait for the reply that may tell why a data connection was cut."""
_MAX_FORGOTTEN = 16 << 20
_KEPT_AHEAD = 60.0
"""Seconds for which a data connection that was made ahead is trusted to be still alive."""
_GOODBYE = "221"
"""Of ESP32 printers to a session that was at rest for long, perhaps just as it asks for something: no answer to that.
The one to QUIT is never read."""
_ENDLESS = "the printer's answer does not end; if that stays so, switch the printer off and on again"


class ImplicitFtps(ftplib.FTP_TLS):
    """One control connection, and the data connections that belong to it.

    ``patience`` is how long the next reply may take, in seconds, ``lost_after`` how long a command may go without
    being acknowledged by the other machine before the printer counts as gone.
    ``pipelines`` tells that commands may be sent before those in front of them are answered; ``told`` is what was
    answered to the last questions that were asked beside a transfer.
    """

    def __init__(self, context: ssl.SSLContext, server_name: str, patience: float) -> None:
        super().__init__(context=context, encoding="utf-8")
        self.patience, self.lost_after = patience, patience
        self._asked = 0.0
        self.pipelines = False
        self._server_name = server_name
        self._received = b""
        self._known_session: ssl.SSLSession | None = None
        self._owes_port = False
        self.told: Sequence[str] = ()
        self._ahead: tuple[socket.socket, float] | None = None

    @property
    def control(self) -> ssl.SSLSocket:
        """The control connection; raises `ConnectionResetError` once it is closed."""
        if not isinstance(self.sock, ssl.SSLSocket):
            raise ConnectionResetError("it is closed")
        return self.sock

    def secure(self, raw: socket.socket) -> None:
        """Start TLS on a fresh connection and make it the control connection; closed when that fails."""
        self.af = raw.family
        try:
            self.sock = self._handshake(raw, None)
        except BaseException:
            raw.close()  # as long as TLS has not taken it over
            raise

    def _wrapped(self, raw: socket.socket, session: ssl.SSLSession | None) -> ssl.SSLSocket:
        raw.getpeername()  # `ssl` would lose a socket whose other end has gone
        return self.context.wrap_socket(
            raw,
            server_hostname=self._server_name,
            session=session,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=session is None,  # see `receive`
        )

    def _handshake(self, raw: socket.socket, session: ssl.SSLSession | None) -> ssl.SSLSocket:
        secured = self._wrapped(raw, session)
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
        self._asked = time.monotonic()
        view = memoryview(data)
        while view:
            view = view[patiently(self.control.send, self.patience, view) :]

    # --- what ftplib calls ------------------------------------------------------------------------

    def putline(self, line: str) -> None:
        """Send one line."""
        self.send(self.encoded(line))

    def getline(self) -> str:
        """Read one line of a reply."""
        return self._line(time.monotonic() + self.patience)

    def _line(self, deadline: float) -> str:
        while b"\n" not in self._received:
            if self._received:
                check_time(deadline)
            if len(self._received) > _MAX_REPLY:
                raise ConnectionDropped(_ENDLESS)
            data = patiently(self._receive, deadline - time.monotonic())
            if not data:
                raise EOFError
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")

    def _receive(self) -> bytes:
        """What has come in, waiting a step for it. Raises what has become of the connection: `ssl` does not tell."""
        control = self.control
        if not control.pending() and not is_ready(control, interrupts.STEP):
            if time.monotonic() - self._asked > self.lost_after and is_unacknowledged(control, self.lost_after):
                raise TimeoutError(errno.ETIMEDOUT, "nothing is acknowledged any more")
            raise TimeoutError("timed out")
        code = control.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        return control.recv(8192)

    def getmultiline(self) -> str:
        """Read one reply of one or more lines, neither endlessly many nor for longer than ``patience``.

        Raises `EOFError` for a goodbye.
        """
        deadline = time.monotonic() + self.patience
        line = self._line(deadline)
        lines, length = [line], len(line)
        if line[3:4] == "-":
            code = line[:3]
            while not (line[:3] == code and line[3:4] != "-"):
                line = self._line(deadline)
                check_time(deadline)
                lines.append(line)
                length += len(line) + 1
                if length > _MAX_REPLY:
                    raise ConnectionDropped(_ENDLESS)
        if line.startswith(_GOODBYE):
            raise EOFError
        return "\n".join(lines)

    # --- commands together ------------------------------------------------------------------------

    def answers(self, *commands: str) -> list[str]:
        """The replies to ``commands`` that need no data connection, good or bad: sent at once where it `pipelines`."""
        if not self.pipelines:
            return [self._answer(command) for command in commands]
        self._ask(commands)
        return [self.getmultiline() for _ in commands]

    def _ask(self, commands: Sequence[str]) -> None:
        self.send(b"".join(map(self.encoded, commands)))

    def _answer(self, command: str) -> str:
        self.putline(command)
        return self.getmultiline()

    # --- data connections -------------------------------------------------------------------------

    def transfer(
        self, command: str, *, folder: str = "", offset: int = 0, ahead: bool = False, beside: Sequence[str] = ()
    ) -> ssl.SSLSocket:
        """The data connection for ``command``, in ``folder`` and from ``offset`` (bytes) on; end it with `conclude`.

        Passive, and to the control connection's own host: the address in the PASV reply is 0.0.0.0 on a P1S
        (jneilliii/OctoPrint-BambuPrinter#18). vsFTPd printers answer 522 and hang up unless the control connection's
        TLS session is resumed. ``ahead`` asks for the next transfer's port in the same breath, and ``beside`` are
        questions whose replies are then in `told`; only where it pipelines.
        """
        cwd, rest = ([f"CWD {folder}"] if folder else []), ([f"REST {offset}"] if offset else [])
        if not self.pipelines:
            return self._step_by_step(cwd, [*rest, command])
        raw = self._taken_ahead()
        if raw is None:
            *moved, port = self.answers(*cwd, "PASV")
            for reply in moved:
                check_reply(reply, "2")
            raw, cwd = self._begin_data(port), []
        return self._at_once(raw, beside, [*cwd, *rest, command], ahead)

    def _step_by_step(self, cwd: Sequence[str], commands: Sequence[str]) -> ssl.SSLSocket:
        """As every printer takes it: TLS starts after the 150."""
        for command in cwd:
            check_reply(self._answer(command), "2")
        raw = connected(self._begin_data(self._answer("PASV")), self.patience)
        try:
            for command in commands[:-1]:
                self.sendcmd(command)
            check_reply(self._answer(commands[-1]), "1")
            return self._handshake(raw, self._session)
        except BaseException:
            raw.close()
            raise

    @property
    def _session(self) -> ssl.SSLSession | None:
        """The TLS session to resume. One of TLS 1.2 stays the same; with TLS 1.3 the tickets come later."""
        if self._known_session is None or self.control.version() != "TLSv1.2":
            self._known_session = self.control.session
        return self._known_session

    def _at_once(
        self, raw: socket.socket, beside: Sequence[str], commands: Sequence[str], ahead: bool
    ) -> ssl.SSLSocket:
        """Ask for everything at once, and begin TLS before the 150 has come: it waits in the socket until then."""
        try:
            self._ask([*beside, *commands, "PASV"] if ahead else [*beside, *commands])
            self._owes_port = ahead
            secured = self._begin_tls(connected(raw, self.patience))
        except OSError:
            raw.close()
            if self.wait_for_input(min(_SECOND_THOUGHTS, self.patience)):
                self._begun(beside, commands)  # it may have been refused
            raise
        except BaseException:
            raw.close()
            raise
        try:
            refusal = self._begun(beside, commands)
            patiently(secured.do_handshake, self.patience)
            if refusal is not None:
                self._run_dry(secured)
                check_reply(refusal, "2")
        except BaseException:
            secured.close()
            raise
        return secured

    def _begun(self, beside: Sequence[str], commands: Sequence[str]) -> str | None:
        """Read the replies up to the 150 of the last of ``commands``; returns the refusal of one before it, if any."""
        self.told = [self.getmultiline() for _ in beside]
        *prepared, begun = [self.getmultiline() for _ in commands]
        refusal = next((reply for reply in prepared if reply[:1] not in "23"), None)
        if not begun.startswith("1"):
            self._collect_port()
            check_reply(refusal or begun, "1")
        return refusal

    def _begin_tls(self, raw: socket.socket) -> ssl.SSLSocket:
        """TLS on ``raw``, with our first message out and nothing waited for.

        An error here may be that of a transfer refused, of which the reply tells more; else it comes up again.
        """
        secured = self._wrapped(raw, self._session)
        secured.settimeout(0)
        with suppress(OSError):
            secured.do_handshake()
        secured.settimeout(interrupts.STEP)
        return secured

    def _run_dry(self, data: ssl.SSLSocket) -> None:
        """The folder was refused, so that another one is being listed: take it all, and forget it."""
        receive_all(data, stall=self.patience, seconds=self.patience, most=_MAX_FORGOTTEN)
        data.close()
        with suppress(ftplib.error_temp, ftplib.error_perm):
            self.conclude(self.patience)

    def conclude(self, seconds: float, *then: str) -> list[str]:
        """Read the reply that ends a transfer, which may take ``seconds``; returns those to the commands ``then``.

        Raises `TimeoutError`, and what `ftplib` raises for a reply that says no, when all has been read.
        """
        has_asked = self._owes_port  # for the next port, before the transfer
        if self.pipelines and then:
            self._ask(then if has_asked else [*then, "PASV"])
            self._owes_port = True
        if not self.wait_for_input(seconds):
            raise TimeoutError("no final reply")
        end = self.getmultiline()
        if not self.pipelines:
            check_reply(end, "2")
            return self.answers(*then)
        if has_asked:
            self._collect_port()
        replies = [self.getmultiline() for _ in then]
        self._collect_port()
        check_reply(end, "2")
        return replies

    # --- the next one, ahead of time --------------------------------------------------------------

    def prepare(self, port: str) -> None:
        """Begin to connect to where the reply ``port`` says, for the transfer to come; failing costs only the gain."""
        self._drop_ahead()
        with suppress(ftplib.Error, OSError):
            self._ahead = self._begin_data(port), time.monotonic()

    def _collect_port(self) -> None:
        if self._owes_port:
            self._owes_port = False
            self.prepare(self.getmultiline())

    def _begin_data(self, reply: str) -> socket.socket:
        """A connection on its way to the port in ``reply``; raises `ftplib.error_proto` for one that cannot be."""
        check_reply(reply, "227")
        port = ftplib.parse227(reply)[1]
        if not 0 < port < 1 << 16:
            raise ftplib.error_proto("it names an impossible port for the data")
        host, _, *rest = self.control.getpeername()
        return begin_to_connect(self.af, (host, port, *rest))

    def _taken_ahead(self) -> socket.socket | None:
        """The connection made ahead, unless it has grown old or ended meanwhile."""
        if self._ahead is None:
            return None
        (raw, since), self._ahead = self._ahead, None
        if time.monotonic() - since < _KEPT_AHEAD and not is_ready(raw, 0):
            return raw
        raw.close()
        return None

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead[0].close()
            self._ahead = None

    def close(self) -> None:
        """Close everything."""
        self._drop_ahead()
        super().close()


def check_reply(reply: str, expected: str) -> None:
    """Raise what `ftplib` raises for a ``reply`` that does not begin with ``expected``."""
    if not reply.startswith(expected):
        kinds = {"4": ftplib.error_temp, "5": ftplib.error_perm}
        raise kinds.get(reply[:1], ftplib.error_reply)(reply)
