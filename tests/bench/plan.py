"""The plan of a run against what it took: ``python tests/bench/plan.py CONFIG RUN_DIR`` for a finished run.

Both should have had the machine alike: run it when the run is over, with as many threads.
"""

import sys
import time
from pathlib import Path

from hftrain.config import load_config
from hftrain.stages.flow import FlowConfig
from hftrain.stages.planning import plan_lines

if __name__ == "__main__":
    config, run_dir = Path(sys.argv[1]), Path(sys.argv[2])
    began = time.monotonic()
    for line in plan_lines(load_config(FlowConfig, config), run_dir):
        print(line)
    print(f"the plan itself took {time.monotonic() - began:.0f} s")
