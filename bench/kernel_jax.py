"""One cohort in JAX, for `kernel_peers.py`; run by a Python that has jax. Prints wall and CPU seconds of each repeat.

Two forms are tried: `vmap` trains all trials in one batched program, `scan` compiles one trial's epoch and maps over
the trials inside the program (each trial's working set stays in the cache). `--processes` splits the trials.
"""

import argparse
import json
import multiprocessing
import os
import time


def measure(form: str, trials: int, batch: int, rows: int, repeats: int) -> list[tuple[float, float]]:
    """Seconds per epoch of `trials` trials: (wall, CPU) of each repeat, after one warm-up."""
    # Imported here, after main() has set XLA's flags for the processes.
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    rng = np.random.Generator(np.random.Philox(key=[0, 0]))
    sizes = [(6, 50), (50, 50), (50, 1)]
    weights = [jnp.asarray(rng.normal(0, a**-0.5, (trials, a, b)), jnp.float32) for a, b in sizes]
    biases = [jnp.zeros((trials, b), jnp.float32) for _, b in sizes]
    x = jnp.asarray(rng.normal(size=(rows, 6)), jnp.float32)
    y = x[:, :1] * 0.5
    steps = rows // batch
    orders = jnp.asarray(
        np.stack([rng.permutation(rows)[: steps * batch].reshape(steps, batch) for _ in range(trials)])
    )

    def loss(parameters, xb, yb):
        (w1, w2, w3), (b1, b2, b3) = parameters
        h = jax.nn.relu(xb @ w1 + b1)
        h = jax.nn.relu(h @ w2 + b2)
        return jnp.abs(h @ w3 + b3 - yb).mean()

    def step(parameters, index):
        value, gradient = jax.value_and_grad(loss)(parameters, x[index], y[index])
        return jax.tree.map(lambda p, g: p - 1e-3 * g, parameters, gradient), value

    def epoch(parameters, order):
        return jax.lax.scan(step, parameters, order)

    def batched(parameters, orders):
        def all_steps(state, index):
            return jax.vmap(step)(state, index)

        return jax.lax.scan(all_steps, parameters, jnp.swapaxes(orders, 0, 1))

    def one_by_one(parameters, orders):
        return jax.lax.map(lambda one: epoch(*one), (parameters, orders))

    program = jax.jit(batched if form == "vmap" else one_by_one)
    parameters = (weights, biases)
    jax.block_until_ready(program(parameters, orders))
    found = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(program(parameters, orders))
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    return found


def main() -> None:
    """Measure one form in one or more processes and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--form", choices=["vmap", "scan"], required=True)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--rows", type=int, default=43_152)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    if options.processes > 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        share = -(-options.trials // options.processes)
        job = (options.form, share, options.batch, options.rows, options.repeats)
        with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
            parts = pool.starmap(measure, [job] * options.processes)
        found = [(max(p[0] for p in row), sum(p[1] for p in row)) for row in zip(*parts, strict=True)]
    else:
        found = measure(options.form, options.trials, options.batch, options.rows, options.repeats)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
