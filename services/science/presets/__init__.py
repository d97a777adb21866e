"""The presets: studies ready to be submitted, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from services.science.presets.base import DocumentClaim, Preset
from services.science.presets.catalogue_tour import CATALOGUE_TOUR
from services.science.presets.cifar10 import CIFAR10_INITIALIZERS
from services.science.presets.circles_exercise import CIRCLES_EXERCISE
from services.science.presets.diamonds import DIAMONDS_RANDOM, DIAMONDS_TAIL
from services.science.presets.histogram_net import HISTOGRAM_NET, HISTOGRAM_NET_BATCH_NORM
from services.science.presets.landmarks import HE_VS_XAVIER_DEPTH, SELU_SELF_NORMALIZING
from services.science.presets.quickstart import QUICKSTART
from services.science.presets.symmetry import SYMMETRY_AND_SCALE

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            QUICKSTART,
            DIAMONDS_RANDOM,
            DIAMONDS_TAIL,
            CATALOGUE_TOUR,
            CIRCLES_EXERCISE,
            SYMMETRY_AND_SCALE,
            HISTOGRAM_NET,
            HISTOGRAM_NET_BATCH_NORM,
            CIFAR10_INITIALIZERS,
            HE_VS_XAVIER_DEPTH,
            SELU_SELF_NORMALIZING,
        )
    }
)
"""Every preset by its name; the first is the one to start with."""

__all__ = ["PRESETS", "DocumentClaim", "Preset"]
