"""The founding exercise on initialization with its own weights: what one published run of each start shows."""

from services.science.presets.base import DocumentClaim, Preset
from services.science.presets.sources import HE_2015, SYMMETRY_DOCUMENT

_SCALES = (0.01, 1.0, 10.0, "xavier_fan_in", "he")

CIRCLES_EXERCISE = Preset(
    name="circles_exercise",
    title="The exercise on initialization, with the very weights it was published with",
    question="Does the published run of each of seven starts come out as printed?",
    source=SYMMETRY_DOCUMENT,
    description=(
        "Two circles, 10 and 5 relu units and one sigmoid output, full-batch gradient descent at 0.01, and the weights "
        "that numpy.random.seed(3) gives. The cost that the exercise prints at iteration i is the train_loss of epoch "
        "i + 1. It runs 15,000 iterations; an experiment stops at 10,000, so its last figures are not reached here "
        "(the project's tests run them all). One published draw of each start is one trial: whether another draw "
        "would do the same, the study symmetry_and_scale asks with ten."
    ),
    references=(SYMMETRY_DOCUMENT, HE_2015, "Improving Deep Neural Networks, week 1, deeplearning.ai"),
    claims=(
        DocumentClaim(
            key="E1",
            statement="With all weights zero nothing is learned.",
            note="Published: cost 0.6931 at every iteration, accuracy 0.50 in training and 0.50 in testing.",
        ),
        DocumentClaim(
            key="E2",
            statement="With equal weights of 0.5 all units of a layer stay alike.",
            note="Published: cost 1.7876 at iteration 0 and 0.6485 at 14,000; accuracies 0.58 and 0.59.",
        ),
        DocumentClaim(
            key="E3",
            statement="With 0.01 times a normal the cost does not fall visibly.",
            note="Published: cost 0.6931 at iterations 0 and 14,000; accuracies 0.4633 and 0.48.",
        ),
        DocumentClaim(
            key="E4",
            statement="A standard normal learns the circles in this small net.",
            note="Published: cost 1.9698, at iteration 1,000 0.6895, at 14,000 0.0637; accuracies 0.9967 and 0.96.",
        ),
        DocumentClaim(
            key="E5",
            statement="With 10 times a normal the cost starts out enormous and learning stays poor.",
            note=(
                "Published: cost inf, then 0.6250, 0.5981 and at 14,000 0.3828; accuracies 0.83 and 0.86. The infinity "
                "is the logarithm of a sigmoid rounded to 0; the cost is 1773.59, and so it is computed here."
            ),
        ),
        DocumentClaim(
            key="E6",
            statement="Xavier's scale learns them.",
            note="Published: cost 0.7295, at iteration 1,000 0.6939, at 14,000 0.1085; accuracies 0.99 and 0.93.",
        ),
        DocumentClaim(
            key="E7",
            statement="He's scale learns them too, and is the exercise's recommendation for relu.",
            note=(
                "Published: cost 0.8831, then 0.6880, 0.6751, 0.6526 and at 14,000 0.0736; accuracies 0.9933 and 0.96."
            ),
        ),
    ),
    spec={
        "dataset": "coursera_circles",
        "model": {"kind": "mlp", "hidden": [10, 5]},
        "activation": "relu",
        "initializer": [
            "zeros",
            {"kind": "constant", "value": 0.5},
            *({"kind": "legacy_randn", "numpy_seed": 3, "scale": scale} for scale in _SCALES),
        ],
        "optimizer": {"kind": "sgd", "learning_rate": 0.01},
        "batch_size": 300,
        "loss": "binary_cross_entropy",
        "epochs": 10_000,
        "seeds": 1,
    },
)
