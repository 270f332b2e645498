"""`python -m stream` is `adjudicate`."""

from stream.cli import main

main()
