"""`python -m worker`; see `worker/program.py`. The health check is answered before anything costly is imported."""

import sys

if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        from services.heartbeat import check

        sys.exit(check())
    from worker.program import main

    sys.exit(main())
