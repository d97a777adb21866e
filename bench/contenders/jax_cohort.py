"""JAX: options ``{"form": "vmap" | "scan"}``; run by a Python that has jax and NumPy.

`vmap` trains all trials in one batched program; `scan` compiles one trial's epoch and maps over the trials inside the
program, so that each trial's working set stays in the cache. With ``"pinned"`` the trials are split over processes.
"""

import os

from bench.turns import Turn, asked, serve
from bench.workload import Workload


def main() -> None:
    """Serve one form."""
    workload, options = asked()
    if options.get("pinned"):
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    # XLA reads its flags when it is imported.
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415

    from bench.contenders.numbers import layers, orders, rows  # noqa: PLC0415

    def make(workload: Workload, steps: int) -> Turn:
        x, y = map(jnp.asarray, rows(workload, workload.rows))
        parameters = jax.tree.map(jnp.asarray, layers(workload))
        batches = jnp.asarray(orders(workload, steps).astype("int32"))

        def loss(parameters, xb, yb):
            for weight, bias in parameters[:-1]:
                xb = jax.nn.relu(xb @ weight + bias)
            weight, bias = parameters[-1]
            out = xb @ weight + bias
            if workload.loss == "mae":
                return jnp.abs(out - yb).mean()
            return -jnp.take_along_axis(jax.nn.log_softmax(out), yb[:, None], axis=1).mean()

        def step(parameters, index):
            value, gradient = jax.value_and_grad(loss)(parameters, x[index], y[index])
            return jax.tree.map(lambda p, g: p - workload.learning_rate * g, parameters, gradient), value

        def batched(parameters, batches):
            return jax.lax.scan(jax.vmap(step), parameters, jnp.swapaxes(batches, 0, 1))

        def one_by_one(parameters, batches):
            return jax.lax.map(lambda one: jax.lax.scan(step, *one), (parameters, batches))

        program = jax.jit(batched if options["form"] == "vmap" else one_by_one)
        return lambda: jax.block_until_ready(program(parameters, batches))

    # Processes that share the trials must take the same number of steps; a compiled program needs no short turns.
    steps = min(workload.steps, max(20, 100_000 // (workload.batch * workload.trials)))
    serve(make, workload, trials=workload.trials, steps=steps if options.get("pinned") else None)


if __name__ == "__main__":
    main()
