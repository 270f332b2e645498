"""The command line: one file for each group of commands."""


def main() -> None:
    """Run `adjudicate`. The import waits, so that one group of commands can be imported without the others."""
    from stream.cli.app import main as run

    run()
