"""`bambufs demo`: a simulated printer, mounted, for trying things out."""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .simulate import NEEDS_EXTRA

if TYPE_CHECKING:
    from ..simulator import Printer

_MODELS = {"vsftpd": "x1c", "esp32": "p1s"}
_SPEED = {"vsftpd": None, "esp32": 70_000}
_PATIENCE = 30.0


def run(args: argparse.Namespace) -> int:
    """Start, mount, wait for Ctrl-C (or try it out once), and leave nothing behind; returns the exit code."""
    try:
        from .. import simulator
    except ModuleNotFoundError as missing:
        raise UsageError(f"{NEEDS_EXTRA} ({missing.name} is missing)") from missing
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with tempfile.TemporaryDirectory(prefix="bambufs-demo-") as scratch:
        card, place = Path(scratch) / "card", (args.mountpoint or Path(scratch) / "printer").absolute()
        card.mkdir()
        place.mkdir(parents=True, exist_ok=True)
        simulator.make_card(card)
        model = _MODELS[args.family]
        with simulator.Printer(model=model, card=card, rate=_SPEED[args.family]) as printer:
            with _mounted(printer, place, Path(scratch) / "cache"):
                _introduce(printer, place, model)
                if args.once:
                    return _try_out(place, card)
                _wait(place)
    print("Everything is cleaned up.")
    return 0


@contextmanager
def _mounted(printer: Printer, place: Path, cache: Path) -> Iterator[None]:
    """The printer on ``place``, by the same command that a user types, in a process of its own."""
    command = [sys.executable, "-m", "bambufs", "mount", printer.host, str(place), "--foreground"]
    command += ["--ftps-port", str(printer.ftps_port), "--cache-dir", str(cache), "--serial", printer.serial]
    environment = {**os.environ, "BAMBU_ACCESS_CODE": printer.access_code}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not os.path.ismount(place):
            if process.poll() is not None:
                raise UsageError("the demo could not mount its printer; the message above tells why", 1)
            if time.monotonic() > deadline:
                raise UsageError("the demo's mount did not come up in time", 1)
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _introduce(printer: Printer, place: Path, model: str) -> None:
    print(f"A simulated {model.upper()} is mounted on {place}")
    print(f"(its files on this computer's disk: {printer.card}).\n")
    print("In another terminal, try for example:")
    print(f"  ls -l {place} {place}/cache")
    print(f"  unzip -l {place}/cache/*.3mf")
    print(f"  cp /etc/services {place}/model/services.txt && ls -l {printer.card}/model")
    print(f"  rsync -a /etc/ssl/ {place}/model/ssl/\n", flush=True)


def _wait(place: Path) -> None:
    print("Ctrl-C ends the demo and cleans up.", flush=True)
    try:
        while os.path.ismount(place):
            time.sleep(0.5)
    except KeyboardInterrupt:
        print()


def _try_out(place: Path, card: Path) -> int:
    """The main job, once: look, read out of the middle of a file, copy in, compare with the printer's own disk."""
    names = sorted(os.listdir(place))
    print(f"$ ls {place}\n{'  '.join(names)}\n")
    sliced = next(place.rglob("*.gcode.3mf"))
    with zipfile.ZipFile(sliced) as archive:
        picture = archive.read("Metadata/plate_1.png")
    print(f"{sliced.relative_to(place)}: its plate's picture is a PNG of {len(picture)} bytes")
    copied = place / "model" / "copied.gcode.3mf"
    subprocess.run(["cp", str(sliced), str(copied)], check=True)
    if not filecmp.cmp(card / "model" / "copied.gcode.3mf", card / sliced.relative_to(place), shallow=False):
        print("The copy on the printer differs from its source.", file=sys.stderr)
        return 1
    print(f"copied it to {copied.relative_to(place)}: the same bytes are on the printer's disk")
    tool = shutil.which("rsync")
    if tool is not None:
        subprocess.run([tool, "-a", str(place / "cache") + "/", str(place / "model" / "backup") + "/"], check=True)
        print("rsync of its folder cache: done")
    print("\nEverything worked.")
    return 0
