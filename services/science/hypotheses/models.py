"""What is answered about claims: JSON-ready, null where the data cannot give a number."""

from typing import Literal

from pydantic import Field

from services.science.base import Strict
from services.science.comparison.models import Difference

Verdict = Literal["upheld", "refuted", "undecided"]
Test = Literal["sign_flip", "t"]


class ClaimQuantity(Strict):
    """One quantity of a claim, and what was measured of it."""

    text: str
    arms: list[str] = Field(description="Labels of the arms it speaks of; several count by their mean at each seed.")
    chosen: str | None = Field(description="The arm that `best` or `worst` picked, by the same seeds that judge it.")
    mean: float | None = Field(description="Over the seeds at which every arm has a number.")
    trials: int = Field(description="Trials it counts: of all its arms, or of the chosen one.")
    diverged: int = Field(description="Those that diverged.")
    missing: int = Field(description="Those without a result.")


class ClaimResult(Strict):
    """One claim, decided or not."""

    index: int = Field(description="Its place in the spec's `hypotheses`.")
    claim: str
    verdict: Verdict
    sentence: str
    quantities: list[ClaimQuantity]
    n: int = Field(description="Seeds at which both sides have a result.")
    difference: Difference = Field(
        description="Left side minus right side: mean over the seeds where both are finite, and its t interval."
    )
    tolerance: float | None = Field(description="Of `within`; else null.")
    p_value: float | None
    p_holm: float | None = Field(description="Adjusted for all claims of the experiment; this one decides.")
    method: str
    min_attainable_p: float | None = Field(description="Smallest p that so many seeds can ever give.")
    can_reach_alpha: bool = Field(description="Whether so many seeds can decide so many claims at all.")
    effect_size: float | None = Field(description="Mean over standard deviation of the differences.")
    seeds_needed: int | None = Field(description="Seeds that decide an effect of this size with 80 % power.")
    notes: list[str]


class ClaimResults(Strict):
    """Every claim of an experiment."""

    confidence: float
    test: Test
    adjustment: Literal["holm"] = "holm"
    items: list[ClaimResult]
    next_cursor: None = None
