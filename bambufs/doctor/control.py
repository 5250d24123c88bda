"""The control connection (MQTT): what is needed to print, and what the printer says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import CertificateRefused, LoginRefused, PrinterBusy, PrinterError, PrinterUnreachable
from ..printer import codes
from ..printer.link import PrinterLink
from ..printer.models import model_of_serial
from ..printer.state import PrinterState
from .finding import Finding, bad, good, note, skipped

if TYPE_CHECKING:
    from .visit import Visit

_DETAILS = 3.0
_WEAK = -75
_FILES_STILL = "Files can be copied without it; printing and bambufs status need it"


def look(visit: Visit) -> Iterator[Finding]:
    """Everything about control; needs the link in ``visit``, started."""
    link = visit.link
    if link is None:
        yield skipped("control", "not looked at, since the printer does not let us in")
        return
    link.wait_for(lambda link: link.is_ready or link.health.is_hopeless or _is_closed(link), visit.patience)
    if not link.is_ready:
        yield _no_control(visit, link)
        return
    link.wait_for(lambda link: bool(link.state.firmware), _DETAILS)
    state = link.state
    yield good("control", f"port {visit.config.mqtt_port} answers; the printer is {state.gcode_state.lower()}")
    yield _serial(visit, link)
    yield _developer_mode(state)
    yield good("firmware", state.firmware) if state.firmware else skipped("firmware", "the printer does not tell it")
    yield from _card(state)
    yield from _wifi(state)
    yield from _messages(state)


def _is_closed(link: PrinterLink) -> bool:
    """Whether it was tried, and there is nobody to be waited for."""
    return link.has_failed and isinstance(link.health.problem, PrinterUnreachable)


def _no_control(visit: Visit, link: PrinterLink) -> Finding:
    problem, port = link.health.problem, visit.config.mqtt_port
    if isinstance(problem, PrinterUnreachable):
        advice = f"on its screen switch on LAN only mode and Developer Mode (Settings, Network). {_FILES_STILL}"
        return bad("control", f"port {port}, for control, is closed", advice)
    if isinstance(problem, LoginRefused):
        return bad("control", "the printer refuses the access code here, though not for files", problem.message)
    if isinstance(problem, CertificateRefused):
        return bad("control", "another certificate is shown here than for files", problem.message, 7)
    if isinstance(problem, PrinterBusy):
        advice = f"close other programs that watch the printer (slicer, app, Home Assistant). {_FILES_STILL}"
        return bad("control", f"the printer takes no further control connection: {problem.message}", advice)
    advice = f"compare the serial number with the one on its screen (Settings, Device). {_FILES_STILL}"
    told = problem.message if isinstance(problem, PrinterError) else "the printer reports nothing"
    return bad("control", told, advice)


def _serial(visit: Visit, link: PrinterLink) -> Finding:
    model = link.state.model or model_of_serial(link.serial)
    named = f"{link.serial}, a printer of the model {model.name}" if model else link.serial
    return good("serial", named if visit.config.serial else f"{named} (taken from its certificate)")


def _developer_mode(state: PrinterState) -> Finding:
    if state.developer_mode is False or any(entry.code == codes.HMS_NOT_AUTHORISED for entry in state.hms):
        advice = (
            "to print from here switch on LAN only mode and then Developer Mode on its screen (Settings, Network); the "
            "access code may change with that. Copying files works without"
        )
        return bad("Developer Mode", "it is off: the printer takes no orders from here", advice)
    if state.developer_mode is None:
        sentence = "printers of this kind do not tell whether it is on; if it is off, a print will be refused"
        return note("Developer Mode", sentence)
    return good("Developer Mode", "it is on, so prints can be started from here")


def _card(state: PrinterState) -> Iterator[Finding]:
    advice = "take the card (or USB stick) out and put it in again; if that does not help, format or replace it"
    if state.storage == "missing":
        yield bad("storage", "the printer says that there is no card (or USB stick) in it", advice)
    elif state.storage == "faulty":
        yield bad("storage", "the printer says that its card (or USB stick) is not as it should be", advice)


def _wifi(state: PrinterState) -> Iterator[Finding]:
    match = re.match(r"-\d+", state.wifi_signal)
    if match and int(match[0]) < _WEAK:
        advice = "copies will be slow and may break off: move the printer or the router nearer"
        yield note("Wi-Fi", f"the printer's signal is weak ({match[0]} dBm)", advice)


def _messages(state: PrinterState) -> Iterator[Finding]:
    fault = state.print_fault
    if fault:
        yield note("messages", f"{fault.code}: {fault.meaning}")
    for entry in state.hms:
        if entry.code != codes.HMS_NOT_AUTHORISED:
            yield note("messages", f"{entry.code}: {entry.meaning}")
