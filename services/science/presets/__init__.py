"""The presets: studies ready to be submitted, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from services.science.presets.base import Preset
from services.science.presets.diamonds_article import DIAMONDS_ARTICLE
from services.science.presets.quickstart import QUICKSTART

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in (QUICKSTART, DIAMONDS_ARTICLE)})
"""Every preset by its name; the first is the one to start with."""

__all__ = ["PRESETS", "Preset"]
