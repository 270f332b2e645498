"""Shows one history whole: `python -m tests.simulation SEED`."""

import sys

from tests.simulation.world import simulated

with simulated(int(sys.argv[1])) as world:
    history = world.run()
print("\n".join(history.trace))
print(history.findings or "every record was answered once")
