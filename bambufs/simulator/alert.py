"""Ends a TLS connection with a genuine, encrypted, fatal alert, which the ssl module cannot do.

The server's own TLS machinery is fed one record that it cannot decrypt; the alert with which it
protests is passed on to the client.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl

_UNREADABLE_RECORD = bytes([0x17, 3, 3, 0, 48]) + bytes(48)


def send_fatal(connection: ssl.SSLSocket) -> None:
    """Send the alert to the client. The connection cannot be used afterwards."""
    inner, outer = socket.socketpair()
    client = os.dup(connection.fileno())
    try:
        os.dup2(inner.fileno(), connection.fileno())
        outer.sendall(_UNREADABLE_RECORD)
        with contextlib.suppress(OSError):
            connection.recv(1)
        outer.settimeout(1.0)
        with contextlib.suppress(OSError):
            os.write(client, outer.recv(4096))
    finally:
        inner.close()
        outer.close()
        os.close(client)
