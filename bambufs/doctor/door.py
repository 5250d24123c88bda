"""The way in: address, port, TLS and certificate, login. All of it is told by one session that is opened."""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import (
    CertificateRefused,
    LoginRefused,
    PrinterBusy,
    PrinterError,
    PrinterSilent,
    PrinterUnreachable,
    UsageError,
)
from ..printer import sockets, trust
from ..printer.models import find_model
from .finding import Finding, bad, good, note, skipped
from .patience import within_moments

if TYPE_CHECKING:
    from .visit import Visit

_EXIT_CODE, _EXIT_AWAY, _EXIT_CERTIFICATE, _EXIT_BUSY = 3, 4, 7, 8
_LAN_MODE = "on its screen switch on LAN only mode, and where there is one Developer Mode (Settings, Network)"
_SLOW = 5.0


def look(visit: Visit) -> Iterator[Finding]:
    """Address, port, TLS, certificate, login; leaves the session, or the trouble, in ``visit``."""
    address = _address(visit.config.host)
    yield address
    if address.exit_code:
        visit.trouble = PrinterUnreachable(address.sentence)
        return
    told = _told_by_mount(visit.mounted_on)
    if told is not None and _has_one_connection(told):
        visit.trouble = PrinterBusy("the mount uses its only connection")
        yield _mounted(visit, told)
        return
    began = time.monotonic()
    try:
        visit.session = visit.open_session()
    except PrinterError as error:
        visit.trouble = error
    yield from _port(visit)
    yield from _tls(visit)
    yield from _certificate(visit)
    yield from _login(visit, time.monotonic() - began)


def control_may_answer(visit: Visit) -> bool:
    """Whether the control port is worth a try although the files are closed to us."""
    if isinstance(visit.trouble, PrinterBusy):
        return True
    return isinstance(visit.trouble, PrinterUnreachable) and _answers(visit, visit.config.mqtt_port)


def _answers(visit: Visit, port: int) -> bool:
    try:
        with closing(sockets.connect(visit.config.host, port, visit.timeouts.connect)):
            return True
    except (OSError, UnicodeError):
        return False


def _told_by_mount(place: Path | None) -> dict[str, Any] | None:
    """The file status.json of the mount on ``place``; None without a mount that answers."""

    def read() -> dict[str, Any] | None:
        try:
            return dict(json.loads((place / ".bambufs" / "status.json").read_text())) if place is not None else None
        except (OSError, ValueError, TypeError):
            return None

    return within_moments(read)


def _has_one_connection(told: dict[str, Any]) -> bool:
    model = find_model(str(told.get("model") or ""))
    return model is not None and model.series in ("P1", "A1")


def _mounted(visit: Visit, told: dict[str, Any]) -> Finding:
    """What the mount says of the printer's only connection, which it uses."""
    place, door = visit.mounted_on, told.get("ftps")
    trouble = door.get("trouble") if isinstance(door, dict) else None
    if trouble:
        sentence = f"it is mounted on {place} here, and the mount says: {trouble}"
        return bad("login", sentence, _who_else(visit), _EXIT_BUSY)
    advice = f"to have its files looked at: bambufs unmount {place}, and check again"
    return note("login", f"it is mounted on {place} here, which uses its only connection, and is well", advice)


def _address(host: str) -> Finding:
    try:
        ipaddress.ip_address(host.partition("%")[0])
        return good("address", f"{host}")
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return good("address", f"{host} is {found[0][4][0]}")
    except (OSError, UnicodeError):
        advice = "use the address from the printer's screen (Settings, Network), or see bambufs discover"
        return bad("address", f"no printer is known by the name {host}", advice, _EXIT_AWAY)


def _port(visit: Visit) -> Iterator[Finding]:
    port, trouble = visit.config.ftps_port, visit.trouble
    if not isinstance(trouble, PrinterUnreachable):
        yield good("port", f"port {port}, for files, is open")
    elif _answers(visit, visit.config.mqtt_port):
        sentence = f"port {port}, for files, is closed, while port {visit.config.mqtt_port}, for control, is open"
        yield bad("port", sentence, f"the printer is there; {_LAN_MODE}", _EXIT_AWAY)
    else:
        yield bad("port", f"nobody answers at {visit.config.host} port {port}", _where_is_it(visit), _EXIT_AWAY)


