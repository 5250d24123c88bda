"""What each family of printers' FTP servers can and cannot do.

Two families are known (facts gathered from public projects; each field names its source):

- **vsFTPd**: X1, X1C, X1E, P2S, H2 and X2 models; their greeting contains ``vsFTPd``.
- **ESP32**: P1P, P1S, A1, A1 mini; a small server that very probably descends from the
  MicroPython ``ftp.c`` for that chip.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """The fixed traits of one server family. What a single printer refuses at run time is learnt by `Card`."""

    name: str
    max_sessions: int
    """How many sessions to hold at most. ESP32 printers accept one client (maziggy/bambuddy#972, #1420)."""
    has_rest: bool
    """Whether a download may start in the middle. An A1 mini answers 502 to REST (sksat/bambu-rs)."""
    renames_over: bool
    """Whether RNTO replaces an existing file. FatFs answers FR_EXIST, hence 550, on ESP32 printers."""
    survives_abort: bool
    """Whether the session is of use after a download was cut short. ESP32 printers reset their server."""
    lists_hidden: bool
    """Whether ``LIST -a`` shows dot files (vsFTPd); ESP32 printers read ``-a`` as a name."""
    ends_listings: bool
    """Whether a listing ends with TLS's close_notify, so that one without it was cut short. Not known of ESP32s."""
    pipelines: bool
    """Whether commands without data may be sent many at once. ESP32 printers read one command per receive."""
    tells_times: bool
    """Whether MDTM tells a file's time in UTC, to the second. ESP32 printers answer by their own clock."""
    most_queued: int | None
    """Bytes of an upload that may wait in this computer's queue, so that a program that copies feels the printer's
    pace; None leaves it to the system. A P1 takes 70 KB a second (greghesp/ha-bambulab#859)."""
    longest_path: int | None
    """Bytes a path may have; the ESP32 server's buffer is believed to be 128 bytes."""

    def may_have_listed(self, listing: bytes) -> bool:
        """Whether a ``listing`` that ends without TLS's close_notify may be whole, or was cut short for certain."""
        return not self.ends_listings and (not listing or listing.endswith(b"\n"))


VSFTPD = Family(
    name="vsFTPd",
    max_sessions=3,
    has_rest=True,
    renames_over=True,
    survives_abort=True,
    lists_hidden=True,
    ends_listings=True,
    pipelines=True,
    tells_times=True,
    most_queued=None,
    longest_path=None,
)
ESP32 = Family(
    name="ESP32",
    max_sessions=1,
    has_rest=False,
    renames_over=False,
    survives_abort=False,
    lists_hidden=False,
    ends_listings=False,
    pipelines=False,
    tells_times=False,
    most_queued=64 * 1024,
    longest_path=110,
)


def family_of(greeting: str) -> Family:
    """The family whose server greets so (as bambu-printer-manager and OctoPrint-BambuPrinter tell them apart)."""
    return VSFTPD if "vsftpd" in greeting.lower() else ESP32
