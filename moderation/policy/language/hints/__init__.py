"""Hints: the probable meaning of each kind of slip. They change nothing about the accepted language."""
