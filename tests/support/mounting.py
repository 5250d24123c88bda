"""Mounts a printer the way a user does, by the command line, and takes it down again whatever happens.

A mount that is gone wrong can freeze whoever touches it, so nothing here looks into one from
the test process before it has answered, and there is always a way to abort it. The driver is
told to end when the tests are killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.support import careful
from tests.support.waiting import wait_until

_END_WITH_US = ("setpriv", "--pdeathsig", "TERM")
_NO_PORT = 9  # "discard": nobody listens there


class Target(Protocol):
    """A printer that can be mounted."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def access_code(self) -> str: ...
    @property
    def serial(self) -> str: ...


@dataclass(eq=False)
class Mounted:
    """A mount and the process behind it."""

    path: Path
    process: subprocess.Popen[bytes]
    log_file: Path
    connection: str = field(default="", init=False)

    @property
    def is_alive(self) -> bool:
        """Tell whether the process runs and the mount is there."""
        return self.process.poll() is None and mount_device(self.path) != ""

    @property
    def log(self) -> str:
        """All that the process has said."""
        return self.log_file.read_text(errors="replace")

    def abort(self) -> None:
        """Make the kernel answer everybody who waits for this mount with an error."""
        with contextlib.suppress(OSError):
            Path("/sys/fs/fuse/connections", self.connection or "none", "abort").write_text("1")
        if mount_device(self.path):  # the other way, where that file system of the kernel is not mounted
            subprocess.run(["umount", "-f", self.path], capture_output=True, check=False)


# What is mounted now, for those who must report on a failed test or free a stuck one.
LIVE: list[Mounted] = []


def abort_all() -> None:
    """Abort every mount that is live now."""
    for mount in tuple(LIVE):
        mount.abort()


@contextlib.contextmanager
def mounted(
    target: Target,
    mountpoint: Path,
    binding: str = "fuse3",
    *,
    cache_dir: Path | None = None,
    options: Sequence[str] = (),
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Mounted]:
    """Mount ``target`` on ``mountpoint`` for the ``with`` block, with ``fuse2`` or ``fuse3``.

    The driver keeps its files in ``cache_dir``, by default a folder beside the mount point; give
    the same one again for a remount. ``options`` go to ``-o``, ``arguments`` to the command.
    At the end the driver must have left by itself, with 0 and without a mount; otherwise this
    fails with what the driver said. Raises `RuntimeError` with it when the mount does not come up.
    """
    home = mountpoint.parent / f"{mountpoint.name}-home"
    home.mkdir(exist_ok=True)
    mountpoint.mkdir(exist_ok=True)
    command = [*mount_command(target, mountpoint, binding, options), *arguments]
    command += ["--cache-dir", str(cache_dir or home / "cache")]
    log_file = home / "mount.log"
    with open(log_file, "wb") as log:
        process = subprocess.Popen(
            [*_END_WITH_US, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=mount_environment(target, home) | dict(environment or {}),
            start_new_session=True,
        )
    mount = Mounted(mountpoint, process, log_file)
    LIVE.append(mount)
    try:
        _wait_for(mount)
        yield mount
    except BaseException:
        _take_down(mount)
        sys.stderr.write(f"--- what the mount said ---\n{mount.log}\n")
        raise
    else:
        trouble = _take_down(mount)
        assert not trouble, f"{trouble}\n--- what the mount said ---\n{mount.log}"
    finally:
        LIVE.remove(mount)


def mount_command(target: Target, mountpoint: Path, binding: str, options: Sequence[str] = ()) -> list[str]:
    """Return the command that mounts ``target`` in the foreground."""
    command = [*careful.program(), "mount", target.host, str(mountpoint), "--foreground"]
    command += ["-o", ",".join([f"fuse={binding.removeprefix('fuse')}", *options])]
    command += ["--ftps-port", str(target.port)]
    return [*command, "--mqtt-port", str(getattr(target, "mqtt_port", _NO_PORT))]


def mount_environment(target: Target, home: Path) -> dict[str, str]:
    """Return an environment in which the driver finds the access code, and a home of its own."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "BAMBU_"))}
    return mine | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "BAMBU_ACCESS_CODE": target.access_code,
        "BAMBU_DEVICE_ID": target.serial,
    }


def mount_device(path: Path) -> str:
    """Return the device number ("0:53") of the FUSE mount on ``path``, or an empty string.

    It reads the kernel's table, and so never waits for the mount itself.
    """
    wanted = str(path).replace(" ", "\\040")
    with open("/proc/self/mountinfo") as table:
        rows = [line.split() for line in table]
    found = [row[2] for row in rows if row[4] == wanted and row[row.index("-") + 1].startswith("fuse")]
    return found[-1] if found else ""


def _wait_for(mount: Mounted, seconds: float = 30.0) -> None:
    wait_until(
        lambda: mount.process.poll() is not None or mount_device(mount.path),
        f"{mount.path} to be mounted",
        seconds=seconds,
    )
    mount.connection = mount_device(mount.path).rpartition(":")[2]
    if mount.process.poll() is not None:
        raise RuntimeError(f"the mount ended with {mount.process.returncode}")
    listed = subprocess.run(["ls", mount.path], capture_output=True, timeout=seconds, check=False)
    if listed.returncode != 0:
        raise RuntimeError(f"ls of the mount failed: {listed.stderr.decode()}")


def _take_down(mount: Mounted) -> str:
    """End the mount, gently first; return what was wrong with its end, if anything."""
    trouble = ""
    if mount_device(mount.path):
        done = subprocess.run(["fusermount3", "-u", mount.path], capture_output=True, check=False)
        trouble = done.stderr.decode()
    if not _has_ended(mount, 30 if not trouble else 0.1):
        trouble += "the mount did not end by itself after being unmounted; "
        mount.process.send_signal(signal.SIGTERM)
        _has_ended(mount, 5)
    trouble += _clear_away(mount)
    if mount.process.returncode != 0:
        trouble += f"the mount ended with {mount.process.returncode}; "
    return trouble


def _clear_away(mount: Mounted) -> str:
    """Use force where the gentle way did not do; return what force was needed for."""
    trouble = ""
    if mount_device(mount.path):
        trouble += f"{mount.path} was still mounted; "
        mount.abort()
        subprocess.run(["umount", "-l", mount.path], check=False)
    if mount.process.poll() is None:
        trouble += "its process had to be killed; "
        mount.process.kill()
        mount.process.wait()
    return trouble


def _has_ended(mount: Mounted, seconds: float) -> bool:
    try:
        mount.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
