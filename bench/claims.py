"""How fast workers claim from a long queue: `python -m bench.claims [--database-url URL]`, four processes at once.

The queue is made by hand: experiments of one-trial cohorts, so that a claim costs what it always costs and no child is
started. Each process claims, and ends what it has claimed by one plain statement, so that one cohort runs in each.
With `--workspaces`, the first one has submitted half of all experiments, and the others share the rest.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import insert, select, update

from services.cohorts.claim import claim
from services.db.base import new_id
from services.db.database import Database
from services.db.tables import DEFAULT_WORKSPACE, CohortRow, ExperimentRow, TrialRow, WorkspaceRow
from services.settings import Settings


def fill(database: Database, experiments: int, cohorts: int, workspaces: int) -> None:
    """Queue `cohorts` cohorts of one trial, spread evenly over `experiments` experiments."""
    share = cohorts // experiments
    others = [{"id": new_id("wsp"), "name": f"workspace {number}"} for number in range(1, workspaces)]
    owners = [DEFAULT_WORKSPACE] * experiments
    if others:
        owners[1::2] = [others[place % len(others)]["id"] for place in range(len(owners[1::2]))]
    studies = [
        {
            "id": new_id("exp"),
            "workspace_id": owner,
            "spec": {"made": "for a measurement"},
            "spec_version": 1,
            "spec_digest": "0" * 64,
            "dataset": "digits",
            "epochs": 1,
            "trial_count": share,
        }
        for owner in owners
    ]
    queued: list[dict[str, Any]] = [
        {"id": new_id("coh"), "experiment_id": study["id"], "position": place, "size": 1, "epochs": 1}
        for study in studies
        for place in range(share)
    ]
    trials = [
        {
            "id": new_id("trl"),
            "experiment_id": cohort["experiment_id"],
            "cohort_id": cohort["id"],
            "slot": 0,
            "position": cohort["position"],
            "arm": {},
            "arm_key": "0" * 16,
            "label": "a trial",
            "seed": cohort["position"],
        }
        for cohort in queued
    ]
    with database.write() as session:
        if others:
            session.execute(insert(WorkspaceRow), others)
        for table, rows in ((ExperimentRow, studies), (CohortRow, queued), (TrialRow, trials)):
            session.execute(insert(table), rows)


def claim_for(settings: Settings, worker: str, seconds: float, start: Any, claims: Any) -> None:
    """Claim for so many seconds, or until nothing is left; put the cohorts' ids and the seconds into `claims`."""
    database = Database(settings)
    taken: list[str] = []
    start.wait()
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        claimed = database.transact(lambda session: claim(session, worker, 3600.0))
        if claimed is None:
            break
        taken.append(claimed.cohort_id)
        with database.write() as session:
            session.execute(update(CohortRow).where(CohortRow.id == claimed.cohort_id).values(state="succeeded"))
    claims.put((taken, time.perf_counter() - begun))
    database.dispose()


def race(settings: Settings, processes: int, seconds: float) -> tuple[float, Counter[str]]:
    """Claims per second of all processes together, and how often each cohort was claimed."""
    context = multiprocessing.get_context("spawn")
    start, claims = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=claim_for, args=(settings, f"w{number}", seconds, start, claims), daemon=True)
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    reports = [claims.get() for _ in workers]
    for worker in workers:
        worker.join()
    counts = Counter(cohort for taken, _ in reports for cohort in taken)
    return len(counts) / max(elapsed for _, elapsed in reports), counts


def shares(database: Database, claimed: Counter[str]) -> list[int]:
    """Claims of each workspace, that of the first one first, the others in ascending order."""
    owners = select(CohortRow.id, ExperimentRow.workspace_id).join(
        ExperimentRow, ExperimentRow.id == CohortRow.experiment_id
    )
    with database.read() as session:
        by_workspace: Counter[str] = Counter()
        for cohort, workspace in session.execute(owners):
            by_workspace[workspace] += claimed[cohort]
    return [by_workspace.pop(DEFAULT_WORKSPACE), *sorted(by_workspace.values())]


def main() -> None:
    """Fill, race, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database-url", help="an empty database (default: a new SQLite file)")
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--workspaces", type=int, default=1)
    parser.add_argument("--cohorts", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        url = options.database_url or f"sqlite:///{Path(home) / 'firstlight.db'}"
        settings = Settings(home=Path(home), database_url=SecretStr(url))
        database = Database(settings)
        database.upgrade()
        fill(database, options.experiments, options.cohorts, options.workspaces)
        rate, counts = race(settings, options.processes, options.seconds)
        first, *others = shares(database, counts)
        database.dispose()
    what = f"{options.cohorts} cohorts of {options.experiments} experiments, {options.processes} processes"
    twice = sum(counts.values()) - len(counts)
    sys.stdout.write(f"{what}: {rate:.0f} claims/s ({len(counts)} claimed, {twice} twice)\n")
    if others:
        sys.stdout.write(f"the first workspace {first}, each of {len(others)} others {others[0]} to {others[-1]}\n")


if __name__ == "__main__":
    main()
