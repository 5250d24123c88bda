"""A plain FTPS client for trying servers by themselves, without the driver: ftplib with implicit TLS."""

from __future__ import annotations

import ftplib
import socket
import ssl
from typing import Any


class PlainClient(ftplib.FTP_TLS):
    """Logs in as ``bblp``. With ``reuse`` data connections resume the control connection's session."""

    def __init__(self, host: str, port: int, access_code: str, *, reuse: bool = True, timeout: float = 10.0) -> None:
        self._reuse = reuse
        self._plain_or_tls: Any = None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(context=context, timeout=timeout)
        try:
            self.connect(host, port)
            self.login("bblp", access_code)
            self.prot_p()
        except BaseException:
            self.close()
            raise

    @property
    def sock(self) -> Any:
        """The control connection; it speaks TLS from the first byte."""
        return self._plain_or_tls

    @sock.setter
    def sock(self, value: Any) -> None:
        if value is not None and not isinstance(value, ssl.SSLSocket):
            value = self.context.wrap_socket(value)
        self._plain_or_tls = value

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Open a data connection as ftplib does, with or without a resumed session."""
        plain, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        try:
            return self.context.wrap_socket(plain, session=self.sock.session if self._reuse else None), size
        except BaseException:
            plain.close()
            raise
