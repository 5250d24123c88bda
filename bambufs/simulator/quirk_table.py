"""Every quirk of the simulator with its source, and what each model is made of.

Sources are public: projects that speak to these printers, issues in which owners report, the
source of vsftpd, and the ESP32 FTP server whose habits the P1 and A1 share ("LoBo ftp.c"), which
is an inference. Row numbers are those of the table of quirks in the tests' documentation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bambufs.simulator.hostile import KINDS

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Quirk:
    """One switch. ``event`` quirks may be set for a number of times instead of for good."""

    name: str
    row: int
    vsftpd: Value
    esp32: Value
    help: str
    source: str
    choices: tuple[str, ...] = ()
    event: bool = False
    several: bool = False
    """Any number of the choices may be named, joined by a plus; none is an empty value."""
    least: float = 0
    most: float = math.inf
    """The bounds of a number."""
    form: str = ""
    """A pattern that a text has to match."""

    @property
    def kind(self) -> type[bool | int | float | str]:
        return type(self.vsftpd)

    def default_of(self, family: str) -> Value:
        """The value for a family of servers."""
        return self.esp32 if family == "esp32" else self.vsftpd


@dataclass(frozen=True, slots=True)
class Url:
    """A form of the url in a project_file request that a model takes, for files at ``where``."""

    prefix: str
    where: str = "anywhere"


@dataclass(frozen=True, slots=True)
class Model:
    """A printer's model: how it is announced and which server it runs."""

    name: str
    family: str
    code: str
    title: str
    banner: str
    typical_rate: float
    firmware: str
    urls: tuple[Url, ...]
    quirks: Mapping[str, Value] = field(default_factory=dict)


_VSFTPD = "vsftpd 3.0.3 source and behaviour"
_LOBO = "LoBo ftp.c (inferred)"
_CENTURY = 100 * 365 * 86400.0

