"""Settings every test shares."""

from hypothesis import HealthCheck, settings

# Test machines are slow and noisy: how long an example takes says nothing.
settings.register_profile("adjudicate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("adjudicate")
