"""The command line of the simulator: a printer that runs until somebody presses Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

from bambufs.simulator.announcer import PORT, Announcer, announcement
from bambufs.simulator.card import make_card
from bambufs.simulator.printer import Printer
from bambufs.simulator.quirk_table import FAMILY_MODEL, MODELS, TABLE, Quirk
from bambufs.simulator.quirks import defaults_for, parse_setting

_SERIAL = "01S00C000000001"
_ACCESS_CODE = "12345678"
_WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``bambufs simulate`` to ``parser``."""
    parser.add_argument("--family", choices=sorted(FAMILY_MODEL), help="the kind of server: X1, P2S, H2 or P1, A1")
    parser.add_argument("--model", choices=list(MODELS), help="the model, which decides the quirks (default: x1c)")
    parser.add_argument("--card", type=Path, metavar="DIR", help="the card's folder (default: a fresh example)")
    parser.add_argument("--serial", default=_SERIAL, help="the serial number (default: %(default)s)")
    parser.add_argument("--access-code-file", type=Path, metavar="FILE", help="where the access code is read from")
    parser.add_argument("--quirk", action="append", default=[], metavar="NAME[=VALUE]", help="turn a quirk")
    parser.add_argument("--list-quirks", action="store_true", help="show every quirk and end")
    parser.add_argument("--rate", default="none", metavar="BYTES/S", help="bytes a second, 'typical', or 'none'")
    parser.add_argument("--latency", type=float, default=0.0, metavar="MS", help="milliseconds for each answer")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    parser.add_argument("--ftps-port", type=int, default=0, metavar="N", help="0 (default) takes a free one")
    parser.add_argument("--mqtt-port", type=int, default=0, metavar="N", help="0 (default) takes a free one")
    parser.add_argument("--announce", default=f"127.0.0.1:{PORT}", metavar="HOST:PORT", help="'none' for silence")
    parser.add_argument("--speed", type=float, default=30.0, metavar="N", help="how much faster prints run")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides everything that is random")
    parser.add_argument("--identity-dir", type=Path, metavar="DIR", help="where the certificate is kept")


def run(args: argparse.Namespace) -> int:
    """Run a printer until Ctrl-C or SIGTERM. Returns the exit code: 0, or 2 for wrong usage."""
    try:
        model = _model(args)
        if args.list_quirks:
            print(quirk_list(model))
            return 0
        return _serve(args, model)
    except (ValueError, OSError) as error:
        print(f"bambufs simulate: {_told(error, args)}", file=sys.stderr)
        return 2


def _told(error: Exception, args: argparse.Namespace) -> str:
    """What went wrong, as a sentence."""
    if not isinstance(error, OSError) or error.filename:
        return str(error)
    why = (error.strerror or "").lower()
    return f"The printer cannot listen at {args.host} ({why}). --host, --ftps-port and --mqtt-port choose the place."


def quirk_list(model: str) -> str:
    """Every quirk with its help, its source and this model's value, as text for a terminal."""
    values = defaults_for(model)
    parts = [f"The quirks of a simulated {MODELS[model].title} ({model}):", ""]
    for quirk in TABLE.values():
        others = _elsewhere(quirk.name, values[quirk.name])
        parts += [f"{quirk.name}={_shown(values[quirk.name])}", _wrapped(quirk, others)]
    return "\n".join(parts)


def _elsewhere(name: str, here: object) -> str:
    """The other values that models have for a quirk, in words; empty when all have the same."""
    models: dict[str, list[str]] = {}
    for model in MODELS:
        value = defaults_for(model)[name]
        if value != here:
            models.setdefault(_shown(value) or "empty", []).append(model)
    return "; ".join(f"{value} on {', '.join(names)}" for value, names in models.items())


def _wrapped(quirk: Quirk, others: str) -> str:
    of = "Any of" if quirk.several else "One of"
    choices = f" {of}: {', '.join(quirk.choices)}." if quirk.choices else ""
    elsewhere = f" Elsewhere: {others}." if others else ""
    text = f"{quirk.help}{choices}{elsewhere} Source: {quirk.source}."
    return textwrap.fill(text, _WIDTH, initial_indent="    ", subsequent_indent="    ")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _model(args: argparse.Namespace) -> str:
    model = args.model or FAMILY_MODEL[args.family or "vsftpd"]
    if args.family and MODELS[model].family != args.family:
        raise ValueError(f"A {model} is of the family {MODELS[model].family}, not {args.family}.")
    return str(model)


