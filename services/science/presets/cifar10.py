"""Six initializers of a small convolutional network on CIFAR-10, with batch norm evaluated in three ways."""

from services.science.presets.base import DocumentClaim, Preset
from services.science.presets.sources import CIFAR_DOCUMENT, GLOROT_2010, HE_2015, IOFFE_2015

CIFAR10_INITIALIZERS = Preset(
    name="cifar10_initializers",
    title="Glorot, He and plain random weights on CIFAR-10",
    question="Does He's initializer learn faster and steadier, or does a moving average only hide the others?",
    source=CIFAR_DOCUMENT,
    description=(
        "Convolutions of 32, 64 and 128 channels with relu, batch norm, pooling and dropout; plain gradient descent at "
        "0.01, batches of 512, 30 epochs, five runs, as far as the source says. Every epoch is validated with batch "
        "norm's moving statistics (Keras's decay of 0.99), with recalibrated ones and with each batch's own: in the "
        "first epochs the moving ones still remember their starting value, which is not a lack of learning. For a "
        "GPU; on a small machine ask for train_size=4998 and validation_size=1000, which keeps 98 steps an epoch."
    ),
    references=(CIFAR_DOCUMENT, GLOROT_2010, HE_2015, IOFFE_2015, "Krizhevsky 2009, CIFAR-10"),
    steps_per_epoch=98,
    claims=(
        DocumentClaim(
            key="C1",
            statement="Glorot stays near chance until epoch 3, and is jumpy afterwards.",
            hypotheses=(
                "val_accuracy@3(glorot_uniform) < 0.15",
                "val_accuracy_recalibrated@3(glorot_uniform) < 0.15",
                "jumpiness(val_accuracy)(he_uniform) < jumpiness(val_accuracy)(glorot_uniform)",
            ),
            note="The second asks the same without the moving average.",
        ),
        DocumentClaim(
            key="C2",
            statement="Random normal stays below 40 % and random uniform below 50 %; both near chance until epoch 5.",
            hypotheses=(
                "val_accuracy(random_normal) < 0.4",
                "val_accuracy(random_uniform) < 0.5",
                "val_accuracy@5(random_uniform) < 0.15",
                "val_accuracy_recalibrated@5(random_uniform) < 0.15",
            ),
        ),
        DocumentClaim(
            key="C3",
            statement="He rises from the first epoch, crosses 50 % at about epoch 12 and ends at about 60 %.",
            hypotheses=(
                "val_accuracy@1(he_uniform) > 0.1",
                "epochs_to(val_accuracy >= 0.5)(he_uniform) <= 12",
                "val_accuracy(he_uniform) within 0.05 of 0.6",
            ),
        ),
        DocumentClaim(
            key="C4",
            statement="The highest single accuracy is Glorot's.",
            hypotheses=("best_val_accuracy(glorot_uniform, glorot_normal) > best_val_accuracy(he_uniform, he_normal)",),
        ),
        DocumentClaim(
            key="C5",
            statement="The loss starts lower with Glorot and random uniform than with He.",
            hypotheses=(
                "train_loss@1(glorot_uniform) < train_loss@1(he_uniform)",
                "train_loss@1(random_uniform) < train_loss@1(he_uniform)",
            ),
        ),
        DocumentClaim(
            key="C6",
            statement="Over five runs Glorot and random spread, He agrees with itself.",
            hypotheses=(
                "spread(val_accuracy)(he_uniform) < spread(val_accuracy)(glorot_uniform)",
                "spread(val_accuracy)(he_uniform) < spread(val_accuracy)(random_uniform)",
            ),
        ),
        DocumentClaim(
            key="C7",
            statement="The gap between training and validation is smallest with He and largest with random weights.",
            hypotheses=(
                "gap(val_loss)(he_uniform) < gap(val_loss)(glorot_uniform)",
                "gap(val_loss)(glorot_uniform) < gap(val_loss)(random_uniform)",
                "gap(val_loss_recalibrated)(he_uniform) < gap(val_loss_recalibrated)(random_uniform)",
            ),
        ),
        DocumentClaim(
            key="C8",
            statement="He needs fewer epochs, hence less energy.",
            hypotheses=(
                "epochs_to(val_accuracy >= 0.5)(he_uniform) < epochs_to(val_accuracy >= 0.5)(glorot_uniform)",
                "epochs_to(val_accuracy >= 0.5)(he_uniform) < epochs_to(val_accuracy >= 0.5)(random_uniform)",
            ),
        ),
    ),
    spec={
        "dataset": "cifar10",
        "model": {
            "kind": "cnn",
            "batch_norm": {"decay": 0.99, "epsilon": 0.001, "evaluation": ["moving", "recalibrated", "batch"]},
        },
        "activation": "relu",
        "initializer": [
            "glorot_uniform",
            "glorot_normal",
            "he_uniform",
            "he_normal",
            "random_uniform",
            "random_normal",
        ],
        "optimizer": {"kind": "sgd", "learning_rate": 0.01},
        "batch_size": 512,
        "epochs": 30,
        "seeds": 5,
        "diagnostics": {"schedule": [0, 1, 30], "quantities": ["moments", "saturation", "dead_units", "gradients"]},
    },
)
