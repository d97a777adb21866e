"""``python -m bench [--peers] [--only PART]``: measure, and write docs/benchmarks.md and its picture.

The page is written by a run of all parts with the peers, or into a folder that is named; any other run prints it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import diagnostics_cost, entries, peers, whole_service
from bench.findings import Findings, load
from bench.page import page
from bench.picture import cost_against_width, draw
from bench.race import ROOT, Entry, Result, race
from bench.workload import CNN, DIAMONDS, SWEEP, WORKLOADS, Workload

RACES = {workload.name: workload for workload in (*WORKLOADS, CNN)}
PARTS = (*RACES, "sweep", "alone", "service", "diagnostics")
CNN_ROUNDS = 5
"""Turns of seconds instead of half a second."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks."""
    options = _parser().parse_args(arguments)
    parts = options.only or PARTS
    if "service" in parts or "diagnostics" in parts:
        whole_service.fetch()  # before minutes have gone into the races
    rounds = options.rounds or (15 if options.full else 7)
    pythons = peers.pythons(say) if options.peers else {}
    findings = Findings(peers=options.peers)

    def run(workload: Workload, taking_part: list[Entry]) -> list[Result]:
        findings.loads.append(load())
        results = race(taking_part, workload, min(rounds, CNN_ROUNDS) if workload.image else rounds)
        findings.loads.append(load())
        for result in results:
            times = f"{result.median:.2f} µs (CPU / cores {min(result.cpu):.2f})"
            say(f"{workload.name}, {result.trials} at once: {result.name} {times}")
        return results

    for name, workload in RACES.items():
        if name in parts:
            findings.races.append((workload, run(workload, entries.contenders(workload, pythons))))
    if "sweep" in parts:
        for trials in SWEEP:
            workload = DIAMONDS.with_trials(trials)
            findings.sweep += run(workload, entries.together(trials, pythons if options.full else {}))
    if "alone" in parts:
        for workload in WORKLOADS:
            findings.alone.append((workload, run(workload.with_trials(1), entries.alone())))
    if "service" in parts:
        beside = entries.keras(pythons, next(iter(entries.KERAS)), whole_service.STUDY["epochs"]) if pythons else None
        findings.service = whole_service.measure(9 if options.full else 3, beside)
        findings.loads.append(load())
    if "diagnostics" in parts:
        findings.diagnostics = diagnostics_cost.measure(9 if options.full else 5)
        findings.loads.append(load())
    complete = set(parts) == set(PARTS) and options.peers
    return _deliver(findings, options.output or (ROOT / "docs" if complete else None))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="also JAX and Keras, in environments under var/peers")
    parser.add_argument("--full", action="store_true", help="more rounds, and every contender at every width")
    parser.add_argument("--rounds", type=int, help="turns of each contender")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"parts: {', '.join(PARTS)}")
    parser.add_argument("--output", type=Path, help="folder of benchmarks.md and images/, whatever was measured")
    return parser


def _deliver(findings: Findings, folder: Path | None) -> int:
    text = page(findings)
    if folder is None:
        sys.stdout.write(text)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    if findings.sweep:
        draw(cost_against_width(findings.sweep), folder / "images" / "cost-against-width.png")
    (folder / "benchmarks.md").write_text(text, encoding="utf-8")
    say(f"wrote {folder / 'benchmarks.md'}")
    return 0


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
