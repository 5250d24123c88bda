"""The command line with short time-outs: a test should not wait for those that suit a real printer."""

from __future__ import annotations

import functools
import sys
from unittest import mock

from bambufs.cli import main
from bambufs.cli.build import open_filesystem
from bambufs.printer.session import Timeouts
from bambufs.vfs.settings import Settings

TIMEOUTS = Timeouts(connect=0.7, greet=1.0, reply=1.0, stall=1.0, listing=2.0, final_reply=2.0)
LEAVE_PATIENCE = 2.0

if __name__ == "__main__":
    with (
        mock.patch("bambufs.cli.mount.open_filesystem", functools.partial(open_filesystem, timeouts=TIMEOUTS)),
        mock.patch("bambufs.cli.build.Settings", functools.partial(Settings, leave_patience=LEAVE_PATIENCE)),
    ):
        sys.exit(main())
