"""Takes away what POSIX systems have and Windows has not; with this folder in PYTHONPATH, from every Python started."""

import os
import signal
import sys
import time
from typing import Any, cast

for _module in ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    cast("dict[str, Any]", sys.modules)[_module] = None
for _name in ("fork", "getpgid", "geteuid", "getuid", "killpg", "sched_getaffinity", "setsid", "sysconf"):
    delattr(os, _name)
for _name in ("SIGALRM", "SIGHUP", "SIGKILL", "SIGSTOP", "SIGUSR1", "pthread_sigmask"):
    delattr(signal, _name)
del time.clock_gettime, time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME
