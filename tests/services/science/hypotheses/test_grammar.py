"""Claims are read, written and read again."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.science.hypotheses import HypothesisError, parse
from services.science.hypotheses.ast import Hypothesis, Item, Quantity, Selector, Sum, Term

NAMES = st.sampled_from(["relu", "tanh", "he_uniform", "leaky_relu", "sgd", "adam"])
VALUES = st.sampled_from(["0.1", "1", "-2.5", "none", "cosine", "cosine(floor=0)"])
NUMBERS = st.floats(1e-6, 1e6, allow_nan=False).filter(lambda x: x > 0)
PARAMETERS = st.dictionaries(st.sampled_from(["alpha", "negative_slope", "momentum"]), VALUES, max_size=2)
ITEMS = st.one_of(
    st.builds(
        lambda name, axis, parameters, every: Item(name, 0, axis, tuple(sorted(parameters.items())), every),
        NAMES,
        st.sampled_from([None, "activation", "initializer", "optimizer"]),
        PARAMETERS,
        st.booleans(),
    ),
    st.integers(1, 999).map(lambda size: Item(str(size), 0, "batch_size")),
)
SELECTORS = st.builds(
    lambda items, pick: Selector(tuple(items), 0, pick),
    st.lists(ITEMS, max_size=3),
    st.sampled_from([None, "best", "worst"]),
)
METRICS = st.sampled_from(["val_loss", "val_accuracy", "train_loss", "val_rmse"])
POINTS = st.one_of(st.sampled_from(["final", "best", "auc"]), st.integers(0, 9_999))
QUANTITIES = st.one_of(
    st.builds(lambda m, s, at: Quantity("metric", m, s, 0, at), METRICS, SELECTORS, POINTS),
    st.builds(
        lambda k, m, s, at: Quantity(k, m, s, 0, at), st.sampled_from(["spread", "gap"]), METRICS, SELECTORS, POINTS
    ),
    st.builds(lambda m, s: Quantity("jumpiness", m, s, 0), METRICS, SELECTORS),
    st.builds(lambda s: Quantity("diverged", "", s, 0), SELECTORS),
    st.builds(
        lambda m, s, t, up: Quantity("epochs_to", m, s, 0, threshold=t, at_least=up),
        METRICS,
        SELECTORS,
        NUMBERS,
        st.booleans(),
    ),
)
TERMS = st.builds(lambda factor, sign, q: Term(factor * sign, q), NUMBERS, st.sampled_from([1.0, -1.0]), QUANTITIES)
SUMS = st.builds(
    lambda terms, constant: Sum(tuple(terms), constant), st.lists(TERMS, max_size=3), st.just(0.0) | NUMBERS
)


@given(SUMS, st.sampled_from(["<", "<=", ">", ">=", "within"]), SUMS, NUMBERS)
def test_what_is_written_reads_back_as_the_same_claim(left: Sum, relation: str, right: Sum, tolerance: float) -> None:
    claim = Hypothesis("", left, relation, right, tolerance if relation == "within" else 0.0)  # type: ignore[arg-type]
    if not left.terms and not right.terms:
        with pytest.raises(HypothesisError):
            parse(str(claim))
        return
    read = parse(str(claim))
    assert str(read) == str(claim)
    assert (read.relation, read.tolerance) == (claim.relation, claim.tolerance)
    for mine, theirs in ((left, read.left), (right, read.right)):
        assert mine.constant == theirs.constant
        assert [term.factor for term in mine.terms] == [term.factor for term in theirs.terms]
        for a, b in zip(mine.terms, theirs.terms, strict=True):
            assert (a.quantity.statistic, a.quantity.metric, a.quantity.at) == (
                b.quantity.statistic,
                b.quantity.metric,
                b.quantity.at,
            )
            assert str(a.quantity.selector) == str(b.quantity.selector)


@given(st.text(alphabet=string.printable + "≤·é∞", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        parse(text)
    except HypothesisError as found:
        error = found
    else:
        return
    assert 0 <= error.position <= len(text)
    assert f"character {error.position + 1}" in str(error)


@given(st.integers(0, 50), st.sampled_from("$#!?;[]{}'\"&%"))
def test_an_unknown_character_is_pointed_at(place: int, character: str) -> None:
    text = "val_loss(relu, he_uniform) < val_loss(tanh, he_uniform)"
    with pytest.raises(HypothesisError) as caught:
        parse(text[:place] + character + text[place:])
    assert caught.value.position == place


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("val_loss(relu)", 14, "expected <, <=, >, >= or `within NUMBER of`, not the end"),
        ("val_loss(relu) = val_loss(tanh)", 15, "two measured numbers are never equal"),
        ("val_loss(relu < 3", 14, "expected ')'"),
        ("val_loss relu) < 3", 9, "expected '('"),
        ("val_loss(relu) within 0 of 3", 22, "must be above 0"),
        ("val_loss(relu) within 0.1 3", 26, "expected 'of'"),
        ("val_loss(relu) < 1 2", 19, "after a whole claim"),
        ("0 * val_loss(relu) < 1", 0, "a factor of 0"),
        ("1 < 2", 0, "at least one quantity"),
        ("val_loss@soon(relu) < 2", 9, "after @ stands an epoch"),
        ("epochs_to(val_loss)(relu) < 2", 18, "needs a threshold"),
        ("val_loss(batch_size=relu) < 2", 20, "a whole number"),
        ("val_loss(relu,) < 2", 14, "the name of"),
        ("val_loss() < 2", 9, "the name of"),
        ("val_loss(relu(slope)) < 2", 19, "expected '='"),
        (" + ".join(["val_loss(relu)"] * 21) + " < 2", 355, "at most 20"),
        ("val_loss(relu) < 1e999", 17, "too large"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, place: int, words: str) -> None:
    with pytest.raises(HypothesisError, match="at character") as caught:
        parse(text)
    assert caught.value.position == place
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("VAL_LOSS(ReLU) ≤ 3", "val_loss(relu) <= 3"),
        ("val_loss(relu · he_uniform) < 3", "val_loss(relu, he_uniform) < 3"),
        ("final_val_loss(relu) < 3", "val_loss(relu) < 3"),
        ("val_loss@best(relu) < 3", "best_val_loss(relu) < 3"),
        ("spread(relu) < 3", "spread(val_loss)(relu) < 3"),
        ("val_loss(batch_size=64) < 3", "val_loss(batch 64) < 3"),
        ("val_loss(relu)<2×val_loss(tanh)−.5", "val_loss(relu) < 2 * val_loss(tanh) - 0.5"),
    ],
)
def test_spellings_of_the_same_claim(one: str, other: str) -> None:
    assert str(parse(one)) == str(parse(other))
