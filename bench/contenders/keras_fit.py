"""Keras's fit(), one network at a time: options ``{"backend", "epochs", "packages"}``.

With `epochs` a turn is one whole run: build, compile, and that many epochs with validation, as a user waits for it;
without, one epoch of training alone. `packages` is a further folder of modules, for a backend from another environment.
"""

import os
import sys
from typing import Any

from bench.contenders.numbers import rows
from bench.turns import Turn, asked, serve
from bench.workload import Workload

SLOW_STEPS = 100
"""Steps of a turn on PyTorch, which takes milliseconds for each."""
VALIDATION = 4
"""Training rows for each validation row."""


def main() -> None:
    """Serve one trial at a time; fit shuffles and is silent."""
    workload, options = asked()
    backend = str(options["backend"])
    os.environ["KERAS_BACKEND"] = backend
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if "packages" in options:
        sys.path.append(str(options["packages"]))
    # Keras reads its backend when it is imported.
    import keras  # noqa: PLC0415

    def build() -> Any:
        classes = workload.loss == "cross_entropy"
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classes else "mae"
        inner = [keras.layers.Dense(width, activation="relu") for width in workload.widths[1:-1]]
        model = keras.Sequential([keras.Input(workload.shape), *inner, keras.layers.Dense(workload.widths[-1])])
        model.compile(optimizer=keras.optimizers.SGD(workload.learning_rate), loss=loss)
        return model

    def make(workload: Workload, steps: int) -> Turn:
        x, y = rows(workload, steps * workload.batch)
        epochs = int(str(options.get("epochs", 0)))
        if epochs:
            seen = {"validation_data": rows(workload, workload.rows // VALIDATION), "epochs": epochs}
            return lambda: build().fit(x, y, batch_size=workload.batch, verbose=0, **seen)
        model = build()
        return lambda: model.fit(x, y, batch_size=workload.batch, epochs=1, verbose=0)

    slow = backend == "torch" and not options.get("epochs")
    steps = min(workload.steps, SLOW_STEPS) if slow else workload.steps
    serve(make, workload.with_trials(1), trials=1, steps=steps)


if __name__ == "__main__":
    main()
