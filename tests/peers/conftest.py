"""Servers that none of us wrote: Debian's nghttpd and nghttpx, Node's http2. What is missing is not collected."""

from __future__ import annotations

import shutil

import pytest
import trustme
from peer_servers import Certificate

collect_ignore = [
    f"test_peers_{program}.py" for program in ("nghttpd", "nghttpx", "node") if shutil.which(program) is None
]
if shutil.which("nghttpd") is None and "test_peers_nghttpx.py" not in collect_ignore:
    collect_ignore.append("test_peers_nghttpx.py")  # it needs something to forward to


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For localhost, and the authority to trust."""
    folder = tmp_path_factory.mktemp("peer")
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    ca_file, key_file, chain_file = (folder / name for name in ("ca.pem", "key.pem", "chain.pem"))
    authority.cert_pem.write_to_path(str(ca_file))
    leaf.private_key_pem.write_to_path(str(key_file))
    leaf.cert_chain_pems[0].write_to_path(str(chain_file))
    return Certificate(ca_file, key_file, chain_file)
