"""`mount.bambufs`: what `mount -t bambufs` and a line of /etc/fstab call, as /sbin/mount.bambufs.

`mount` passes what, where and options, all that stands in the line; it waits until the helper ends, and takes the
mount for made then. See mount(8), "external helpers".
"""

from __future__ import annotations

import getopt
import sys

from ..config.settings import SETTINGS, SWITCH
from . import main as run_bambufs

USAGE = """\
usage: mount.bambufs PRINTER MOUNTPOINT [-sfnrwv] [-o OPTIONS]

Called by mount -t bambufs and by lines of /etc/fstab, as in:
  garage  /srv/printer  bambufs  noauto,nofail,_netdev,x-systemd.automount,allow_other  0 0

OPTIONS are those behind -o of bambufs mount, and its other options with _ for - and without the dashes:
access_code_file=/etc/bambufs/garage.code. Options that concern mount alone are passed over.
"""


def main(arguments: list[str] | None = None) -> int:
    """Mount as `mount` asks; returns its exit codes: 0 mounted, 1 wrong usage, 32 the mount failed."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        # GNU order, since the options come behind the names.
        flags, names = getopt.gnu_getopt(given, "sfnrwvho:t:N:")
    except getopt.GetoptError as error:
        return _misused(str(error))
    chosen = {flag for flag, _ in flags}
    if "-h" in chosen:
        print(USAGE, end="")
        return 0
    if len(names) != 2:
        return _misused("name a printer and a mount point")
    if "-f" in chosen:  # mount --fake
        return 0
    words = [word for flag, text in flags if flag == "-o" for word in text.split(",") if word]
    words += ["ro"] if "-r" in chosen else []
    return 32 if run_bambufs(["mount", *names, *arguments_for(words), *(["-v"] if "-v" in chosen else [])]) else 0


def arguments_for(words: list[str]) -> list[str]:
    """The options of `bambufs mount` that ``words``, the options of a line in /etc/fstab, stand for."""
    found: list[str] = []
    for word in words:
        key, has_value, value = word.partition("=")
        setting = SETTINGS.get(key)
        if setting is None or not setting.option or setting.o_name == key:
            found += ["-o", word]
        elif setting.kind is SWITCH:
            found.append(setting.option)
        else:
            found.append(f"{setting.option}={value}" if has_value else setting.option)
    return found


def _misused(message: str) -> int:
    sys.stderr.write(f"mount.bambufs: {message}\n{USAGE}")
    return 1
