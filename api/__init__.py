"""The HTTP service."""

import os

# A request's matrices are small, and beside busy trainers the pool of BLAS threads waits a hundred times longer for a
# core than one thread needs for the work (measured: 1.3 s instead of 10 ms for the effects of a thousand trials).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
