"""What a reply code or a network failure means, as one of `bambufs.errors`.

Only translates: no lock, no retry. A reply code never becomes an errno. 550 is not "missing": vsFTPd
gives it for missing, not empty and forbidden alike, so `Card` looks at the listing to tell.
"""

from __future__ import annotations

import errno
import ftplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import (
    CardFull,
    CardRefused,
    CertificateRefused,
    ConnectionDropped,
    DataRefused,
    LoginRefused,
    NotSupported,
    PrinterBusy,
    PrinterError,
    PrinterSilent,
    PrinterTimeout,
    PrinterUnreachable,
)

_FULL = "the printer's card is full; delete something (old timelapses are often the biggest) and copy again"
_NO_DATA = (
    "the printer gives no connection for data; another program (Bambu Studio, Home Assistant, another mount) uses it. "
    "Close that and try again"
)
_CODE = (
    "check it on the printer's screen (Settings, LAN only mode). It changes when that mode is switched; then give "
    "bambufs the new one and mount again"
)


_MAX_SHOWN = 200

_GONE = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN)


@contextmanager
def translating(path: str | None, *, storing: bool = False) -> Iterator[None]:
    """Turn what `ftplib`, `ssl` and `socket` raise in this block into a `PrinterError` about ``path``.

    ``storing`` tells that the block uploads: 451 then means that the card took no more.
    """
    try:
        yield
    except PrinterError:
        raise
    except (ftplib.error_temp, ftplib.error_perm, ftplib.error_reply) as answer:
        raise _of_reply(str(answer), path, storing) from answer
    except OSError as gone:
        raise _of_network(gone, path) from gone
    except (ftplib.Error, EOFError, ValueError) as broken:
        raise _lost(broken, path) from broken


def _lost(broken: Exception, path: str | None) -> ConnectionDropped:
    return ConnectionDropped(f"the connection to the printer was lost ({_brief(broken)}); try again", path)


def _of_network(error: OSError, path: str | None) -> PrinterError:
    """What a failure of the network means: the printer is gone, is silent, or has hung up.

    The kernel's own time-out has an errno: nothing that was sent has reached the other machine.
    """
    if error.errno in _GONE:
        return PrinterUnreachable("the printer is not in the network any more; is it switched on?", path)
    if isinstance(error, TimeoutError):
        return PrinterTimeout("the printer stopped answering; is it switched on and in the network?", path)
    return _lost(error, path)


@contextmanager
def connecting(host: str, port: int, *, reached: bool = False) -> Iterator[None]:
    """The same while connecting to ``host``; ``reached`` once the port has accepted the connection."""
    try:
        yield
    except PrinterError:
        raise
    except (socket.gaierror, UnicodeError) as unknown:
        raise PrinterUnreachable(f"no printer is known by the name {host}; check it, or use the address") from unknown
    except ftplib.error_perm as answer:
        if str(answer).startswith("530"):
            raise LoginRefused(f"the printer at {host} refuses the access code; {_CODE}") from answer
        raise ConnectionDropped(f"the printer at {host} does not let anybody in ({shown(str(answer))})") from answer
    except (ftplib.error_temp, ssl.SSLError) as answer:
        raise _refused_at_door(answer, host) from answer
    except TimeoutError as late:
        if reached:
            raise PrinterSilent(
                f"the printer at {host} accepts the connection but does not answer; it hangs, or another program "
                "(Bambu Studio, Home Assistant, another mount) holds its only connection"
            ) from late
        raise PrinterUnreachable(f"no printer answers at {host}; is it switched on and in this network?") from late
    except (ftplib.Error, EOFError) as broken:
        raise ConnectionDropped(f"the printer at {host} hung up during login; try again in a moment") from broken
    except OSError as down:
        why = f"{_brief(down)} at port {port}" if not reached else _brief(down)
        raise PrinterUnreachable(
            f"no printer answers at {host} ({why}); is it switched on, in this network, and in LAN only mode?"
        ) from down


def _refused_at_door(answer: Exception, host: str) -> PrinterError:
    """Why login ended early. vsFTPd over its limit says 421 in plain text where TLS is due, hence the odd TLS error."""
    if isinstance(answer, ssl.SSLCertVerificationError):
        return CertificateRefused(
            f"the certificate of the printer at {host} is not signed by the authority you named "
            f"({answer.verify_message}); check the serial and the CA file"
        )
    if isinstance(answer, ftplib.error_temp) or getattr(answer, "reason", "") == "WRONG_VERSION_NUMBER":
        return PrinterBusy(f"all connections of the printer at {host} are taken; close another program that uses it")
    return ConnectionDropped(f"the printer at {host} hung up during login ({_brief(answer)}); try again in a moment")


def _of_reply(whole: str, path: str | None, storing: bool) -> PrinterError:
    code, reply = whole[:3], shown(whole)
    if code == "530":
        return LoginRefused(f"the printer refuses the access code; {_CODE}", path)
    if code in ("452", "552") or (storing and code == "451"):
        return CardFull(_FULL, path)
    if code == "425":
        return DataRefused(_NO_DATA, path)
    if code in ("421", "426", "522"):
        return ConnectionDropped(f"the printer broke off the transfer ({reply}); try again", path)
    if code in ("500", "501", "502", "504"):
        return NotSupported("this printer does not know how to do that", path, reply)
    if code[:1] in "45" and code.isdigit():
        return CardRefused(f"the printer refuses this ({reply})", path, reply)
    return ConnectionDropped(f"the printer gave an answer out of turn ({reply}); try again", path)


def shown(reply: str) -> str:
    """A reply as it may stand in a sentence: one line, short, and without what would steer a terminal."""
    line = "".join(letter if letter.isprintable() else " " for letter in reply[:_MAX_SHOWN])
    return f"{line}..." if len(reply) > _MAX_SHOWN else line


def _brief(error: BaseException) -> str:
    """A few words for an error of the network, free of Python's own jargon."""
    if isinstance(error, ssl.SSLError):
        return (getattr(error, "reason", None) or "it hung up").replace("_", " ").lower()
    if isinstance(error, EOFError):
        return "it hung up"
    if isinstance(error, ftplib.Error | ValueError):
        return "its answer makes no sense"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
