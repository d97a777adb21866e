"""``python -m bench [--peers] [--full]``: measure, and write docs/benchmarks.md and its picture."""

import argparse
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from bench import service
from bench.page import OURS, Findings, load, page
from bench.picture import cost_against_width, draw
from bench.race import CORES, ROOT, Entry, Result, race
from bench.workload import DIAMONDS, SWEEP, WORKLOADS

STACKED = "Firstlight, PyTorch stacked"
PEERS = ROOT / "var" / "peers"
REQUIREMENTS = ("jax>=0.7", "keras>=3.10")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="also JAX and Keras, in an environment under var/peers")
    parser.add_argument("--full", action="store_true", help="more rounds, and every contender at every width")
    parser.add_argument("--rounds", type=int, help="turns of each contender")
    parser.add_argument("--no-service", action="store_true", help="leave the whole service out")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="folder of benchmarks.md and images/")
    given = parser.parse_args(arguments)
    rounds = given.rounds or (15 if given.full else 7)
    python = _peers() if given.peers else None
    findings = Findings(peers=given.peers)

    def run(name: str, entries: list[Entry], trials: int = 60) -> list[Result]:
        workload = next(item for item in WORKLOADS if item.name == name).with_trials(trials)
        findings.loads.append(load())
        results = race(entries, workload, rounds)
        findings.loads.append(load())
        for result in results:
            times = f"{result.median:.2f} µs (CPU / cores {min(result.cpu):.2f})"
            say(f"{name}, {result.trials} at once: {result.name} {times}")
        return results

    for workload in WORKLOADS:
        findings.races.append((workload, run(workload.name, _contenders(python))))
    for trials in SWEEP:
        entries = _together(python if given.full else None, trials)
        findings.sweep += run(DIAMONDS.name, entries, trials)
    if not given.no_service:
        findings.service = service.measure(9 if given.full else 3)
        findings.loads.append(load())
    given.output.mkdir(parents=True, exist_ok=True)
    draw(cost_against_width(findings.sweep), given.output / "images" / "cost-against-width.png")
    (given.output / "benchmarks.md").write_text(page(findings), encoding="utf-8")
    say(f"wrote {given.output / 'benchmarks.md'}")
    return 0


def _contenders(python: str | None) -> list[Entry]:
    own = [
        Entry(OURS, "engine", {"engine": "native"}),
        Entry(STACKED, "engine", {"engine": "eager"}),
        Entry("PyTorch, one at a time", "torch_eager"),
        Entry("PyTorch, torch.func.vmap", "torch_vmap"),
        Entry("matrix product", "matrix_product"),
    ]
    if python is None:
        return own
    return [*own, *_jax(python, len(CORES) > 1), Entry("Keras fit, one at a time", "keras_fit", {}, python)]


def _together(python: str | None, trials: int) -> list[Entry]:
    """Those that train trials together, for the sweep over widths."""
    own = [Entry(OURS, "engine", {"engine": "native"}), Entry(STACKED, "engine", {"engine": "eager"})]
    if trials == 1:
        own.append(Entry("PyTorch, one at a time", "torch_eager"))
    return own if python is None else [*own, *_jax(python, trials >= len(CORES) > 1)]


def _jax(python: str, several: bool) -> list[Entry]:
    forms = [("vmap", False), ("scan", False), *([("vmap", True), ("scan", True)] if several else [])]
    return [
        Entry(
            f"JAX {form}, {f'{len(CORES)} pinned processes' if pinned else 'one process'}",
            "jax_cohort",
            {"form": form, "pinned": pinned},
            python,
        )
        for form, pinned in forms
    ]


def _peers() -> str:
    """The Python of the peers' environment, made when it is missing."""
    python = PEERS / "bin" / "python"
    if not (PEERS / ".ready").exists():
        say(f"installing {', '.join(REQUIREMENTS)} into {PEERS}")
        venv.create(PEERS, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
        subprocess.run(command, check=True)
        (PEERS / ".ready").touch()
    return str(python)


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
