"""The experiment on the wire: the read model with its links, and the bodies of the requests."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.experiments.views import ExperimentView

QUICK = {
    "dataset": "digits",
    "activation": ["relu", "tanh"],
    "initializer": ["he_uniform", "glorot_uniform"],
    "epochs": 10,
    "seeds": 5,
}
AXES = {
    "name": "learning rates of two optimizers",
    "tags": ["lecture"],
    "dataset": {"name": "diamonds", "train_size": 4096},
    "model": {"kind": "mlp", "hidden": [50, 50]},
    "activation": ["relu", {"kind": "leaky_relu", "negative_slope": 0.1}],
    "initializer": ["he_uniform", "glorot_uniform"],
    "optimizer": [{"kind": "sgd", "learning_rate": [0.01, 0.1]}, "adam"],
    "batch_size": 32,
    "loss": "mae",
    "epochs": 10,
    "seeds": [0, 1, 2],
}


class Links(BaseModel):
    """Where to go from here."""

    self: str
    trials: str
    metrics: str
    events: str
    comparison: str
    claims: str
    report: str


class Experiment(ExperimentView):
    """One submitted spec, with its state and all that came of it."""

    links: Links

    @classmethod
    def of(cls, view: ExperimentView) -> "Experiment":
        """Add the links."""
        base = f"/v1/experiments/{view.id}"
        links = Links(
            self=base,
            trials=f"{base}/trials",
            metrics=f"{base}/metrics",
            events=f"{base}/events",
            comparison=f"{base}/comparison",
            claims=f"{base}/claims",
            report=f"{base}/report.html",
        )
        return cls.model_construct(**dict(view), links=links)


class CloneRequest(BaseModel):
    """What to change in the copy: any fields of the spec; null takes a field out."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"spec": {"epochs": 20, "seeds": 10}}]})

    spec: dict[str, Any] = Field(default_factory=dict, description="Fields of the spec that replace the original's.")
