"""The demo: sample images, one whole run on the local stack, and the report it leaves."""
