"""Run all benchmarks, one after the other: about an hour on two cores.

python -m benchmarks     as `make bench` does; each alone is python -m benchmarks.NAME
"""

import subprocess
import sys

from benchmarks.measured import NAMES

for name in NAMES:
    print(f"--- {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
