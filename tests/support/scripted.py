"""A printer's FTP server that holds to a script: the whole conversation stands in the test.

    with scripted([*LOGIN, ask("CWD /cache", "250 Okay."), gives("LIST", b"...")]) as printer:
        session = FtpsSession.open(printer.target(), QUICK)

Each list is the talk of one connection, in the order in which they come. A client that says anything else, or less,
makes the ``with`` block fail and tell where. A ``*`` in a command stands for anything. QUIT is allowed at the end.
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bambufs.printer.session import Manners, Target, Timeouts
from bambufs.printer.trust import make_context
from tests.support.certificates import printer_certificate

ACCESS_CODE = "47281593"
SERIAL = "01P00A000000001"
PATIENCE = 10.0

QUICK = Timeouts(connect=2.0, greet=0.5, reply=0.5, stall=0.5, final_reply=0.5)
"""Time-outs for printers that fall silent on purpose."""

CALM = Timeouts(connect=5.0, greet=5.0, reply=5.0, stall=5.0, final_reply=5.0)
"""Time-outs for all others."""


class Departure(Exception):
    """The client did or said something else than the script."""


class Talk:
    """One connection, from the printer's side."""

    def __init__(self, printer: ScriptedPrinter, raw: socket.socket) -> None:
        self.printer, self.raw = printer, raw
        self.tls: ssl.SSLSocket | None = None
        self._unread = b""
        self.waiting: socket.socket | None = None
        """Where a data connection is awaited that was asked for ahead of its command."""

    @property
    def sock(self) -> ssl.SSLSocket:
        """The connection under TLS, which starts when it is first used."""
        if self.tls is None:
            self.tls = server_context().wrap_socket(self.raw, server_side=True, suppress_ragged_eofs=True)
        return self.tls

    def say(self, reply: str) -> None:
        """Send one reply line; an empty one is not sent."""
        sock = self.sock
        if reply:
            sock.sendall(reply.encode("utf-8", "surrogateescape") + b"\r\n")

    def hear(self) -> str | None:
        """The next command, or None when the client has gone."""
        while b"\n" not in self._unread:
            try:
                received = self.sock.recv(65536)
            except ConnectionError:
                received = b""
            if not received:
                return None
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        self.printer.raw_lines.append(line)
        command = line.removesuffix(b"\r").decode("utf-8", "surrogateescape")
        self.printer.commands.append(command)
        return command

    def forget(self) -> None:
        """Lose the commands that came along with the last one, as ESP32 printers do."""
        self._unread = b""

    def expect(self, command: str) -> None:
        """Hear ``command``."""
        heard = self.hear()
        if heard is None:
            raise Departure(f"expected {command!r}, but the client hung up")
        pattern = ".*".join(map(re.escape, command.split("*")))
        if not re.fullmatch(pattern, heard, re.DOTALL):
            raise Departure(f"expected {command!r}, heard {heard!r}")

    def offer_data(self, address: str) -> socket.socket:
        """Answer PASV; returns what listens."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE)
        port = listener.getsockname()[1]
        self.say(f"227 Entering Passive Mode ({address},{port >> 8},{port & 255}).")
        return listener

    def listener(self, address: str = "127,0,0,1") -> socket.socket:
        """Where the next data connection is awaited: as offered ahead, else after a PASV."""
        if self.waiting is None:
            self.expect("PASV")
            self.waiting = self.offer_data(address)
        listener, self.waiting = self.waiting, None
        return listener

    @contextlib.contextmanager
    def data(self, command: str, address: str) -> Iterator[ssl.SSLSocket]:
        """The data connection for ``command``, up to its TLS."""
        with self.listener(address) as listener:
            self.expect(command)
            raw = listener.accept()[0]
        raw.settimeout(PATIENCE)
        self.say("150 Here it comes.")
        with server_context().wrap_socket(raw, server_side=True, suppress_ragged_eofs=False) as sock:
            self.printer.reused.append(bool(sock.session_reused))
            yield sock


Step = Callable[[Talk], None]
"""One exchange of a script."""


def says(reply: str) -> Step:
    """Say ``reply`` without being asked, as in the greeting."""
    return lambda talk: talk.say(reply)


def ask(command: str, reply: str) -> Step:
    """Hear ``command`` and answer it; an empty reply is silence."""

    def step(talk: Talk) -> None:
        talk.expect(command)
        talk.say(reply)

    return step


def gives(
    command: str, content: bytes, *, end: str = "226 Transfer complete.", address: str = "127,0,0,1", rest: int = 0
) -> Step:
    """Send ``content`` over a data connection, then say ``end``. With ``rest`` a REST comes first."""

    def step(talk: Talk) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError), _after_rest(talk, rest, command, address) as sock:
            sock.sendall(content)
            sock.unwrap()
        talk.say(end)

    return step


@contextlib.contextmanager
def _after_rest(talk: Talk, rest: int, command: str, address: str) -> Iterator[ssl.SSLSocket]:
    if not rest:
        with talk.data(command, address) as sock:
            yield sock
        return
    with talk.listener(address) as listener:
        talk.expect(f"REST {rest}")
        talk.say("350 Restart position accepted.")
        talk.expect(command)
        raw = listener.accept()[0]
    talk.say("150 Here it comes.")
    with server_context().wrap_socket(raw, server_side=True) as sock:
        yield sock


def takes(
    command: str,
    end: str = "226 Transfer complete.",
    *,
    at_most: int | None = None,
    closes: bool = True,
    wait: float = 0.0,
) -> Step:
    """Take an upload, or only ``at_most`` bytes of it, then say ``end`` after ``wait`` seconds.

    Without ``closes`` the data connection is left open, as ESP32 printers do until the client has closed it.
    """

    def step(talk: Talk) -> None:
        with talk.data(command, "127,0,0,1") as sock:
            content, noted = _taken(sock, at_most)
            talk.printer.received.append(content)
            talk.printer.close_notify.append(noted)
            if closes:
                with contextlib.suppress(OSError):
                    sock.unwrap()
            else:
                talk.printer.kept.append(socket.socket(fileno=sock.detach()))
        talk.printer.closing.wait(wait)
        talk.say(end)

    return step


def _taken(sock: ssl.SSLSocket, at_most: int | None) -> tuple[bytes, bool]:
    """What came, and whether the client told by a close_notify that this was all."""
    content = b""
    while at_most is None or len(content) < at_most:
        try:
            block = sock.recv(65536 if at_most is None else at_most - len(content))
        except ssl.SSLEOFError:
            return content, False
        except ssl.SSLZeroReturnError:
            return content, True
        if not block:
            return content, True
        content += block
    return content, False


def denies(command: str, reply: str) -> Step:
    """Refuse a transfer: the client has connected for data already, for nothing."""

    def step(talk: Talk) -> None:
        with talk.listener():
            talk.expect(command)
            talk.say(reply)

    return step


def offers() -> Step:
    """Answer the PASV that a client sends ahead of the next transfer."""

    def step(talk: Talk) -> None:
        talk.expect("PASV")
        talk.waiting = talk.offer_data("127,0,0,1")
        talk.printer.kept.append(talk.waiting)

    return step


def refuses_data() -> Step:
    """Answer PASV with a port at which nobody listens."""

    def step(talk: Talk) -> None:
        talk.expect("PASV")
        deaf = socket.socket()
        deaf.bind(("127.0.0.1", 0))
        talk.printer.kept.append(deaf)
        port = deaf.getsockname()[1]
        talk.say(f"227 Entering Passive Mode (127,0,0,1,{port >> 8},{port & 255}).")

    return step


def stalls(command: str, content: bytes = b"") -> Step:
    """Begin a transfer with ``content`` and then do nothing more until the client has gone."""

    def step(talk: Talk) -> None:
        with contextlib.suppress(OSError), talk.data(command, "127,0,0,1") as sock:
            sock.sendall(content)
            _wait_for_the_end(talk)

    return step


def falls_silent() -> Step:
    """Take the connection and answer nothing, TLS neither, until the client has gone."""
    return _wait_for_the_end


def _wait_for_the_end(talk: Talk) -> None:
    talk.raw = talk.raw if talk.tls is None else talk.tls
    talk.raw.settimeout(0.01)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not talk.printer.closing.is_set():
        try:
            if not talk.raw.recv(65536):
                return
        except TimeoutError:
            continue
        except OSError:
            return


def hangs_up() -> Step:
    """Cut the connection."""

    def step(talk: Talk) -> None:
        sock = talk.tls or talk.raw
        with contextlib.suppress(OSError):  # the driver may be quicker to leave
            sock.shutdown(socket.SHUT_RDWR)

    return step


def plain(text: str) -> Step:
    """Say ``text`` where TLS is due, and hang up."""

    def step(talk: Talk) -> None:
        talk.raw.sendall(text.encode() + b"\r\n")
        with contextlib.suppress(OSError):  # the driver may be quicker to leave
            talk.raw.shutdown(socket.SHUT_WR)
        _wait_for_the_end(talk)

    return step


VSFTPD = "220 (vsFTPd 3.0.5)"
ESP32 = "220 ESP32 FTP Server"


def login(greeting: str = VSFTPD, access_code: str = ACCESS_CODE) -> list[Step]:
    """How every good conversation begins."""
    return [
        says(greeting),
        ask("USER bblp", "331 Please specify the password."),
        ask(f"PASS {access_code}", "230 Login successful."),
        ask("TYPE I", "200 Switching to Binary mode."),
        ask("PBSZ 0", "200 PBSZ set to 0."),
        ask("PROT P", "200 PROT now Private."),
    ]


LOGIN = login()
TOGETHER = [*LOGIN, offers()]
"""The login of a client that sends commands together."""


@dataclass
class ScriptedPrinter:
    """What a test learns of its printer."""

    port: int = 0
    commands: list[str] = field(default_factory=list)
    raw_lines: list[bytes] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    reused: list[bool] = field(default_factory=list)
    """For each data connection, whether it resumed a TLS session."""
    close_notify: list[bool] = field(default_factory=list)
    """For each upload, whether it ended with a close_notify."""
    closing: threading.Event = field(default_factory=threading.Event)
    kept: list[socket.socket] = field(default_factory=list)
    departures: list[str] = field(default_factory=list)

    def target(self, access_code: str = ACCESS_CODE, *, pipelines: bool = False) -> Target:
        """Where it is and how to get in; most scripts are of one command at a time."""
        return Target("127.0.0.1", self.port, access_code, make_context(), manners=Manners(pipelines))

    def verbs(self) -> list[str]:
        """The commands without their arguments, after the logins."""
        quiet = ("USER", "PASS", "TYPE", "PBSZ", "PROT", "PASV", "QUIT")
        return [verb for verb in (command.partition(" ")[0] for command in self.commands) if verb not in quiet]


@contextlib.contextmanager
def scripted(*scripts: list[Step]) -> Iterator[ScriptedPrinter]:
    """Run a printer that holds to ``scripts``, one for each connection; `AssertionError` tells of any departure."""
    printer = ScriptedPrinter()
    try:
        with _running(printer, scripts):
            yield printer
    finally:
        if printer.departures:
            raise AssertionError("; ".join(printer.departures))


@contextlib.contextmanager
def _running(printer: ScriptedPrinter, scripts: Sequence[list[Step]]) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        printer.port = listener.getsockname()[1]
        listener.settimeout(0.01)
        server = threading.Thread(target=_serve, args=(printer, listener, list(scripts)), name="scripted-printer")
        server.start()
        try:
            yield
        finally:
            printer.closing.set()
            server.join()
            for sock in printer.kept:
                sock.close()


def _serve(printer: ScriptedPrinter, listener: socket.socket, scripts: list[list[Step]]) -> None:
    threads: list[threading.Thread] = []
    while not printer.closing.is_set():
        with contextlib.suppress(TimeoutError):
            raw = listener.accept()[0]
            number = len(threads)
            script = scripts[number] if number < len(scripts) else [_unexpected]
            threads.append(threading.Thread(target=_follow, args=(printer, raw, script, number + 1), name="a-talk"))
            threads[-1].start()
    for thread in threads:
        thread.join()
    if len(threads) < len(scripts):
        printer.departures.append(f"{len(scripts)} connections were expected, {len(threads)} came")


def _unexpected(talk: Talk) -> None:
    raise Departure("nobody was expected any more")


def _follow(printer: ScriptedPrinter, raw: socket.socket, script: list[Step], number: int) -> None:
    raw.settimeout(PATIENCE)
    talk = Talk(printer, raw)
    try:
        for step in script:
            step(talk)
        _hear_out(talk)
    except (Departure, OSError) as departure:
        printer.departures.append(f"connection {number}: {departure}")
    finally:
        with contextlib.suppress(OSError):
            (talk.tls or raw).close()


def _hear_out(talk: Talk) -> None:
    """The script is at its end: nothing but a good-bye may follow."""
    if talk.tls is None:
        return
    with contextlib.suppress(OSError):
        talk.tls.settimeout(0.01)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                heard = talk.hear()
            except TimeoutError:
                if talk.printer.closing.is_set():
                    return
                continue
            if heard in (None, "QUIT"):
                return
            raise Departure(f"expected nothing more, heard {heard!r}")


@functools.cache
def server_context() -> ssl.SSLContext:
    """TLS 1.2 with the printer's certificate, as most printers offer it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as folder:
        chain, key, _ = printer_certificate(SERIAL).write(Path(folder))
        context.load_cert_chain(chain, key)
    return context
