"""Fixtures for all tests."""

from hypothesis import HealthCheck, settings

# Machines that are busy are slow: a property is not false because an example took long.
settings.register_profile("tidemark", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("tidemark")

pytest_plugins = ["tests.conftest_store"]
