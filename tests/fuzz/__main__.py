"""Coverage-guided fuzzing of what strangers' bytes go into, with atheris: `python -m tests.fuzz images`.

Not part of the test command and not a dependency: `pip install atheris` first (Apache-2.0). Runs until the time
is over, or ends with the input that broke something in the corpus folder (`crash-…`); what it finds becomes an
ordinary test. Hypothesis and the malformed sets cover the same ground without feedback, in every test run.
"""

import argparse
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=["images", "events", "policies"])
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--corpus", type=Path, default=Path("fuzz-out"), help="folder for inputs that reach new code")
    options = parser.parse_args()
    try:
        import atheris  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        parser.exit(2, "atheris is not installed: pip install atheris\n")
    with atheris.instrument_imports(include=["moderation", "stream", "urllib", "json"]):
        from tests.fuzz.targets import TARGETS, seeds
    corpus = options.corpus / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(options.target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={options.seconds}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=8192"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={corpus}/", str(corpus)], TARGETS[options.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
