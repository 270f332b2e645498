"""Image decoding in processes that may die.

Imports nothing itself: every decoder process passes through here, and must start fast and stay small.
"""
