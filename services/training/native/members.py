"""How activations and optimizers are written down for the kernel."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

Member = Mapping[str, object]
"""A family member as its object: ``kind`` and parameters."""

CODES = MappingProxyType(
    {
        name: code
        for code, name in enumerate(
            (
                "identity", "relu", "leaky_relu", "tanh", "sigmoid", "elu", "gelu", "gelu_tanh", "silu", "softplus",
                "log_sigmoid", "mish", "softsign", "hard_tanh", "hard_sigmoid", "hard_silu", "threshold", "hard_shrink",
                "soft_shrink", "tanh_shrink", "scaled_tanh", "squared_relu", "squareplus", "sine", "snake", "arctan",
                "erf", "gaussian", "exponential",
                "sparse_plus",
                "cosine", "sinc", "arcsinh", "bent_identity", "isru", "elish", "lisht", "phish", "serf", "tanh_exp",
            )
        )
    }
)  # fmt: skip
"""Numbers of the functions of `kActivations` in activations.hpp; a library with other names is not loaded."""

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "adagrad")
"""In the order of `Rule` in optimizers.hpp."""

LOSSES = ("mae", "mse", "huber", "cross_entropy", "binary_cross_entropy")
"""In the order of `Loss` in losses.hpp."""


def _number(member: Member, name: str, default: float = 0.0) -> float:
    value = member.get(name, default)
    return default if value is None else float(value)  # pyright: ignore[reportArgumentType]


Encoder = Callable[[Member], tuple[str, Sequence[float]]]


def _plain(kind: str, *numbers: float) -> Encoder:
    return lambda member: (kind, numbers)  # noqa: ARG005


def _with(kind: str, **defaults: float) -> Encoder:
    return lambda member: (kind, [_number(member, name, default) for name, default in defaults.items()])


def _gelu(member: Member) -> tuple[str, Sequence[float]]:
    return ("gelu_tanh" if member.get("approximate", "none") == "tanh" else "gelu"), ()


def _celu(member: Member) -> tuple[str, Sequence[float]]:
    alpha = _number(member, "alpha", 1.0)
    return "elu", (alpha, 1.0, 1.0 / alpha)


ENCODERS: Mapping[str, Encoder] = MappingProxyType(
    {
        "identity": _plain("identity"),
        "relu": _plain("relu"),
        "leaky_relu": _with("leaky_relu", negative_slope=0.01),
        "tanh": _plain("tanh"),
        "sigmoid": _plain("sigmoid"),
        "elu": lambda member: ("elu", (_number(member, "alpha", 1.0), 1.0, 1.0)),
        "selu": _plain("elu", 1.6732632423543772, 1.0507009873554805, 1.0),
        "celu": _celu,
        "gelu": _gelu,
        "silu": lambda member: ("silu", (_number(member, "beta", 1.0), 1.0)),
        "e_swish": lambda member: ("silu", (1.0, _number(member, "beta", 1.5))),
        "softplus": _with("softplus", beta=1.0, threshold=20.0),
        "log_sigmoid": _plain("log_sigmoid"),
        "mish": _plain("mish"),
        "softsign": _plain("softsign"),
        "hard_tanh": _with("hard_tanh", min_value=-1.0, max_value=1.0),
        "rrelu": lambda member: (
            "leaky_relu",
            ((_number(member, "lower", 1 / 8) + _number(member, "upper", 1 / 3)) / 2,),
        ),
        "relu6": _plain("hard_tanh", 0.0, 6.0),
        "hard_sigmoid": _plain("hard_sigmoid", 1 / 6, 0.5),
        "sparse_sigmoid": _plain("hard_sigmoid", 0.5, 0.5),
        "hard_silu": _plain("hard_silu"),
        "threshold": _with("threshold", threshold=1.0, otherwise=0.0),
        "hard_shrink": _with("hard_shrink", lambd=0.5),
        "soft_shrink": _with("soft_shrink", lambd=0.5),
        "tanh_shrink": _plain("tanh_shrink"),
        "lecun_tanh": _plain("scaled_tanh", 1.7159, 2 / 3),
        "squared_relu": _plain("squared_relu", 1.0, 0.0),
        "star_relu": _with("squared_relu", scale=0.8944, shift=-0.4472),
        "squareplus": _with("squareplus", b=4.0),
        "sin": _plain("sine", 1.0),
        "siren": _with("sine", omega_0=30.0),
        "snake": _with("snake", a=1.0),
        "arctan": _plain("arctan"),
        "erf": _plain("erf"),
        "gaussian": _plain("gaussian"),
        "exponential": _plain("exponential"),
        "sparse_plus": _plain("sparse_plus"),
        "cos": _plain("cosine"),
        "sinc": _plain("sinc"),
        "arcsinh": _plain("arcsinh"),
        "bent_identity": _plain("bent_identity"),
        "isru": lambda member: ("isru", (_number(member, "alpha", 1.0), 0.0)),
        "isrlu": lambda member: ("isru", (_number(member, "alpha", 1.0), 1.0)),
        "elish": _plain("elish"),
        "lisht": _plain("lisht"),
        "phish": _plain("phish"),
        "serf": _plain("serf"),
        "tanh_exp": _plain("tanh_exp"),
    }
)
"""From an activation's object to the kernel's function and its up to four numbers."""


GATES: Mapping[str, Encoder] = MappingProxyType(
    {
        "bilinear": _plain("identity"),
        "geglu": _plain("gelu"),
        "glu": _plain("sigmoid"),
        "reglu": _plain("relu"),
        "swiglu": _plain("silu", 1.0, 1.0),
    }
)
"""From a gated activation's object to the function of its second half."""

