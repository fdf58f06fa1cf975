"""The simulator's own certificate authority, and TLS as Apple's servers speak it.

The authority's certificate is written to a file for clients to trust, its key beside it; both are used again after a
restart, so a workspace that names the file stays valid.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import trustme

from scheduler.domain.errors import OperatorError

_NAMES = ("localhost", "127.0.0.1", "::1")


def authority(ca_file: Path) -> trustme.CA:
    """The authority whose certificate is in `ca_file` (PEM) and whose key is beside it in `.key`; made if missing.

    OperatorError if the files cannot be read or written, or do not hold a certificate and a key.
    """
    key_file = ca_file.with_suffix(".key")
    try:
        if ca_file.exists() and key_file.exists():
            return trustme.CA.from_pem(ca_file.read_bytes(), key_file.read_bytes())
        ca = trustme.CA(organization_name="Clarion simulator")
        ca_file.parent.mkdir(parents=True, exist_ok=True)
        _write(key_file, ca.private_key_pem.bytes(), mode=0o600)
        _write(ca_file, ca.cert_pem.bytes(), mode=0o644)
    except OSError as error:
        raise OperatorError(
            f"the simulator's certificate cannot be kept: {error.strerror}",
            where=error.filename or str(ca_file),
            hint="give a path that can be written",
        ) from error
    except ValueError as error:
        raise OperatorError(
            f"this and {key_file.name} do not hold a certificate and its key",
            where=str(ca_file),
            hint="delete both files: the simulator makes new ones",
        ) from error
    return ca


def server_tls(ca: trustme.CA, client_ca_file: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer, ALPN h2, a certificate for this machine's names.

    A client that offers no ALPN may still speak HTTP/2, as with Apple; HTTP/1.1 fails at the preface. A client may
    show a certificate that `ca` or the authorities of `client_ca_file` (PEM) have signed. OperatorError if that is
    no good.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    ca.issue_cert(*_NAMES).configure_cert(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    ca.configure_trust(context)
    if client_ca_file is not None:
        try:
            context.load_verify_locations(cafile=client_ca_file)
        except (OSError, ssl.SSLError) as error:
            raise OperatorError(
                f"no authority can be read from it: {error}",
                where=str(client_ca_file),
                hint="give the certificates (PEM) of whoever signs the clients' certificates",
            ) from error
    return context


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """All or nothing, and never readable by others in between when `mode` says so."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
    os.replace(draft, path)