def _where_is_it(visit: Visit) -> str:
    """What to do about a printer that is not at its address; perhaps it announces itself at another."""
    serial = visit.config.serial
    try:
        found = next((printer for printer in visit.find() if printer.serial == serial), None) if serial else None
    except UsageError:
        found = None
    if found is not None and found.address != visit.config.host:
        return f"the printer {serial} is at {found.address} now: use that address, and fix it in your router"
    return (
        "is the printer switched on, and in the same network as this computer? Compare the address with the one on its "
        f"screen (Settings, Network); bambufs discover looks for printers. If the address is right, {_LAN_MODE}"
    )


def _tls(visit: Visit) -> Iterator[Finding]:
    trouble = visit.trouble
    if visit.certificate or visit.session is not None:
        yield good("encryption", "the connection is encrypted (TLS 1.2)")
    elif isinstance(trouble, PrinterUnreachable):
        yield skipped("encryption", "not looked at, since the port is closed")
    elif isinstance(trouble, PrinterBusy):
        yield bad("encryption", _brief(trouble), _who_else(visit), _EXIT_BUSY)
    elif isinstance(trouble, CertificateRefused):
        yield good("encryption", "the printer offers an encrypted connection")
    else:
        advice = "if this stays so, update the printer's firmware; bambufs speaks TLS 1.2, as all known printers do"
        yield bad("encryption", f"no encrypted connection comes about: {trouble}", advice)


def _brief(trouble: PrinterBusy) -> str:
    if isinstance(trouble, PrinterSilent):
        return "the printer accepts the connection and then says nothing: its connection is taken, or it hangs"
    return "the printer says that all its connections are taken"


def _who_else(visit: Visit) -> str:
    if visit.mounted_on is not None:
        return f"it is mounted on {visit.mounted_on} here: bambufs unmount {visit.mounted_on}, and check again"
    return (
        "close what else may be using it (Bambu Studio, Home Assistant, OctoPrint, a mount on another computer) or "
        "wait five minutes; if nothing helps, switch the printer off and on"
    )


def _certificate(visit: Visit) -> Iterator[Finding]:
    mode, trouble = visit.config.tls_trust, visit.trouble
    if not visit.certificate:
        if isinstance(trouble, CertificateRefused):
            advice = "check the serial number and the file named by tls_ca"
            yield bad("certificate", str(trouble), advice, _EXIT_CERTIFICATE)
        else:
            yield skipped("certificate", "not looked at")
        return
    name, issuer = trust.common_name(visit.certificate), trust.issuer_name(visit.certificate)
    whose = f"it is that of {name or 'nobody'}, signed by {issuer or 'nobody'}"
    if isinstance(trouble, CertificateRefused):
        advice = (
            "if the printer was reset, repaired or replaced, or has got another printer's address: bambufs trust "
            f"{visit.config.trust_key}. If not, somebody may be listening in. The access code was not sent"
        )
        yield bad("certificate", f"it is not the one that is remembered; {whose}", advice, _EXIT_CERTIFICATE)
    elif visit.config.serial and name and name != visit.config.serial:
        advice = f"is this the right printer? If so, its serial number is {name}"
        yield bad("certificate", f"{whose}, and not of {visit.config.serial} as configured", advice, _EXIT_CERTIFICATE)
    elif mode == "none":
        advice = "leave out tls_trust none, and it will be remembered"
        yield note("certificate", f"{whose}; it is not checked, so anybody could pose as the printer", advice)
    elif mode == "ca":
        yield good("certificate", f"{whose}, and the authority you named confirms it")
    elif visit.remembered is None:
        yield good("certificate", f"{whose}; it will be remembered at the first mount")
    else:
        yield good("certificate", f"{whose}, as remembered")


def _login(visit: Visit, seconds: float) -> Iterator[Finding]:
    trouble, origin = visit.trouble, f"; the one tried came from {visit.code_origin}" if visit.code_origin else ""
    if isinstance(trouble, LoginRefused):
        advice = (
            f"compare it with the one on the printer's screen (Settings, LAN only mode){origin}. It changes when that "
            "mode is switched"
        )
        yield bad("login", "the printer refuses the access code", advice, _EXIT_CODE)
    elif visit.session is None and visit.certificate and not isinstance(trouble, CertificateRefused):
        busy = isinstance(trouble, PrinterBusy)
        yield bad("login", f"it does not come about: {trouble}", _who_else(visit), _EXIT_BUSY if busy else 1)
    elif visit.session is None:
        yield skipped("login", "not tried, and the access code was not sent")
    elif seconds > _SLOW:
        yield note("login", f"the printer lets us in, after {seconds:.0f} seconds", "is its Wi-Fi weak?")
    else:
        yield good("login", "the printer lets us in")