_QUIRKS = (
    # -- connection and TLS
    Quirk("tls", 2, "1.2", "1.2", "Which TLS versions are offered.",
          "maziggy/bambuddy ftp_profiles.py", choices=("1.2", "1.3", "1.2+1.3")),
    Quirk("chain", 1, True, True, "The CA's certificate is sent along with the printer's own.",
          "sksat/bambu-rs docs/protocol.md"),
    Quirk("require_reuse", 3, True, False,
          "A data connection that does not resume the control connection's TLS session gets 522, "
          "and the control connection is closed.", "tobiasbischoff/bambu-cli#2"),
    Quirk("lost_session", 3, False, False,
          "The printer has forgotten the session that a data connection resumes, which ends as if it resumed none.",
          _VSFTPD, event=True),
    Quirk("max_clients", 6, 0, 1, "How many control connections are served at once; 0 is no limit.",
          "maziggy/bambuddy#972"),
    Quirk("over_limit", 7, "421", "hang",
          "What happens to further connections: 421 in plain text before TLS, no accept at all, or "
          "accepted with every transfer refused (425).", _VSFTPD + "; " + _LOBO, choices=("421", "hang",
          "425")),
    Quirk("idle_timeout", 24, 300.0, 300.0, "Seconds after which an idle control connection is dropped.",
          "ClusterM/open-bambu-networking", least=0.01),
    Quirk("idle_end", 24, "alert", "221",
          "How an idle connection ends: a TLS alert, bare EOF, or a stray reply.",
          _VSFTPD + "; " + _LOBO, choices=("alert", "eof", "421", "221")),
    Quirk("one_command_per_read", 0, False, True,
          "Only the first command of each receive is carried out; the rest of the buffer is lost.", _LOBO),
    # -- the data connection
    Quirk("pasv_address", 4, "", "0.0.0.0", "The address in the PASV reply; empty is the true one.",
          "jneilliii/OctoPrint-BambuPrinter#18"),
    Quirk("data_port", 5, -1, 0,
          "The fixed data port for all transfers (2024 on a P1S); 0 is a free one that stays, "
          "-1 a fresh one for each PASV.", "maziggy/bambuddy#1535", least=-1, most=65535),
    Quirk("passive_ports", 5, "", "", "The ports from which fresh data ports are taken, as in 50000-50063.",
          _VSFTPD, form=r"(\d{1,5}(-\d{1,5})?)?"),
    Quirk("refuse_data", 5, False, False, "The data connection is refused.", "maziggy/bambuddy#1535",
          event=True),
    Quirk("wait_for_data", 5, False, True,
          "After PASV nothing is read until the data connection is there.", _LOBO),
    Quirk("accept_timeout", 26, 60.0, 10.0, "Seconds to wait for the data connection before 425.",
          _VSFTPD + "; " + _LOBO, least=0.01),
    Quirk("data_timeout", 26, 300.0, 10.0, "Seconds without a byte after which a transfer is given up.",
          _VSFTPD + "; " + _LOBO, least=0.01),
    Quirk("stall_end", 26, "421", "426",
          "How a stalled transfer ends: 421 and the connection is closed, or 426 and it goes on.",
          _VSFTPD + "; " + _LOBO, choices=("421", "426")),
    Quirk("clear_data", 1, False, False, "PROT C is taken: data travel without TLS.",
          "maziggy/bambuddy bambu_ftp.py (A1)"),
    Quirk("silent_store_close", 8, False, True,
          "After STOR the server sends no close_notify, so a client that waits for one hangs.",
          "BambuTools/bambulabs_api ftp_client.py"),
    Quirk("strict_close", 9, True, False, "A STOR that ends without the client's close_notify gets 426.",
          "maziggy/bambuddy#1401"),
    Quirk("any_end_is_226", 11, False, True,
          "However the data connection of a STOR ends, the file counts as complete (226).", _LOBO),
    Quirk("short_stor", 11, 0, 0, "Only this many bytes of a STOR reach the card, with 226; 0 is never.", _LOBO,
          event=True),
    Quirk("late_226", 10, 0.0, 0.0, "Seconds between the last byte of a STOR and its 226.",
          "maziggy/bambuddy#645", event=True),
    Quirk("short_retr", 12, 0, 0, "RETR ends after this many bytes, with 226; 0 is never.",
          "maziggy/bambuddy#2704", event=True),
    Quirk("block_451", 13, 0, 1024,
          "RETR of a file whose size is a multiple of this ends with 451 after all data; 0 is never.", _LOBO),
    Quirk("abort_resets", 27, False, True, "A RETR that the client closes early costs the whole connection.",
          _LOBO),
    Quirk("drop_after", 26, 0, 0, "The connection breaks after this many bytes of a transfer; 0 is never.",
          "Wi-Fi", event=True),
    # -- commands
    Quirk("rest", 14, True, False, "REST is known.", "sksat/bambu-rs docs/protocol.md"),
    Quirk("appe", 14, True, False, "APPE is known.", "sksat/bambu-rs docs/protocol.md"),
    Quirk("feat", 15, True, False, "FEAT is answered with a list instead of 502 no-features.",
          "sksat/bambu-rs docs/protocol.md"),
    Quirk("epsv", 0, True, False, "EPSV, STAT, OPTS and the other extras of vsftpd are known.", _LOBO),
    Quirk("refused", 16, "", "",
          "Commands that are refused, as in MKD:550,MDTM (502 unless another code is named).",
          "ClusterM/open-bambu-networking", form=r"\s*([A-Za-z]{3,4}(:[45]\d\d)?\s*(,\s*|$))*"),
    Quirk("terse", 0, False, True, "Replies carry no text where none is needed.", _LOBO),
    Quirk("early_code", 1, "530", "332", "The reply to any command before the login.", _LOBO, choices=("530",
          "332")),
    Quirk("mkd_code", 0, "257", "250", "The reply to a MKD that worked.", _LOBO, choices=("257", "250")),
    Quirk("mdtm_set", 0, True, False, "MDTM with a time sets the time of a file.", _VSFTPD),
    Quirk("pwd_quoted", 21, True, False, "PWD quotes the path.", _LOBO),
    Quirk("cwd_lost", 21, False, True, "A command with an absolute path leaves the server without a folder.",
          _LOBO),
    Quirk("failed_cwd_moves", 21, False, True,
          "A CWD that fails moves the folder to the missing one's parent.", _LOBO),
    Quirk("rename_over", 22, True, False, "RNTO replaces an existing file; otherwise 550.",
          _VSFTPD + "; " + _LOBO),
    Quirk("size_of_folder", 23, False, True, "SIZE of a folder answers 213 0 instead of 550.", _LOBO),
    Quirk("slash_does_nothing", 0, False, True,
          "DELE, MKD and RMD of a path with a slash at its end answer 250 and do nothing.", _LOBO),
    # -- listings and times
    Quirk("list_style", 18, "vsftpd", "esp32", "The form of a LIST line.",
          "ClusterM/open-bambu-networking; sksat/bambu-rs", choices=("vsftpd", "esp32")),
    Quirk("missing_list_empty", 17, True, False, "LIST of a missing folder answers 226 with nothing.",
          _VSFTPD),
    Quirk("list_options", 0, True, False, "LIST takes options such as -a, and a pattern.", _VSFTPD),
    Quirk("hidden_dots", 0, True, False, "Names that begin with a dot are listed by LIST -a only.", _VSFTPD),
    Quirk("order", 0, "name", "created", "The order of a listing.", "sksat/bambu-rs", choices=("name",
          "created")),
    Quirk("nlst", 20, "full", "bare", "What NLST gives for a path: names with the path, or bare ones.",
          "greghesp/ha-bambulab models.py", choices=("full", "bare")),
    Quirk("utc_offset", 18, 0, 0, "Minutes by which listed times are ahead of UTC (MDTM too on ESP32).",
          "greghesp/ha-bambulab models.py", least=-1440, most=1440),
    Quirk("ago", 18, False, False, "August is written Ago.", "pycom ftp.c"),
    Quirk("clock_error", 18, 0.0, 0.0, "Seconds by which the printer's clock is ahead.",
          "maziggy/bambuddy#2704", least=-_CENTURY, most=_CENTURY),
    Quirk("upload_clock_error", 19, 0.0, 0.0, "Seconds by which uploaded files are stamped ahead.",
          "sksat/bambu-rs docs/protocol.md", least=-_CENTURY, most=_CENTURY),
    Quirk("fat_times", 18, True, True, "Times are even seconds, as FAT keeps them.", "FAT"),
    # -- the card
    Quirk("card", 28, "ok", "ok",
          "The state of the card: absent is an empty root, denied refuses even the root.",
          "bambulab/BambuStudio#3016", choices=("ok", "absent", "denied", "readonly")),
    Quirk("card_size", 28, 0, 0, "How many bytes fit on the card; 0 is no limit.", _VSFTPD),
    Quirk("full_code", 28, "552", "451", "The reply when the card is full.", _VSFTPD, choices=("552", "452",
          "451")),
    Quirk("fat_names", 28, True, True, "Names that FAT cannot store are refused with 553.",
          "maziggy/bambuddy#1540"),
    Quirk("path_limit", 28, 0, 110, "The longest path in bytes; 0 is no limit.", _LOBO),
    Quirk("ignore_case", 31, True, True, "Names that differ by case only are one file.", "FAT"),
    Quirk("mixed_stores", 29, False, False, "Two STORs to one path at a time end up as one mixed file.",
          "maziggy/bambuddy#2529"),
    Quirk("restless", 30, 0.0, 0.0,
          "Seconds between changes that the printer makes by itself: "
          "a new file in /cache, a growing timelapse.",
          "bambulab/BambuStudio#9198"),
    Quirk("cache_fifo", 30, 0, 0, "How many files /cache keeps when the printer adds one; 0 is all.",
          "bambulab/BambuStudio#9198"),
    Quirk("ftps", 40, True, True, "The FTPS port is open.", "vertical-cloud-lab/powder-doser"),
    # -- MQTT
    Quirk("mqtt", 40, True, True, "The MQTT port is open.", "sksat/bambu-rs docs/protocol.md"),
    Quirk("foreign_subscription", 32, "refuse", "disconnect",
          "What subscribing to anything but the report topic leads to.",
          "Doridian/OpenBambuAPI#26", choices=("refuse", "disconnect")),
    Quirk("full_reports", 33, True, False, "Every report is a full one; otherwise only what changed.",
          "Doridian/OpenBambuAPI mqtt.md"),
    Quirk("pushall_every", 33, 0.0, 0.0, "Seconds within which a second pushall is not answered.",
          "Doridian/OpenBambuAPI mqtt.md"),
    Quirk("mqtt_clients", 34, 0, 4, "How many MQTT connections are served at once; 0 is no limit.",
          "jneilliii/OctoPrint-BambuPrinter#58"),
    Quirk("mqtt_linger", 34, 0.0, 0.0, "Seconds for which the slot of a closed MQTT connection stays taken.",
          "jneilliii/OctoPrint-BambuPrinter#58"),
    Quirk("ack", 35, "success", "success", "How an accepted request is acknowledged.",
          "sksat/bambu-rs docs/protocol.md", choices=("success", "SUCCESS", "none")),
    Quirk("ack_command", 35, True, True, "Acknowledgements name the command.", "sksat/bambu-rs docs/protocol.md"),
    Quirk("start_delay", 36, 0.0, 0.0, "Seconds between the acknowledgement and the start of a print.",
          "maziggy/bambuddy#1678", event=True),
    Quirk("never_starts", 36, False, False, "A print is acknowledged and nothing follows.",
          "maziggy/bambuddy#1134", event=True),
    Quirk("error_after_ack", 36, 0, 0,
          "The print_error that follows the acknowledgement of a print, as in 83935248 (0500_C010); 0 is none.",
          "maziggy/bambuddy#1134", event=True),
    Quirk("developer_mode", 37, True, True, "Control commands are taken without a signature.", "maziggy/bambuddy#2732"),
    Quirk("refusal", 37, "answer", "answer",
          "How a command is refused without Developer Mode: failed with 84033543, by a message in hms, or in silence.",
          "maziggy/bambuddy#2732", choices=("answer", "hms", "silent")),
    Quirk("busy", 38, "refuse", "refuse",
          "A print asked for while one runs: 0500_4004, which on an A1 mini cancels the running one.",
          "maziggy/bambuddy#2598", choices=("refuse", "cancel")),
    Quirk("gcode_md5", 39, False, True, "The checksum of the gcode inside the print file is verified.",
          "maziggy/bambuddy#1401"),
    Quirk("gcode_file", 39, "starts", "ignored", "What the command gcode_file leads to.",
          "Doridian/OpenBambuAPI#38", choices=("starts", "ignored", "fails")),
    # -- none of a printer's own, but of whatever else may answer at its address
    Quirk("hostile", 0, "", "",
          "What is sent malformed, endless or false, joined by a plus as in listings+endless; empty is nothing.",
          "fuzzing", choices=("all", *KINDS), several=True),
    Quirk("hostile_share", 0, 0.3, 0.3, "How often a hostile printer does harm, 0 to 1.", "fuzzing",
          most=1),
    Quirk("prepare_stops_at", 35, 100, 99, "The last gcode_file_prepare_percent of a print.",
          "greghesp/ha-bambulab models.py"),
)

