"""Test set-up that holds everywhere: Hypothesis profiles by environment, nothing else."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("check", max_examples=50, deadline=None, suppress_health_check=_QUIET, derandomize=True)
settings.register_profile("test", max_examples=100, deadline=None, suppress_health_check=_QUIET, derandomize=True)
settings.register_profile("long", max_examples=1000, deadline=None, suppress_health_check=_QUIET)
settings.load_profile(os.environ.get("CLARION_HYPOTHESIS", "test"))