LEARNED: Mapping[str, Encoder] = MappingProxyType({"prelu": _with("leaky_relu", initial_slope=0.25)})
"""From an activation with a trained slope to the function, whose first number the slope is."""


def encode_activation(member: Member) -> tuple[int, tuple[float, float, float, float]]:
    """The function's code and its numbers.

    Raises:
        ValueError: an activation the kernel does not have.
    """
    kind = str(member.get("kind"))
    encoders = {**ENCODERS, **GATES, **LEARNED}
    if kind not in encoders:
        raise ValueError(f"activation {kind!r} is not in the kernel; it has {', '.join(encoders)}")
    name, numbers = encoders[kind](member)
    first, second, third, fourth = (*numbers, 0.0, 0.0, 0.0, 0.0)[:4]
    return CODES[name], (first, second, third, fourth)


def optimizer_slots(member: Member) -> int:
    """Arrays of state beside the parameters."""
    kind = member.get("kind")
    if kind == "sgd":
        return 1 if _number(member, "momentum") else 0
    if kind == "rmsprop":
        return 3 if member.get("centered") else (2 if _number(member, "momentum") else 1)
    if kind == "adagrad":
        return 1
    return 3 if member.get("amsgrad") else 2


def encode_optimizer(member: Member) -> dict[str, float | int]:
    """The fields of the kernel's settings that describe an optimizer.

    Raises:
        ValueError: an optimizer the kernel does not have.
    """
    kind = str(member.get("kind"))
    if kind not in OPTIMIZERS:
        raise ValueError(f"optimizer {kind!r} is not in the kernel; it has {', '.join(OPTIMIZERS)}")
    second = _number(member, "decay", 0.99) if kind == "rmsprop" else _number(member, "beta_2", 0.999)
    return {
        "rule": OPTIMIZERS.index(kind),
        "nesterov": int(bool(member.get("nesterov"))),
        "centered": int(bool(member.get("centered"))),
        "amsgrad": int(bool(member.get("amsgrad"))),
        "momentum": _number(member, "momentum"),
        "dampening": _number(member, "dampening"),
        "beta1": _number(member, "beta_1", 0.9),
        "beta2": second,
        "epsilon": _number(member, "epsilon", 1e-10 if kind == "adagrad" else 1e-8),
        "weight_decay": _number(member, "weight_decay", 0.01 if kind == "adamw" else 0.0),
        "rate_decay": _number(member, "learning_rate_decay"),
        "clip_norm": _number(member, "clip_norm"),
    }
