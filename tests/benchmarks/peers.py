"""What is compared: bambufs, rclone in the two cache modes that do the same work, and plain FTP clients."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.workloads import Ground, check_arrived, check_downloaded
from tests.support.mounting import Target, mount_device, mounted
from tests.support.vsftpd import USER
from tests.support.waiting import wait_until

WRITE_BACK = 1.0  # seconds that rclone, and bambufs with --write-back, waits after close() before it uploads

Task = Callable[[Ground], None]


@dataclass(frozen=True)
class Peer:
    """A program that mounts a printer, or (``tasks``) does single workloads without a mount.

    ``delay`` is what it waits on purpose before an upload; ``only`` names the workloads that are worth its time.
    """

    name: str
    mount: Callable[[Target, Path], AbstractContextManager[Path]]
    delay: float = 0.0
    tasks: Callable[[Target], Mapping[str, Task]] | None = field(default=None)
    only: frozenset[str] = frozenset()


@contextlib.contextmanager
def _bambufs(target: Target, folder: Path, binding: str = "fuse3", arguments: Sequence[str] = ()) -> Iterator[Path]:
    with mounted(target, folder / "mnt", binding, arguments=arguments) as mount:
        yield mount.path


def _bambufs_write_back(target: Target, folder: Path) -> AbstractContextManager[Path]:
    return _bambufs(target, folder, arguments=["--write-back", f"{WRITE_BACK:g}"])


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


@contextlib.contextmanager
def _nowhere(target: Target, folder: Path) -> Iterator[Path]:
    yield folder


def _told(command: Sequence[str], script: str) -> None:
    """Run ``command`` with ``script``, which holds the access code, on its standard input."""
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-300:]}")


def _curl(target: Target) -> Mapping[str, Task]:
    common = f'user = "{USER}:{target.access_code}"\ninsecure\ntls-max = "1.2"\nsilent\nshow-error\nftp-skip-pasv-ip\n'
    url = f"ftps://{target.host}:{target.port}"

    def upload(ground: Ground) -> None:
        source = ground.scratch / "big.bin"
        _told(["curl", "-K", "-"], f'{common}upload-file = "{source}"\nurl = "{url}/up.bin"\n')
        check_arrived(source, ground.card / "up.bin")

    def download(ground: Ground) -> None:
        _told(["curl", "-K", "-"], f'{common}output = "{ground.scratch}/down.bin"\nurl = "{url}/bench/down.bin"\n')
        check_downloaded(ground)

    return {"upload": upload, "download": download}


def _lftp(target: Target) -> Mapping[str, Task]:
    opening = "set ssl:verify-certificate no\nset ftp:ssl-protect-data yes\nset cmd:fail-exit yes\n"
    opening += f"open -u {USER},{target.access_code} -p {target.port} ftps://{target.host}\n"

    def upload(ground: Ground) -> None:
        source = ground.scratch / "big.bin"
        _told(["lftp"], f"{opening}put -O / {source} -o up.bin\nbye\n")
        check_arrived(source, ground.card / "up.bin")

    def download(ground: Ground) -> None:
        (ground.scratch / "down.bin").unlink(missing_ok=True)
        _told(["lftp"], f"{opening}get /bench/down.bin -o {ground.scratch}/down.bin\nbye\n")
        check_downloaded(ground)

    return {"upload": upload, "download": download}


PEERS = {
    peer.name: peer
    for peer in (
        Peer("bambufs", _bambufs),
        Peer("bambufs-fuse2", lambda target, folder: _bambufs(target, folder, "fuse2")),
        Peer("bambufs-later", _bambufs_write_back, WRITE_BACK, only=frozenset(("upload", "rsync", "cp-r"))),
        Peer("rclone-writes", lambda target, folder: _rclone(target, folder, "writes"), WRITE_BACK),
        Peer("rclone-full", lambda target, folder: _rclone(target, folder, "full"), WRITE_BACK),
        Peer("curl", _nowhere, tasks=_curl),
        Peer("lftp", _nowhere, tasks=_lftp),
    )
}
