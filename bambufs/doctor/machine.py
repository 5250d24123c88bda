"""This computer: FUSE and its tools, dead mounts, the mount point, the cache."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..config import MountOptions
from ..mount import binding
from ..vfs.journal import parsed
from .finding import Finding, bad, good, note
from .patience import within_moments

_EXIT_NO_FUSE, _EXIT_MOUNT_POINT = 6, 5
_SHOWN = 3
_LITTLE_ROOM = 500 * 10**6
_INSTALL = "on Debian and Ubuntu: sudo apt install fuse3 libfuse3-3 (on newer releases libfuse3-4)"

_Look = Callable[[], Iterator[Finding]]


@dataclass(frozen=True)
class Machine:
    """Where to look; other places are for tests."""

    device: Path = Path("/dev/fuse")
    settings: Path = Path("/etc/fuse.conf")
    mounts: Path = Path("/proc/self/mounts")


def look_at_machine(options: MountOptions, cache_dir: Path, machine: Machine | None = None) -> Iterator[Finding]:
    """All that a mount needs here, for a printer with these ``options``."""
    machine = machine or Machine()
    looks: tuple[_Look, ...] = (
        lambda: _device(machine.device),
        _fusermount,
        lambda: _library(options),
        lambda: _allow_other(options, machine.settings),
        lambda: _dead_mounts(machine.mounts),
        lambda: _mount_point(options.mountpoint, machine.mounts),
        lambda: _cache(cache_dir),
    )
    for look in looks:
        yield from look()


def mounted_places(mounts: Path = Path("/proc/self/mounts")) -> list[tuple[str, Path]]:
    """The printers that are mounted on this computer: (what is mounted, such as ``bambufs:192.168.1.50``, where)."""
    with open(mounts, encoding="utf-8", errors="surrogateescape") as table:
        rows = [line.split(" ") for line in table]
    return [(row[0], Path(_unescaped(row[1]))) for row in rows if len(row) > 2 and row[2] == "fuse.bambufs"]


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _device(device: Path) -> Iterator[Finding]:
    if not device.exists():
        advice = "load the kernel's module for it: sudo modprobe fuse"
        yield bad("FUSE", f"there is no {device}, by which programs show folders", advice, _EXIT_NO_FUSE)
    elif not os.access(device, os.R_OK | os.W_OK):
        yield bad("FUSE", f"you may not use {device}", f"run: sudo chmod 666 {device}", _EXIT_NO_FUSE)
    else:
        yield good("FUSE", f"{device} is there and may be used")


def _fusermount() -> Iterator[Finding]:
    tool = next((found for name in ("fusermount3", "fusermount") if (found := shutil.which(name))), None)
    if tool is None:
        advice = f"install it; {_INSTALL}"
        yield bad("fusermount", "the program fusermount3, which mounts and unmounts, is missing", advice, _EXIT_NO_FUSE)
    elif os.getuid() != 0 and not os.stat(tool).st_mode & 0o4000:
        advice = f"run: sudo chmod u+s {tool}"
        yield bad("fusermount", f"{tool} may not mount for you: it lacks the right of root", advice, _EXIT_NO_FUSE)
    else:
        yield good("fusermount", f"{tool} is there")


def _library(options: MountOptions) -> Iterator[Finding]:
    names = {"fuse3": "libfuse 3", "fuse2": "libfuse 2"}
    found = binding.available()
    if not found:
        yield bad("libfuse", "neither libfuse 3 nor libfuse 2 is installed", _INSTALL, _EXIT_NO_FUSE)
    elif options.fuse is not None and options.fuse not in found:
        sentence = f"{names[options.fuse]} is asked for, and only {names[found[0]]} can be used"
        yield bad("libfuse", sentence, "install it, or take out the option fuse", _EXIT_NO_FUSE)
    else:
        also = f"; {names[found[1]]} is there as well" if len(found) > 1 else ""
        yield good("libfuse", f"{names[options.fuse or found[0]]} will be used{also}")


def _allow_other(options: MountOptions, settings: Path) -> Iterator[Finding]:
    try:
        lines = settings.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    is_on = any(line.strip() == "user_allow_other" for line in lines)
    if is_on:
        yield good("user_allow_other", f"{settings} lets a mount be opened to other users")
    elif options.allow_other and os.getuid() != 0:
        advice = f"add it: echo user_allow_other | sudo tee -a {settings}"
        sentence = f"allow_other is asked for, and {settings} has no line user_allow_other"
        yield bad("user_allow_other", sentence, advice, _EXIT_NO_FUSE)
    else:
        yield good("user_allow_other", f"is not set in {settings}, and is only needed for -o allow_other")


def _dead_mounts(mounts: Path) -> Iterator[Finding]:
    places = [place for _, place in mounted_places(mounts)]
    answers = {place: _answer_of(place) for place in places}
    dead = [place for place in places if answers[place] == errno.ENOTCONN]
    silent = [place for place in places if answers[place] is None]
    for place in dead:
        advice = f"run: bambufs unmount {place}"
        yield note("mounts", f"what was mounted on {place} has died, and its remains are in the way", advice)
    for place in silent:
        yield note("mounts", f"the mount on {place} does not answer", "look for its process: ps aux | grep bambufs")
    if not dead and not silent:
        more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
        told = ", ".join(map(str, places[:_SHOWN])) + more
        yield good("mounts", f"mounted and well: {told}" if told else "nothing is mounted, and there are no remains")


def _answer_of(place: Path) -> int | None:
    """The errno of a look at ``place``, 0 when it is well, None when it does not answer."""

    def look() -> int:
        try:
            os.stat(place)
            return 0
        except OSError as error:
            return error.errno or errno.EIO

    return within_moments(look)


def _mount_point(place: Path | None, mounts: Path) -> Iterator[Finding]:
    if place is None:
        return
    if place in [mounted for _, mounted in mounted_places(mounts)]:
        yield good("mount point", f"a printer is mounted on {place}")
    elif not place.is_dir():
        yield bad("mount point", f"the folder {place} does not exist", f"run: mkdir -p {place}", _EXIT_MOUNT_POINT)
    elif any(place.iterdir()):
        advice = "move away what is in it, or choose another folder"
        sentence = f"the folder {place} is not empty, so nothing is mounted on it"
        yield bad("mount point", sentence, advice, _EXIT_MOUNT_POINT)
    else:
        yield good("mount point", f"{place} is an empty folder")


def _cache(folder: Path) -> Iterator[Finding]:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        left = shutil.disk_usage(folder).free
    except OSError as error:
        yield bad("cache", f"the folder {folder} cannot be used: {(error.strerror or '').lower()}", "see --cache-dir")
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield bad("cache", f"you may not write to {folder}", f"run: sudo chown -R $USER {folder}")
    elif left < _LITTLE_ROOM:
        sentence = f"only {left / 10**6:.0f} MB are free for {folder}, where files are kept until they are sent"
        yield bad("cache", sentence, "delete something, or name another disk with --cache-dir")
    else:
        yield good("cache", f"{folder} can be used; {left / 10**9:.0f} GB are free")
    yield from _unsent(folder)
    yield from _owed(folder)


def _owed(folder: Path) -> Iterator[Finding]:
    owed = 0
    for file in folder.glob("*/journal/*.json"):
        with suppress(OSError, ValueError, RecursionError):
            owed += parsed(file.stem, file.read_bytes()).state == "owed"
    if owed:
        sentence = f"{owed} that were written still have to reach the printer"
        yield note("owed files", sentence, "they are sent while it is mounted: mount it, and leave it on until then")


def _unsent(folder: Path) -> Iterator[Finding]:
    for kept in sorted(folder.glob("*/lost+found")):
        count = sum(1 for file in kept.iterdir() if file.is_file())
        if count:
            advice = f"look at them and copy them again, then delete them: ls -l {kept}"
            yield note("unsent files", f"{count} that could not be sent to the printer are kept in {kept}", advice)
