"""One control connection of a simulated printer: reading commands, and answering them.

A session runs in its own thread, transfers included. What each command does is in `commands`
and `transfers`; this module knows only the conversation.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Protocol

from bambufs.simulator import alert
from bambufs.simulator.card_store import join, split
from bambufs.simulator.data import Channel, DataPort
from bambufs.simulator.machine import Machine
from bambufs.simulator.quirk_table import MODELS

_LONGEST_COMMAND = 4096
_READ = 8192
_HANDSHAKE_TIMEOUT = 60.0


class SessionOver(Exception):
    """The control connection is to be closed."""


class DataPorts(Protocol):
    """Where a session gets its data port from."""

    def data_port(self) -> DataPort: ...


class Session:
    """One client. Public attributes are the state that commands change."""

    def __init__(
        self,
        machine: Machine,
        connection: socket.socket,
        *,
        number: int,
        ports: DataPorts,
        transfers_refused: bool = False,
    ) -> None:
        self.machine = machine
        self.quirks = machine.quirks
        self.card = machine.card
        self.number = number
        self.ports = ports
        self.transfers_refused = transfers_refused
        self.context = machine.tls_context()
        self.ended = threading.Event()
        self.user = ""
        self.is_logged_in = False
        self.failures = 0
        self.protection = ""
        self.cwd = "/"
        self.cwd_after: str | None = None
        self.rename_from: str | None = None
        self.restart_at = 0
        self.port: DataPort | None = None
        self.channel: Channel | None = None
        self.verb = ""
        self._position: int | None = None
        self._socket = connection
        self._unread = b""

    def run(self, carry_out: Callable[[Session, str, str], None]) -> None:
        """Talk until the client leaves, giving every command to ``carry_out``."""
        try:
            self._secure()
            self.reply(220, MODELS[self.quirks.model].banner, fact=True)
            while True:
                self._next_command(carry_out)
        except (SessionOver, OSError, ssl.SSLError):
            pass  # the client is gone, or is to be gone
        finally:
            self.close()

    # -- for commands

    def reply(self, code: int, text: str, *, fact: bool = False) -> None:
        """Send one reply line. A terse printer sends the text only where it is a ``fact``."""
        shown = text if fact or not self.quirks.flag("terse") else ""
        if code >= 200:
            self.machine.gates.pass_point(self.verb, "reply", self.ended)
        self._send_line(f"{code} {shown}")

    def reply_lines(self, code: int, first: str, lines: list[str], last: str) -> None:
        """Send a reply of several lines."""
        body = "".join(f" {line}\r\n" for line in lines)
        self._send_line(f"{code}-{first}\r\n{body}{code} {last}")

    def path_of(self, argument: str) -> str:
        """The absolute path that an argument means. Raises `FileNotFoundError` where it means none."""
        if not self.quirks.flag("cwd_lost"):
            return join(split(argument, self.cwd))
        while "//" in argument:
            argument = argument.replace("//", "/")
        opened = _open_child(self.cwd, argument)
        if argument:
            self.cwd_after = opened[: opened.find(argument)]
        if opened and not opened.startswith("/"):
            raise FileNotFoundError(opened)  # relative to nowhere: the folder was lost
        return join(split(opened or "/"))

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the session lives."""
        self.ended.wait(seconds)

    @property
    def local_address(self) -> str:
        """The address at which the client found the printer."""
        return str(self._socket.getsockname()[0])

    def drop_port(self) -> None:
        if self.port is not None:
            self.port.after_use()
            self.port = None

    def shut_down(self) -> None:
        """End this session from another thread."""
        self.ended.set()
        channel = self.channel
        if channel is not None:
            channel.shut_down()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        channel, self.channel = self.channel, None
        if channel is not None:  # the session ended in the middle of a transfer
            channel.close()
        self.drop_port()
        if isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._socket.settimeout(0)
                self._socket.unwrap()
        self._socket.close()

    # -- within

    def _secure(self) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(_HANDSHAKE_TIMEOUT)
        self._socket.getpeername()  # raises when the client has reset it; wrap_socket would then leak the socket
        self._socket = secured = self.context.wrap_socket(
            self._socket, server_side=True, do_handshake_on_connect=False
        )
        if self.ended.is_set():  # by somebody who still saw the socket without TLS
            raise SessionOver
        secured.do_handshake()

    def _next_command(self, carry_out: Callable[[Session, str, str], None]) -> None:
        line = self._read_line()
        if not line and self.quirks.family == "vsftpd":
            return  # not worth an answer
        word, _, argument = line.partition(" ")
        self.verb = word.upper()
        self._position = self.machine.log.add(session=self.number, verb=self.verb, argument=argument)
        self.machine.gates.pass_point(self.verb, "command", self.ended)
        self.cwd_after = None
        carry_out(self, self.verb, argument)
        self._settle()

    def _settle(self) -> None:
        if self.cwd_after is not None:
            self.cwd = self.cwd_after
        self.verb, self._position = "", None

    def _send_line(self, line: str) -> None:
        pieces = self.machine.reply(self.verb, os.fsencode(line + "\r\n"))
        for piece in (pieces,) if isinstance(pieces, bytes) else pieces:
            if self._position is not None and isinstance(pieces, bytes):
                self.machine.log.add_reply(self._position, os.fsdecode(piece).rstrip("\r\n"))
            self._socket.sendall(piece)

    def _read_line(self) -> str:
        while b"\n" not in self._unread:
            self._unread += self._receive()
            if self.quirks.flag("one_command_per_read"):
                break
            if len(self._unread) > _LONGEST_COMMAND and b"\n" not in self._unread:
                self._send_line("500 Input line too long.")
                raise SessionOver
        line, _, rest = self._unread.partition(b"\n")
        self._unread = b"" if self.quirks.flag("one_command_per_read") else rest
        return os.fsdecode(line.rstrip(b"\r"))

    def _receive(self) -> bytes:
        self._socket.settimeout(self.quirks.number("idle_timeout"))
        try:
            received = self._socket.recv(_READ)
        except TimeoutError:
            self._end_idle()
        if not received:
            raise SessionOver
        if self.machine.latency:
            self.pause(self.machine.latency)
        return received

    def _end_idle(self) -> None:
        how = self.quirks.text("idle_end")
        if how in ("421", "221"):
            self._send_line(f"{how} " + ("" if self.quirks.flag("terse") else "Timeout."))
        elif how == "alert" and isinstance(self._socket, ssl.SSLSocket):
            alert.send_fatal(self._socket)
        elif how == "eof":
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        raise SessionOver


def _open_child(path: str, name: str) -> str:
    """The path arithmetic of the ESP32 server, with its faults: an absolute name replaces all."""
    if not name or name.startswith("/"):
        return name or path
    glue = "/" if len(path) > 1 and not path.endswith("/") else ""
    return path + glue + name
