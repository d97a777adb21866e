"""`python -m tests.compose`: build and run the real docker-compose.yml in containers, and look whether it is true.

It prints what it measured and leaves nothing behind but images. Engine and base images: `engine.py`, `bases.py`.
"""

import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.compose.engine import ComposeError
from tests.compose.stack import Stack
from tests.compose.story import tell


def main() -> int:
    """Run everything; 1 and the reason where something is not as it should be."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="firstlight-compose-"))
    begun = time.monotonic()
    try:
        stack = Stack(folder)
        try:
            tell(stack)
        except ComposeError:
            stack.show_logs()
            raise
        finally:
            stack.remove()
        stack.nothing_left()
    except ComposeError as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    finally:
        shutil.rmtree(folder)
    print(f"all true, in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
