"""Faults injected into real workers over a real cluster, under load; then the checker speaks."""
