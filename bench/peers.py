"""Environments of their own for the libraries that this project does not need: var/peers/jax and var/peers/keras."""

import subprocess
import sys
import venv
from collections.abc import Callable

from bench.race import ROOT

PEERS = ROOT / "var" / "peers"
REQUIREMENTS = {"jax": ("jax>=0.7", "keras>=3.10"), "keras": ("tensorflow-cpu>=2.20", "keras>=3.10")}


def pythons(say: Callable[[str], None]) -> dict[str, str]:
    """The Python of every environment, made when it is missing."""
    return {name: _python(name, say) for name in REQUIREMENTS}


def _python(name: str, say: Callable[[str], None]) -> str:
    folder = PEERS / name
    python = folder / "bin" / "python"
    ready, requirements = folder / ".ready", "\n".join(REQUIREMENTS[name])
    if not ready.exists() or ready.read_text("utf-8") != requirements:
        say(f"installing {', '.join(REQUIREMENTS[name])} into {folder}")
        if not python.exists():
            venv.create(folder, symlinks=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS[name]]
        subprocess.run(command, check=True, stdout=sys.stderr)
        ready.write_text(requirements, encoding="utf-8")
    return str(python)
