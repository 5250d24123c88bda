"""TLS for the MQTT connection: the printer goes by its serial, and its messages have an end."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from bambufs.printer.reports import MAX_BYTES

_LONGEST_MESSAGE = MAX_BYTES + 1024
"""A report with its topic."""


class MessageTooLong(ValueError):
    """The printer announces a message longer than any; the number of its bytes."""


class BoundedSocket(ssl.SSLSocket):
    """A connection that takes no message beyond all measure: paho would gather up to 256 MB for one."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As ever; paho asks here for all that is left of a message. Raises `MessageTooLong`."""
        if buflen > _LONGEST_MESSAGE:
            raise MessageTooLong(buflen)
        return super().recv(buflen, flags)


class NamedContext:
    """A TLS context that checks the printer by its serial: its certificate names no host (OpenBambuAPI tls.md)."""

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        context.sslsocket_class = BoundedSocket
        self._context = context
        self._name = name
        self.check_hostname = context.check_hostname

    def wrap_socket(self, sock: socket.socket, **options: Any) -> ssl.SSLSocket:
        """TLS on ``sock``, with the handshake done."""
        # Shaking hands in here closes the socket when that fails; paho, which would do it later, leaves it open.
        ours = {"server_hostname": self._name, "do_handshake_on_connect": True}
        return self._context.wrap_socket(sock, **options | ours)
