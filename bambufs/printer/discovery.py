"""Printers that announce themselves: NOTIFY datagrams, much like SSDP, to UDP port 2021 every few seconds.

They go to the broadcast address or to 239.255.255.250; the headers are those that Doridian/OpenBambuAPI and
maziggy/bambuddy (discovery.py) name. Whether printers answer a question is not known, so none is asked. What comes
from the network is not to be trusted: no control characters get through, and the sender's address counts when the
announced one makes no sense.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from ..errors import UsageError
from .models import Model, find_model, model_of_serial

PORT = 2021
_GROUP = "239.255.255.250"
_KIND = "urn:bambulab-com:device:3dprinter:1"
_LARGEST = 4096
_LONGEST_NAME = 64


@dataclass(frozen=True)
class Announcement:
    """What a printer says of itself. ``signal`` is its Wi-Fi's strength in dBm, None where it is not told."""

    name: str
    serial: str
    address: str
    model_code: str
    signal: int | None
    firmware: str
    is_lan_only: bool

    @property
    def model(self) -> Model | None:
        """The model, by the code or by the serial number."""
        return find_model(self.model_code) or model_of_serial(self.serial)

    @property
    def model_name(self) -> str:
        """The model for a person, or its code when it is a new one."""
        return self.model.name if self.model else self.model_code or "unknown"


def parse(datagram: bytes, sender: str) -> Announcement | None:
    """The announcement in ``datagram``, or None when it is something else."""
    first, *lines = datagram.decode("utf-8", "replace").splitlines() or [""]
    headers = {key.strip().lower(): _clean(value) for key, has, value in (line.partition(":") for line in lines) if has}
    if not first.startswith("NOTIFY ") or headers.get("nt", _KIND) != _KIND:
        return None
    serial = headers.get("usn", "")
    if not re.fullmatch(r"[A-Za-z0-9]{6,32}", serial):
        return None
    signal = headers.get("devsignal.bambu.com", "")
    return Announcement(
        name=headers.get("devname.bambu.com", "")[:_LONGEST_NAME],
        serial=serial,
        address=_address(headers.get("location", ""), sender),
        model_code=headers.get("devmodel.bambu.com", ""),
        signal=int(signal) if re.fullmatch(r"-?\d{1,3}", signal) else None,
        firmware=headers.get("devversion.bambu.com", ""),
        is_lan_only=headers.get("devconnect.bambu.com", "lan") == "lan",
    )


def _clean(text: str) -> str:
    return "".join(character for character in text.strip() if character.isprintable())


def _address(told: str, sender: str) -> str:
    """Printers give their bare address as the location; a URL is taken as well."""
    host = re.sub(r"^\w+://", "", told).partition("/")[0]
    host = host.partition(":")[0] if host.count(":") == 1 else host
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return sender


def listen(
    seconds: float, *, settle: float | None = None, port: int = PORT, clock: Callable[[], float] = time.monotonic
) -> Iterator[Announcement]:
    """Yield each printer that announces itself within ``seconds``, once, and again when it says something else.

    With ``settle`` that many seconds after the first one are enough: each announces itself every few seconds. Other
    programs may listen too. Raises `UsageError` when one has the port for itself.
    """
    known: dict[str, tuple[str, str]] = {}
    with _socket(port) as receiver:
        deadline = clock() + seconds
        while (left := deadline - clock()) > 0:
            receiver.settimeout(left)
            try:
                datagram, (sender, *_) = receiver.recvfrom(_LARGEST)
            except TimeoutError:
                return
            found = parse(datagram, sender)
            if found is not None and known.get(found.serial) != (found.address, found.name):
                if not known and settle is not None:
                    deadline = min(deadline, clock() + settle)
                known[found.serial] = (found.address, found.name)
                yield found


def _socket(port: int) -> socket.socket:
    """A socket on ``port`` that shares it with Bambu Studio and others who are willing to."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(receiver, port)
        with suppress(OSError):  # broadcasts come without it; and there may be no network at all
            membership = struct.pack("4sl", socket.inet_aton(_GROUP), socket.INADDR_ANY)
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    except BaseException:
        receiver.close()
        raise
    return receiver


def _bind(receiver: socket.socket, port: int) -> None:
    try:
        receiver.bind(("", port))
    except OSError:
        # One that shares by SO_REUSEPORT alone. Not at first, since that divides what is sent to this computer alone.
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            receiver.bind(("", port))
        except OSError as error:
            raise UsageError(
                f"printers announce themselves at UDP port {port}, and that cannot be listened to here "
                f"({(error.strerror or '').lower()}). Another program may have it for itself: close Bambu Studio and "
                "its like and try again, or take the address from the printer's screen (Settings, Network)",
                1,
            ) from error