TABLE: Mapping[str, Quirk] = {quirk.name: quirk for quirk in _QUIRKS}

_X1_BANNER = "(vsFTPd 3.0.3)"
_P2_BANNER = "(vsFTPd 3.0.5)"
_ESP_BANNER = "ESP32 FTP Server"
_A1_MINI_LAG = -52 * 86400.0

_SDCARD = (Url("file:///sdcard/"), Url("ftp:///"))
_X1_URLS = (*_SDCARD, Url("file:///mnt/sdcard/"))
_H2D_URLS = (Url("ftp:///", "root"), Url("file:///sdcard/"))
_H2S_URLS = (Url("ftp:///", "root"), Url("file:///sdcard/", "folders"))
_P2S_URLS = (Url("ftp:///"), Url("ftp://"), Url("file:///media/usb0/"))

_MODELS = (
    Model("x1c", "vsftpd", "BL-P001", "3DPrinter-X1-Carbon", _X1_BANNER, 4e6, "01.08.02.00", _X1_URLS),
    Model("x1e", "vsftpd", "C13", "X1E", _X1_BANNER, 4e6, "01.01.02.00", _X1_URLS),
    Model("p2s", "vsftpd", "N7", "P2S", _P2_BANNER, 1.5e6, "01.00.02.00", _P2S_URLS,
          {"chain": False, "cache_fifo": 6, "gcode_file": "fails"}),
    Model("h2d", "vsftpd", "O1D", "H2D", _P2_BANNER, 4e6, "01.01.02.00", _H2D_URLS,
          {"chain": False, "gcode_file": "fails"}),
    Model("h2s", "vsftpd", "O1S", "H2S", _P2_BANNER, 4e6, "01.01.02.00", _H2S_URLS,
          {"chain": False, "gcode_file": "fails"}),
    Model("p1p", "esp32", "C11", "P1P", _ESP_BANNER, 7e4, "01.07.00.00", _SDCARD),
    Model("p1s", "esp32", "C12", "P1S", _ESP_BANNER, 7e4, "01.07.00.00", _SDCARD),
    Model("a1", "esp32", "N2S", "A1", _ESP_BANNER, 7.5e4, "01.04.00.00", _SDCARD, {"mixed_stores": True}),
    Model("a1mini", "esp32", "N1", "A1 mini", _ESP_BANNER, 7.5e4, "01.07.02.00", _SDCARD,
          {"mixed_stores": True, "upload_clock_error": _A1_MINI_LAG, "ack_command": False, "busy": "cancel",
           "gcode_file": "fails"}),
)

MODELS: Mapping[str, Model] = {model.name: model for model in _MODELS}
FAMILY_MODEL: Mapping[str, str] = {"vsftpd": "x1c", "esp32": "p1s"}
