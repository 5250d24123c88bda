"""The systemd unit that mounts a configured printer whenever its user logs in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ..errors import UsageError

NAME = "bambufs@{printer}.service"
_TEMPLATE = "bambufs@.service"
_SYSTEM_FOLDERS = ("/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user", "/lib/systemd/user")

_UNIT = """\
# Written by bambufs setup. It mounts the printer %i of ~/.config/bambufs/config.toml whenever you log in:
#   systemctl --user enable --now bambufs@garage
[Unit]
Description=Bambu Lab printer %i

[Service]
Type=notify
# It waits for a printer that is switched off, and counts as started once the folder can be used.
ExecStart={command} mount %i --foreground -o retry
TimeoutStartSec=infinity
# What was copied is sent before it ends.
TimeoutStopSec=10min
Restart=on-failure
RestartSec=30
# Wrong usage, a wrong access code, a wrong folder and a changed certificate are not mended by trying again.
RestartPreventExitStatus=2 3 5 7

[Install]
WantedBy=default.target
"""


def unit_text() -> str:
    """The unit, with the command that started this process."""
    return _UNIT.format(command=_command())


def _command() -> str:
    """How systemd starts bambufs: by the path of its program, else by that of this Python."""
    started = Path(sys.argv[0])
    program = started.absolute() if started.name == "bambufs" and started.is_file() else shutil.which("bambufs")
    words = [str(program)] if program else [sys.executable, "-m", "bambufs"]
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if " " in word or escaped != word else word


def install(environment: Mapping[str, str]) -> Path:
    """The unit that is there, else one that is written to the user's own folder. Raises `UsageError`."""
    base = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME') or os.path.expanduser('~')}/.config"
    own = Path(base) / "systemd" / "user" / _TEMPLATE
    found = next((Path(folder, _TEMPLATE) for folder in _SYSTEM_FOLDERS if Path(folder, _TEMPLATE).exists()), None)
    if found is not None and not own.exists():
        return found
    try:
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(unit_text())
    except OSError as error:
        raise UsageError(f"{own} cannot be written: {(error.strerror or '').lower()}", 1) from error
    return own


def enable(printer: str) -> None:
    """Have systemd mount ``printer`` now and at every login. Raises `UsageError` with what to do otherwise."""
    unit = NAME.format(printer=printer)
    for words in (["daemon-reload"], ["enable", unit], ["restart", "--no-block", unit]):
        try:
            done = subprocess.run(["systemctl", "--user", *words], capture_output=True, text=True, check=False)
        except OSError as error:
            raise UsageError(f"this computer has no systemd, so {printer} is not mounted by itself", 1) from error
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["for a reason that was not told"])[0]
            raise UsageError(
                f"systemd could not be told to mount {printer} at every login ({reason}). Log in on the desktop, and "
                f"run: systemctl --user enable --now {unit}",
                1,
            )
