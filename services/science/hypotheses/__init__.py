"""Claims: sentences about arms that an experiment upholds, refutes or leaves undecided.

    val_loss(relu, he_uniform) < val_loss(relu, glorot_uniform)
    best_val_accuracy(tanh) >= 0.9
    val_loss(relu, he_uniform) within 0.02 of val_loss(relu, lecun_uniform)
    val_loss(best(relu)) > val_loss(best(tanh)) + 0.05
    spread(val_accuracy)(he_normal) < spread(val_accuracy)(random_normal)
    epochs_to(val_accuracy >= 0.5)(he_uniform) < 12

`grammar` reads the text, `binding` checks it against a grid, `evaluation` decides it from curves.
"""

from services.science.hypotheses.ast import Hypothesis, HypothesisError
from services.science.hypotheses.binding import BoundHypothesis, Terms, bind
from services.science.hypotheses.evaluation import evaluate
from services.science.hypotheses.grammar import parse
from services.science.hypotheses.models import ClaimResult, ClaimResults

__all__ = [
    "BoundHypothesis",
    "ClaimResult",
    "ClaimResults",
    "Hypothesis",
    "HypothesisError",
    "Terms",
    "bind",
    "evaluate",
    "parse",
]
