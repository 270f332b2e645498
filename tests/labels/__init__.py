"""The label catalogue."""
