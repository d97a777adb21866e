"""Row orders: permutations of the order stream, whatever is drawn ahead."""

import numpy as np

from services.science.streams import Purpose, stream
from services.training.order import OrdersAhead, distinct_seeds, epoch_orders


def test_seeds_are_shared_in_order_of_appearance() -> None:
    seeds, index = distinct_seeds((7, 3, 7, 7, 0, 3))
    assert seeds == (7, 3, 0)
    assert index.tolist() == [0, 1, 0, 0, 2, 1]


def test_an_epochs_orders_are_the_streams_permutations() -> None:
    orders = epoch_orders((7, 3), 4, 50)
    assert orders.tolist() == [stream(seed, Purpose.ORDER, 4).permutation(50).tolist() for seed in (7, 3)]


def test_drawing_ahead_changes_no_order() -> None:
    ahead = OrdersAhead((7, 3), 50, epochs=6)
    for epoch in (1, 2, 3, 5, 6, 2, 3, 6):  # a pause takes an epoch again, a resumption begins in the middle
        drawn = ahead.take(epoch)
        assert drawn.dtype == np.int32
        assert np.array_equal(drawn, epoch_orders((7, 3), epoch, 50))


def test_an_epoch_that_is_asked_for_again_is_not_drawn_again() -> None:
    ahead = OrdersAhead((7, 3), 50, epochs=6)
    first = ahead.take(2)
    assert ahead.take(2) is first
    np.testing.assert_array_equal(ahead.take(3), epoch_orders((7, 3), 3, 50))
    np.testing.assert_array_equal(ahead.take(2), first)
