"""Announces a simulated printer as real ones do: NOTIFY datagrams to UDP port 2021, every few seconds.

The headers are those that printers send (Doridian/OpenBambuAPI, maziggy/bambuddy discovery.py). A real
printer broadcasts; this one sends to one address, by default this machine alone.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from bambufs.simulator.quirk_table import MODELS

PORT = 2021
_JOIN = 10.0


def announcement(*, model: str, serial: str, address: str, name: str) -> bytes:
    """One NOTIFY datagram."""
    known = MODELS[model]
    lines = (
        "NOTIFY * HTTP/1.1",
        "Host: 239.255.255.250:1990",
        "Server: UPnP/1.0",
        f"Location: {address}",
        "NT: urn:bambulab-com:device:3dprinter:1",
        f"USN: {serial}",
        "Cache-Control: max-age=1800",
        f"DevModel.bambu.com: {known.code}",
        f"DevName.bambu.com: {name}",
        "DevSignal.bambu.com: -49",
        "DevConnect.bambu.com: lan",
        "DevBind.bambu.com: free",
        "Devseclink.bambu.com: secure",
        f"DevVersion.bambu.com: {known.firmware}",
        "DevCap.bambu.com: 1",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


class Announcer:
    """Sends ``datagram`` to ``destination`` every ``interval`` seconds, from `start` to `close`."""

    def __init__(self, datagram: bytes, *, destination: tuple[str, int], interval: float = 5.0) -> None:
        self._datagram = datagram
        self._destination = destination
        self._interval = interval
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN)

    def _run(self) -> None:
        family = socket.AF_INET6 if ":" in self._destination[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            while True:
                with contextlib.suppress(OSError):  # nobody listens, or no network
                    sender.sendto(self._datagram, self._destination)
                if self._closing.wait(self._interval):
                    return