def _serve(args: argparse.Namespace, model: str) -> int:
    quirks = dict(parse_setting(text) for text in args.quirk)
    rate = _rate(args.rate, model)
    _check(args)
    with contextlib.ExitStack() as stack:
        ended = stack.enter_context(_until_signal())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bambufs-simulate-")))
        code_file = _code_file(args.access_code_file, scratch)
        printer = stack.enter_context(
            Printer(
                card=_card(args.card, scratch, model),
                model=model,
                serial=args.serial,
                access_code=_read_code(code_file),
                host=args.host,
                ftps_port=args.ftps_port,
                mqtt_port=args.mqtt_port,
                quirks=quirks,
                rate=rate,
                latency=args.latency / 1000,
                speed=args.speed,
                seed=args.seed,
                identity_folder=args.identity_dir,
            )
        )
        stack.enter_context(_announced(printer, args.announce))
        print(_greeting(printer, code_file), flush=True)
        ended.wait()
        print("The simulated printer is switched off.", flush=True)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse numbers and names that no printer has."""
    for option, port in (("--ftps-port", args.ftps_port), ("--mqtt-port", args.mqtt_port)):
        if not 0 <= port < 65536:
            raise ValueError(f"{option} wants a port from 1 to 65535, or 0 for a free one, not {port}.")
    if not 0 <= args.latency < math.inf:
        raise ValueError(f"--latency wants milliseconds from 0 up, not {args.latency}.")
    if not 0 < args.speed < math.inf:
        raise ValueError(f"--speed wants a number above 0, not {args.speed}.")
    if not (args.serial.isascii() and args.serial.isalnum() and len(args.serial) <= 64):
        raise ValueError(f"{args.serial[:64]!r} is no serial number; it has letters and digits only.")
    if not args.host:
        raise ValueError("--host wants the address to listen at, as in 127.0.0.1.")


def _rate(text: str, model: str) -> float | None:
    if text == "none":
        return None
    if text == "typical":
        return MODELS[model].typical_rate
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise ValueError(f"--rate wants bytes a second, 'typical' or 'none', not {text!r}.")
    return rate


def _card(given: Path | None, scratch: Path, model: str) -> Path:
    if given is None:
        card = scratch / "card"
        make_card(card, model_id=MODELS[model].code)
        return card
    if not str(given) or not given.is_dir():
        raise ValueError(f"{given} is no folder; --card wants the folder that holds the card's files.")
    return given


def _code_file(given: Path | None, scratch: Path) -> Path:
    if given is not None:
        return given
    path = scratch / "access_code"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_ACCESS_CODE + "\n")
    return path


def _read_code(path: Path) -> str:
    try:
        code = path.read_text().strip()
    except OSError as error:
        raise ValueError(f"The access code cannot be read from {path}: {error.strerror}.") from None
    except UnicodeError:
        raise ValueError(f"There is no access code in {path}: it is not text.") from None
    if not code:
        raise ValueError(f"There is no access code in {path}.")
    return code


def _greeting(printer: Printer, code_file: Path) -> str:
    title = MODELS[printer.model].title
    return "\n".join(
        (
            f"A simulated {title} with the serial number {printer.serial} is switched on.",
            f"Its card is the folder {printer.card}.",
            f"FTPS answers at {printer.host} port {printer.ftps_port}, MQTT at port {printer.mqtt_port}.",
            f"The access code is in {code_file}. To mount it:",
            f"  bambufs mount {printer.host} MOUNTPOINT --ftps-port {printer.ftps_port} "
            f"--mqtt-port {printer.mqtt_port} --serial {printer.serial} --access-code-file {code_file}",
            "Press Ctrl-C to switch it off.",
        )
    )


@contextlib.contextmanager
def _announced(printer: Printer, destination: str) -> Iterator[None]:
    if destination == "none":
        yield
        return
    host, _, port = destination.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"--announce wants HOST:PORT or 'none', not {destination!r}.")
    name = f"Simulated {MODELS[printer.model].title}"
    datagram = announcement(model=printer.model, serial=printer.serial, address=printer.host, name=name)
    announcer = Announcer(datagram, destination=(host, int(port)))
    announcer.start()
    try:
        yield
    finally:
        announcer.close()


@contextlib.contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; the former handlers come back at the end."""
    ended = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: ended.set())
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
