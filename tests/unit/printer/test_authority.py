"""`--tls-trust ca` on the chains that printers show: no alternative name, X.509 v1 leaves, an authority in between."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from bambufs.printer.trust import common_name, make_context
from tests.support.needs import need

SERIAL = "01P00A000000001"

_CHAIN = """\
openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 99 -subj "/CN=BBL CA"
openssl req -newkey rsa:2048 -nodes -keyout sub.key -out sub.csr -subj "/CN=BBL Device CA N7-V2"
printf 'basicConstraints=critical,CA:TRUE\\n' > sub.ext
openssl x509 -req -in sub.csr -CA root.pem -CAkey root.key -CAcreateserial -days 99 -extfile sub.ext -out sub.pem
openssl req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj "/C=CN/O=BBL/CN=SERIAL"
printf 'basicConstraints=CA:FALSE\\n' > leaf.ext
openssl x509 -req -in leaf.csr -CA sub.pem -CAkey sub.key -CAcreateserial -days 99 -extfile leaf.ext -out leaf.pem
openssl x509 -req -in leaf.csr -CA sub.pem -CAkey sub.key -CAcreateserial -days 99 -out plain.pem
cat leaf.pem sub.pem > chain.pem
cat plain.pem sub.pem > plain-chain.pem
cat root.pem sub.pem > both.pem
openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 99 -subj "/CN=BBL CA"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates: root, sub and leaf; plain is a leaf without extensions, which is X.509 v1 for most OpenSSLs."""
    need("openssl")
    place = tmp_path_factory.mktemp("chain")
    subprocess.run(["sh", "-ec", _CHAIN.replace("SERIAL", SERIAL)], cwd=place, check=True, capture_output=True)
    return place


def shake_hands(folder: Path, shown: str, authority: str, name: str = SERIAL) -> bytes:
    """A TLS handshake in memory between a printer that shows ``shown`` and a client; returns the leaf (DER)."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(folder / shown, folder / "leaf.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = make_context(folder / authority).wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert waiting == []
    return client.getpeercert(binary_form=True) or b""


@pytest.mark.parametrize(
    ("shown", "authority"),
    [
        ("chain.pem", "root.pem"),
        ("chain.pem", "both.pem"),
        ("leaf.pem", "both.pem"),
        ("chain.pem", "sub.pem"),
        ("leaf.pem", "sub.pem"),
        ("plain-chain.pem", "root.pem"),
        ("plain.pem", "both.pem"),
    ],
)
def test_chain_is_accepted(folder: Path, shown: str, authority: str) -> None:
    assert common_name(shake_hands(folder, shown, authority)) == SERIAL


@pytest.mark.parametrize(
    ("shown", "authority", "name"),
    [
        ("chain.pem", "root.pem", "01P00A000000002"),
        ("plain-chain.pem", "root.pem", "01P00A000000002"),
        ("chain.pem", "other.pem", SERIAL),
        ("leaf.pem", "root.pem", SERIAL),
    ],
)
def test_chain_is_refused(folder: Path, shown: str, authority: str, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(folder, shown, authority, name)
