"""Doors: from a `Config` to the two connections of its printer, with the certificate checked on both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from ..config import Config
from ..errors import UsageError
from . import trust
from .card import Card
from .health import DoorHealth
from .leftovers import Leftovers
from .link import PrinterLink
from .pool import SessionPool
from .session import FtpsSession, Manners, Target, Timeouts

CheckCertificate: TypeAlias = Callable[[bytes], None]


def trust_store(cache_dir: Path) -> trust.TrustStore:
    """The certificates that are remembered on this computer."""
    return trust.TrustStore(cache_dir / "trust.json")


def certificate_check(config: Config) -> CheckCertificate:
    """What to call with the certificate that the printer shows, on either port; see `trust.checker`."""
    return trust.checker(config.tls_trust, trust_store(config.cache_dir), config.trust_key)


def tls_context(config: Config) -> trust.Context:
    """How to speak TLS with the printer. Raises `UsageError` when the authority's certificates cannot be read."""
    try:
        return trust.make_context(config.tls_ca if config.tls_trust == "ca" else None)
    except OSError as error:
        raise UsageError(f"the authority's certificates cannot be read from {config.tls_ca}: {error}") from error


def target(config: Config, check: CheckCertificate) -> Target:
    """Where the printer's file port is, and how to get in once ``check`` has seen its certificate."""
    return Target(
        config.host,
        config.ftps_port,
        config.access_code,
        tls_context(config),
        server_name=config.serial if config.tls_trust == "ca" else None,
        check_certificate=check,
        manners=Manners(pipelines=not config.careful),
    )


def open_card(
    config: Config,
    timeouts: Timeouts | None = None,
    *,
    check: CheckCertificate | None = None,
    health: DoorHealth | None = None,
) -> Card:
    """The card of the printer that ``config`` names. Connects only when it is used."""
    health = health or DoorHealth()
    printer, times = target(config, check or certificate_check(config)), timeouts or Timeouts()
    pool = SessionPool(lambda: FtpsSession.open(printer, times), limit=config.max_sessions, probe_every=times.probe)
    pool.breaker.watcher = health.note
    leftovers = Leftovers(config.printer_dir / "parts")
    return Card(pool, leftovers=leftovers, late=2 * times.reply, overlaps=not config.careful)


def open_link(config: Config, check: CheckCertificate | None = None) -> PrinterLink:
    """The control connection to the printer that ``config`` names. Connects only when it is started."""
    context = tls_context(config)
    return PrinterLink(
        config.host,
        config.serial or "",
        config.access_code,
        make_context=lambda: context,
        check_certificate=check or certificate_check(config),
        read_serial=trust.common_name,
        port=config.mqtt_port,
    )
