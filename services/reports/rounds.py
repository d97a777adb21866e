"""What a report says of seeds in rounds: how they ended, and why a verdict may ask for more."""

from collections.abc import Mapping
from typing import Any


def rounds_sentence(record: Mapping[str, Any] | None, spec: Mapping[str, Any]) -> str | None:
    """How the rounds stand, and on what that rests; None for an experiment without rounds.

    Args:
        record: `rounds` of an experiment.
        spec: its stored spec.
    """
    if record is None:
        return None
    place = f"round {record['round']} of at most {record['rounds']}, with {record['seeds']} seeds"
    if not record["stopped"]:
        return f"Seeds are added in rounds: this is {place}, and the question is not settled yet."
    looks = record["looks"]
    best = looks[-1].get("best") if looks else None  # older records do not name it
    reason = f"{record['reason']} ({best})" if best else record["reason"]
    metric = (spec.get("rounds") or {}).get("metric", "val_loss")
    return (
        f"Seeds were added in rounds and stopped after {place}, by the final {metric}: {reason}; "
        f"{record['guarantee']}. "
        "The verdict above does not suppose normal values: its test of pairs is exact, asks for more seeds, and may "
        "leave open what the rounds have settled."
    )
