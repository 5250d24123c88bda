"""Why there is no MQTT connection, or nothing comes over it: as one of `bambufs.errors`, in sentences for the owner.

Only words: nothing here waits, sends, or knows the link.
"""

from __future__ import annotations

import socket
import ssl

from bambufs.errors import (
    CertificateRefused,
    ConnectionDropped,
    InvalidName,
    LoginRefused,
    PrinterBusy,
    PrinterError,
    PrinterUnreachable,
)
from bambufs.printer.linktls import MessageTooLong


def silence(host: str, serial: str) -> str:
    """A connection over which nothing comes: that is how a wrong serial shows."""
    return (
        f"The printer at {host} accepts the connection but reports nothing for the serial number "
        f"{serial or '(unknown)'}. Compare it with the one on the printer's screen (Settings, Device)."
    )


def half_told(wait: float) -> str:
    """The whole state is not known, and is not asked for within the next ``wait`` seconds."""
    return (
        "The connection to the printer was lost for a moment, and it has not told its whole state since. It is "
        f"asked for that in {wait:.0f} s, since asking more often slows it down. Try again then."
    )


def hung_up(host: str, serial: str, *, has_reported: bool) -> PrinterError:
    """The printer has ended the connection without an error."""
    if has_reported:
        return ConnectionDropped("The printer closed the connection; connecting again.")
    return PrinterBusy(
        f"The printer at {host} closes the connection at once. Its 4 or 5 MQTT connections may be taken by "
        f"other programs (slicer, app, Home Assistant), or {serial or 'the serial number'} is not its own."
    )


def failed(error: OSError | ValueError, host: str, port: int) -> PrinterError:
    """An error of the network, as what the owner of the printer can do."""
    where = f"{host} port {port}"
    if isinstance(error, MessageTooLong):
        return ConnectionDropped(f"The printer sends a message of {error} bytes, longer than any; connecting anew.")
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateRefused(f"The certificate of {host} is not trusted: {error.verify_message}.")
    if isinstance(error, ConnectionRefusedError):
        return PrinterUnreachable(f"{where} refuses connections. Is LAN mode switched on at the printer?")
    if isinstance(error, TimeoutError):
        return PrinterUnreachable(f"{where} does not answer. Is the printer switched on and in this network?")
    if isinstance(error, socket.gaierror):
        return PrinterUnreachable(f"The name {host} cannot be resolved; use the printer's IP address.")
    if isinstance(error, ssl.SSLError | ConnectionResetError | BrokenPipeError):
        return PrinterBusy(f"{where} breaks off the connection; its connections may be taken by other programs.")
    return PrinterUnreachable(f"{where} cannot be reached: {error}.")


def login_refused(code: int, text: str) -> PrinterError:
    """MQTT's reason codes: 134 and 135 wrong name or password, 136 and 137 unavailable or busy."""
    if code in (134, 135):
        return LoginRefused(
            "The printer refuses the access code. It is on the printer's screen (Settings, LAN Only), and changes "
            "when it is refreshed or the LAN mode is switched."
        )
    if code in (136, 137):
        return PrinterBusy("The printer takes no more MQTT connections at the moment; close another program's.")
    return PrinterUnreachable(f"The printer refuses the MQTT connection ({text}).")


def report_refused(serial: str) -> PrinterError:
    """The printer lets nobody hear its reports under that serial number."""
    return PrinterBusy(f"The printer refuses to report to us. Is {serial} its serial number?")


def unknown_serial() -> InvalidName:
    """Neither the configuration nor the certificate tells the serial number."""
    return InvalidName(
        "The printer's serial number is not known, and its certificate does not tell it. Look it up on the "
        "printer's screen (Settings, Device) and set it as serial in the configuration."
    )
