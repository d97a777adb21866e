"""Freed memory stays with the process: its pages are not asked for again."""

import json
import subprocess
import sys

PROGRAM = """
import json, resource
import numpy as np
from services.training.memory import keep_freed

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(12_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
kept = keep_freed()
faults()
print(json.dumps([kept, before, faults()]))
"""


def test_large_arrays_reuse_their_pages() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    held, before, after = json.loads(done.stdout)
    assert not held or after < before / 10
