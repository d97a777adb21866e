"""Keras's fit(), one network at a time, on its jax backend (TensorFlow's wheel is several times larger)."""

import keras

from bench.contenders.numbers import rows
from bench.turns import Turn, asked, serve
from bench.workload import Workload


def main() -> None:
    """Serve one trial at a time; a turn is one epoch of fit, shuffled, silent, without validation."""
    workload, _ = asked()
    classes = workload.loss == "cross_entropy"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classes else "mae"
    inner = [keras.layers.Dense(width, activation="relu") for width in workload.widths[1:-1]]
    model = keras.Sequential([keras.Input((workload.widths[0],)), *inner, keras.layers.Dense(workload.widths[-1])])
    model.compile(optimizer=keras.optimizers.SGD(workload.learning_rate), loss=loss)

    def make(workload: Workload, steps: int) -> Turn:
        x, y = rows(workload, steps * workload.batch)
        return lambda: model.fit(x, y, batch_size=workload.batch, epochs=1, verbose=0)

    serve(make, workload.with_trials(1), trials=1, steps=min(workload.steps, 300))


if __name__ == "__main__":
    main()
