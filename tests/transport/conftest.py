from __future__ import annotations

import pytest
import trustme
from pool_stage import Stage
from push_server import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    ca = trustme.CA()
    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    return Certificates(ca, ca_file)


@pytest.fixture
def stage(certificates: Certificates) -> Stage:
    return Stage(certificates)
