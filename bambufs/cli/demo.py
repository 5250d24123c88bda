"""`bambufs demo`: a simulated printer, mounted, for trying things out."""

from __future__ import annotations

import argparse
import ctypes
import filecmp
import json
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
from typing import TYPE_CHECKING, NoReturn

from ..errors import UsageError
from .simulate import NEEDS_EXTRA

if TYPE_CHECKING:
    from ..simulator import Printer

_MODELS = {"vsftpd": "x1c", "esp32": "p1s"}
_SPEED = {"vsftpd": None, "esp32": 70_000}
_PATIENCE = 30.0
_PR_SET_PDEATHSIG = 1
_HURRY = 30.0
"""How many times faster than a real printer this one prints."""

_TO_PRINT = "cache/benchy.gcode.3mf"


def run(args: argparse.Namespace) -> int:
    """Start, mount, wait for Ctrl-C (or try it out once), and leave nothing behind; returns the exit code."""
    try:
        from .. import simulator
    except ModuleNotFoundError as missing:
        raise UsageError(f"{NEEDS_EXTRA} ({missing.name} is missing)") from missing
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _interrupt)
    with tempfile.TemporaryDirectory(prefix="bambufs-demo-") as scratch:
        card, place = Path(scratch) / "card", (args.mountpoint or Path(scratch) / "printer").absolute()
        card.mkdir()
        place.mkdir(parents=True, exist_ok=True)
        model = _MODELS[args.family]
        simulator.make_card(card, model_id=simulator.MODELS[model].code)
        with simulator.Printer(model=model, card=card, rate=_SPEED[args.family], speed=_HURRY) as printer:
            with _mounted(printer, place, Path(scratch) / "cache"):
                _introduce(printer, place, model)
                if args.once:
                    return _try_out(place, card)
                _wait(place)
    print("Everything is cleaned up.")
    return 0


def _interrupt(number: int, frame: object) -> NoReturn:
    """Being told to stop, or losing the terminal, ends the demo as Ctrl-C does."""
    raise KeyboardInterrupt


def _die_with_parent() -> None:
    """In the mount's process: be ended when the demo itself is killed, so that nothing stays behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _mounted(printer: Printer, place: Path, cache: Path) -> Iterator[None]:
    """The printer on ``place``, by the same command that a user types, in a process of its own."""
    command = [sys.executable, "-m", "bambufs", "mount", printer.host, str(place), "--foreground"]
    command += ["--ftps-port", str(printer.ftps_port), "--mqtt-port", str(printer.mqtt_port)]
    command += ["--cache-dir", str(cache), "--serial", printer.serial]
    command += ["--log-file", str(cache.with_name("bambufs.log"))]
    environment = {**os.environ, "BAMBU_ACCESS_CODE": printer.access_code}
    process = subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=_die_with_parent)
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
        printer.rate = None  # what is being sent arrives at once, so that nobody has to wait for the end
        _end(process, place)


def _end(process: subprocess.Popen[bytes], place: Path) -> None:
    """End the mount, with force if need be, and take it away."""
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if os.path.ismount(place) or not os.path.exists(place):
        subprocess.run([shutil.which("fusermount3") or "fusermount", "-u", "-z", place], check=False)


def _introduce(printer: Printer, place: Path, model: str) -> None:
    print(f"A simulated {model.upper()} is mounted on {place}")
    print(f"(its files on this computer's disk: {printer.card}).\n")
    if printer.rate is not None:
        print(f"Like a real one it takes {printer.rate / 1000:.0f} kB a second, over one connection: a file of 20 MB")
        print(f"takes {20e6 / printer.rate / 60:.0f} minutes. Meanwhile its folders can be listed.\n")
    print("In another terminal, try for example:")
    print(f"  ls -l {place} {place}/cache")
    print(f"  unzip -l {place}/cache/*.3mf")
    print(f"  cp /etc/services {place}/model/services.txt && ls -l {printer.card}/model")
    print(f"  watch cat {place}/.bambufs/transfers    # how far a copy is")
    print(f"  rsync -a {place}/cache/ {place}/model/backup/")
    print(f"  echo {_TO_PRINT} > {place}/.bambufs/print && cat {place}/.bambufs/print")
    print(f"  cat {place}/.bambufs/status.json")
    print(f"  echo pause > {place}/.bambufs/job    # then resume, or stop")
    print(f"  cat {place}/.bambufs/README\n", flush=True)


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
    if not _try_a_print(place):
        return 1
    print("\nEverything worked.")
    return 0


def _try_a_print(place: Path) -> bool:
    """Ask for a print, as a user would; returns whether it started."""
    control = place / ".bambufs"
    subprocess.run(["sh", "-c", 'echo "$0" > "$1"', _TO_PRINT, str(control / "print")], check=True)
    deadline = time.monotonic() + _PATIENCE
    while "The printer started" not in (told := (control / "print").read_text().partition("\n")[2]):
        if time.monotonic() > deadline:
            print(f"The print did not start: {told}", file=sys.stderr)
            return False
        time.sleep(0.2)
    state = json.loads((control / "status.json").read_text())["gcode_state"]
    sentence = told.strip("# \n")
    print(f"echo {_TO_PRINT} > .bambufs/print: {sentence} (gcode_state is {state})")
    return True
