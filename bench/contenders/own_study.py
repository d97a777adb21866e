"""A whole study without the service: options ``{"spec", "data_dir"}``. A step is all of it, from data to last row."""

import os
from pathlib import Path

from bench.turns import Turn, asked, serve
from bench.workload import Workload
from services.science.grid import expand
from services.science.spec import ExperimentSpec
from services.training import device
from services.training.cohort import build
from services.training.loop import TrainingRun
from services.training.observer import EpochReport, StateOf


class Deaf:
    """An observer that waits for every report and keeps none."""

    def epoch(self, report: EpochReport, _state: StateOf) -> None:
        """See `Observer.epoch`."""
        if report.epoch > 1:
            self._last = report

    def progress(self, _epoch: int, _fraction: float) -> None:
        """See `Observer.progress`."""

    def stop_now(self) -> bool:
        """See `Observer.stop_now`."""
        return False

    def stop_soon(self) -> bool:
        """See `Observer.stop_soon`."""
        return False

    def save_soon(self) -> bool:
        """See `Observer.save_soon`."""
        return False

    def set_down(self, _epoch: int, _state: StateOf) -> None:
        """See `Observer.set_down`."""

    def close(self) -> None:
        """Wait for the last layers that are measured."""
        assert self._last.diagnostics is not None


def main() -> None:
    """Serve the study as one cohort."""
    workload, options = asked()
    cores = len(os.sched_getaffinity(0))
    where = device.configure("cpu", cores)
    spec = ExperimentSpec.model_validate(options["spec"]).resolved()
    grid = expand(spec)
    trials = [
        {"slot": slot, "arm": grid.arms[trial.arm_index].model_dump(mode="json"), "seed": trial.seed}
        for slot, trial in enumerate(grid.trials)
    ]
    message = {
        "spec": spec.canonical(),
        "trials": trials,
        "data_dir": str(Path(str(options["data_dir"]))),
        "engine": "auto",
        "threads": cores,
    }

    def make(_workload: Workload, _steps: int) -> Turn:
        def turn() -> None:
            observer = Deaf()
            cohort = build(message, where)
            TrainingRun(cohort.engine, cohort.description, cohort.rows, observer, cohort.measuring).run()
            observer.close()

        return turn

    serve(make, workload, trials=len(trials), steps=1)


if __name__ == "__main__":
    main()
