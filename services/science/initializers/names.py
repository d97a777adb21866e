"""Other people's names for our initializers, names that are left out on purpose, and names that mean two things."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "constant_": "constant",
        "dirac_": "dirac",
        "edge_of_chaos": "critical",
        "eye": "identity",
        "eye_": "identity",
        "glorotnormal": "glorot_normal",
        "glorotuniform": "glorot_uniform",
        "henormal": "he_normal",
        "heuniform": "he_uniform",
        "kaiming_normal_": "kaiming_normal",
        "kaiming_uniform_": "kaiming_uniform",
        "lecunnormal": "lecun_normal",
        "lecununiform": "lecun_uniform",
        "normal_": "normal",
        "one": "ones",
        "ones_": "ones",
        "orthogonal_": "orthogonal",
        "orthogonalinitializer": "orthogonal",
        "identityinitializer": "identity",
        "randomnormal": "random_normal",
        "randomuniform": "random_uniform",
        "sparse_": "sparse",
        "trunc_normal_": "trunc_normal",
        "truncatednormal": "truncated_normal",
        "uniform_": "uniform",
        "variancescaling": "variance_scaling",
        "xavier_normal_": "xavier_normal",
        "xavier_uniform_": "xavier_uniform",
        "zeros_": "zeros",
    }
)
"""Accepted spellings, with PyTorch's functions and Keras's classes in lower case, and the kind each is stored as."""

LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "stft": "fills a fixed short-time Fourier transform, which is a layer of its own and not a start for training",
        "glorot_unnormal": "does not exist in Keras; the values printed under this name fit glorot_uniform",
        "he_unnormal": "does not exist in Keras; the values printed under this name fit he_uniform",
    }
)
"""Names of torch.nn.init, keras.initializers and the literature that are not members, and why."""


class Difference(NamedTuple):
    """One name, or two that are taken for one, and what Keras and PyTorch mean by it."""

    names: tuple[str, ...]
    keras: str
    torch: str


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        ("glorot_normal", "xavier_normal"),
        "glorot_normal: truncated at two deviations, variance corrected",
        "xavier_normal_: not truncated, times a gain",
    ),
    Difference(
        ("he_normal", "kaiming_normal"),
        "he_normal: truncated at two deviations, variance corrected",
        "kaiming_normal_: not truncated; slope, mode and non-linearity are parameters",
    ),
    Difference(("glorot_uniform", "xavier_uniform"), "the same at gain 1", "the same at gain 1"),
    Difference(("he_uniform", "kaiming_uniform"), "the same at slope 0", "the same at slope 0"),
    Difference(("random_normal", "normal"), "standard deviation 0.05", "standard deviation 1"),
    Difference(("random_uniform", "uniform"), "between -0.05 and 0.05", "between 0 and 1"),
    Difference(
        ("truncated_normal", "trunc_normal"),
        "cut at two standard deviations, 0.05 each before the cut",
        "cut at the absolute values a = -2 and b = 2, standard deviation 1 before the cut",
    ),
    Difference(("constant",), "0 unless said", "no default"),
    Difference(
        ("sparse",),
        "absent",
        "zeroes the columns of an (out, in) weight, which are the rows of an (in, out) one",
    ),
    Difference(
        ("torch_default", "glorot_uniform"),
        "layers start from glorot_uniform with zero biases",
        "layers start from uniform weights and biases within 1 / sqrt(fan_in)",
    ),
)
"""Same name, different thing: what Keras 3.15 and PyTorch 2.13 mean."""
