"""A plain FTPS client on ftplib: what anybody would write, without any of bambufs in it."""

from __future__ import annotations

import contextlib
import ftplib
import re
import socket
import ssl
from typing import Literal

Closing = Literal["one-way", "two-way", "bare"]
TIMEOUT = 10.0


def client_context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> ssl.SSLContext:
    """A context that trusts everybody and speaks one version of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    return context


class PlainClient(ftplib.FTP_TLS):
    """Implicit TLS; every data connection resumes the session unless ``reuse`` is off."""

    def __init__(
        self, *, reuse: bool = True, context: ssl.SSLContext | None = None, timeout: float = TIMEOUT
    ) -> None:
        super().__init__(context=context or client_context(), timeout=timeout, encoding="utf-8")
        self.reuse = reuse

    def open(self, host: str, port: int) -> PlainClient:
        """Connect with TLS from the first byte and read the greeting."""
        self.host, self.port = host, port
        raw = socket.create_connection((host, port), self.timeout)
        try:
            self.af = raw.family
            self.sock = self.context.wrap_socket(raw)
        except BaseException:
            raw.close()
            raise
        self.file = self.sock.makefile("r", encoding="utf-8", errors="surrogateescape")
        self.welcome = self.getresp()
        return self

    def sign_in(self, code: str = "12345678", user: str = "bblp") -> PlainClient:
        """Log in and protect the data connections."""
        self.sendcmd(f"USER {user}")
        self.sendcmd(f"PASS {code}")
        self.voidcmd("TYPE I")
        self.voidcmd("PBSZ 0")
        self.voidcmd("PROT P")
        return self

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        session = self.sock.session if self.reuse and isinstance(self.sock, ssl.SSLSocket) else None
        try:
            return self.context.wrap_socket(connection, session=session), size
        except BaseException:
            connection.close()
            raise

    def answer(self, command: str) -> str:
        """The reply line to ``command``, whatever its code."""
        self.putcmd(command)
        return self.getmultiline()

    def code(self, command: str) -> str:
        """The three digits of the reply to ``command``."""
        return self.answer(command)[:3]

    def begin_store(self, path: str, content: bytes) -> socket.socket:
        """Send ``content`` to ``path`` and leave the data connection open."""
        connection = self.transfercmd(f"STOR {path}")
        try:
            connection.sendall(content)
        except BaseException:
            connection.close()
            raise
        return connection

    def store(self, path: str, content: bytes, *, closing: Closing = "one-way") -> str:
        """Store and return the final reply line."""
        close_data(self.begin_store(path, content), closing)
        return self.getmultiline()

    def lines(self, command: str = "LIST") -> list[str]:
        """The lines of a listing; raises ftplib's errors."""
        found: list[str] = []
        self.retrlines(command, found.append)
        return found

    def fetch(self, path: str, *, rest: int | None = None) -> tuple[bytes, str]:
        """The content that came and the final reply line."""
        connection = self.transfercmd(f"RETR {path}", rest)
        content = read_all(connection)
        close_data(connection, "one-way")
        return content, self.getmultiline()

    def passive_address(self) -> tuple[str, int]:
        """What PASV answers."""
        numbers = [int(number) for number in re.findall(r"\d+", self.answer("PASV")[3:])]
        return ".".join(map(str, numbers[:4])), numbers[4] * 256 + numbers[5]


def read_all(connection: socket.socket) -> bytes:
    """Everything until the end of the stream."""
    content = b""
    while block := connection.recv(65536):
        content += block
    return content


def close_data(connection: socket.socket, closing: Closing) -> None:
    """End a data connection with the client's close_notify, with both, or with none."""
    assert isinstance(connection, ssl.SSLSocket)
    if closing != "bare":
        if closing == "one-way":
            connection.settimeout(0)
        with contextlib.suppress(ssl.SSLError, OSError):
            connection.unwrap()
    connection.close()
