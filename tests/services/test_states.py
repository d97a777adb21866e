"""The moves of a cohort: what is declared is what the rows accept."""

import itertools

import pytest

from services.db.tables import CohortRow
from services.db.unit_of_work import is_unreadable
from services.states import FINAL, FINAL_TRIAL, MOVES, STATES, TRIAL_STATES, IllegalMoveError


def test_every_state_has_its_moves_and_every_move_leads_to_a_state() -> None:
    assert set(MOVES) == set(STATES)
    assert set().union(*MOVES.values()) <= set(STATES)
    assert set(FINAL) < set(STATES)
    assert set(FINAL_TRIAL) - set(FINAL) == set(TRIAL_STATES) - set(STATES) == {"diverged"}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(STATES, STATES)))
def test_a_row_makes_these_moves_and_no_others(before: str, after: str) -> None:
    cohort = CohortRow(state=before)
    if after in MOVES[before] or after == before:
        cohort.state = after
        assert cohort.state == after
    else:
        with pytest.raises(IllegalMoveError, match=f"{before} never becomes {after}"):
            cohort.state = after
        assert cohort.state == before


def test_an_illegal_move_is_our_fault_and_no_unreadable_row() -> None:
    """Rows that cannot be read are set apart for good; a fault of the code must not end an experiment so."""
    cohort = CohortRow(state="succeeded")
    with pytest.raises(IllegalMoveError) as caught:
        cohort.state = "running"
    assert not is_unreadable(caught.value)
