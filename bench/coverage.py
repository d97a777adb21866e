"""How often the intervals hold what they should, and how often "run until sure" errs, by simulation.

    python bench/coverage.py --studies 10000

Intervals of a mean at a nominal 95 %, for normal values and for two skewed laws. Then studies of equal arms with a look
after every five seeds: the share in which any look names a better arm, by the service's rule and by a t test at every
look that knows of no other.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy import stats

from services.science.statistics.intervals import bca_interval, t_interval
from services.science.statistics.sequential import decide_ranked
from services.science.streams import Purpose, stream

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
LAWS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, shape: rng.normal(size=shape), 0.0),
    "exponential (skewness 2)": (lambda rng, shape: rng.exponential(size=shape), 1.0),
    "log-normal, sigma 1 (skewness 6.2)": (lambda rng, shape: rng.lognormal(size=shape), float(np.exp(0.5))),
}
SIZES = (3, 5, 10, 20)
LOOKS = (5, 10, 15, 20, 25, 30, 35, 40)


def coverage(studies: int, resampled: int) -> None:
    """Print the share of intervals that contain the true mean."""
    print(f"| law | n | t, {studies} samples | BCa, {resampled} samples |\n|---|---:|---:|---:|")
    for index, (law, (draw, mean)) in enumerate(LAWS.items()):
        for n in SIZES:
            rows = draw(stream(n, Purpose.RESAMPLING, index), (studies, n))
            by_t = np.mean([t_interval(row).contains(mean) for row in rows])
            by_bca = np.mean(
                [
                    bca_interval(
                        row, lambda x: x.mean(axis=-1), 0.95, stream(place, Purpose.RESAMPLING, 9), 2_000
                    ).contains(mean)
                    for place, row in enumerate(rows[:resampled])
                ]
            )
            print(f"| {law} | {n} | {100 * by_t:.1f} % | {100 * by_bca:.1f} % |", flush=True)


def peeking(studies: int, arms: int, looks: tuple[int, ...]) -> None:
    """Print how often equal arms were told apart at any look."""
    ours = naive = 0
    for study in range(studies):
        values = stream(study, Purpose.RESAMPLING, 20 + arms).normal(size=(arms, looks[-1]))
        for look, n in enumerate(looks, 1):
            decision = decide_ranked(values[:, :n], True, 0.95, look, len(looks))
            if any(pair.relation in {"better", "worse"} for pair in decision.pairs):
                ours += 1
                break
        pairs = [(a, b) for a in range(arms) for b in range(a)]
        naive += any(stats.ttest_rel(values[a, :n], values[b, :n]).pvalue < 0.05 for n in looks for a, b in pairs)
    print(f"{arms} equal arms, {len(looks)} looks, {studies} studies: some arm was called better in", end=" ")
    print(
        f"{100 * ours / studies:.1f} %; by a t test at every look and pair in {100 * naive / studies:.1f} %", flush=True
    )


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--resampled", type=int, default=2_000)
    options = parser.parse_args()
    coverage(options.studies, options.resampled)
    peeking(options.studies // 5, 2, LOOKS)
    peeking(options.studies // 20, 5, LOOKS)
    peeking(options.studies // 20, 2, tuple(range(2, 42, 2)))


if __name__ == "__main__":
    main()
