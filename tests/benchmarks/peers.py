"""The mounts that are compared: bambufs, and rclone in the two cache modes that can do the same work."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.support.mounting import Target, mount_device, mounted
from tests.support.vsftpd import USER
from tests.support.waiting import wait_until

WRITE_BACK = 1.0  # seconds that rclone waits after close() before it uploads


@dataclass(frozen=True)
class Peer:
    """A program that mounts a printer. ``delay`` is what it waits on purpose before an upload."""

    name: str
    mount: Callable[[Target, Path], AbstractContextManager[Path]]
    delay: float = 0.0


@contextlib.contextmanager
def _bambufs(target: Target, folder: Path, binding: str) -> Iterator[Path]:
    with mounted(target, folder / "mnt", binding) as mount:
        yield mount.path


@contextlib.contextmanager
def _rclone(target: Target, folder: Path, mode: str) -> Iterator[Path]:
    path = folder / "mnt"
    path.mkdir()
    command = ["rclone", "mount", ":ftp:/", str(path), "--config", "", "--cache-dir", str(folder / "cache")]
    command += ["--ftp-host", target.host, "--ftp-port", str(target.port), "--ftp-user", USER]
    command += ["--ftp-tls", "--ftp-no-check-certificate", "--ftp-disable-tls13"]
    command += ["--vfs-cache-mode", mode, "--vfs-write-back", f"{WRITE_BACK:g}s"]
    with open(folder / "rclone.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=_with_password(target.access_code))
    try:
        wait_until(lambda: mount_device(path) or process.poll() is not None, "rclone to mount", seconds=20)
        if process.poll() is not None:
            raise RuntimeError(f"rclone: {(folder / 'rclone.log').read_text()}")
        yield path
    finally:
        subprocess.run(["fusermount3", "-uz", path], check=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def _with_password(access_code: str) -> dict[str, str]:
    hidden = subprocess.run(["rclone", "obscure", "-"], input=access_code, capture_output=True, text=True, check=True)
    return {**os.environ, "RCLONE_FTP_PASS": hidden.stdout.strip()}


PEERS = {
    "bambufs": Peer("bambufs", lambda target, folder: _bambufs(target, folder, "fuse3")),
    "bambufs-fuse2": Peer("bambufs-fuse2", lambda target, folder: _bambufs(target, folder, "fuse2")),
    "rclone-writes": Peer("rclone-writes", lambda target, folder: _rclone(target, folder, "writes"), WRITE_BACK),
    "rclone-full": Peer("rclone-full", lambda target, folder: _rclone(target, folder, "full"), WRITE_BACK),
}
