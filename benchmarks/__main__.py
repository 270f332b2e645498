"""Every benchmark, one after the other: `python -m benchmarks [--json]`."""

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))
    for name in names:
        print(f"== {name}", flush=True, file=sys.stderr)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=True)
