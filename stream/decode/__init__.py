"""Image decoding in separate processes, so that a crash costs one image.

Imports nothing itself: every decoder process passes through here, and must start fast and stay small.
"""
