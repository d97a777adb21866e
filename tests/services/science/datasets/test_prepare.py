"""Split and standardization against an independent recomputation from the numerics contract."""

import csv
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from services.science.datasets import DATASETS, BuiltIn, RawData, plan_notes, plan_rows, prepare
from services.science.datasets.order import order_correlation, order_notes
from services.science.datasets.synthetic import Circles
from services.science.datasets.tabular import DIAMONDS_SHA256
from services.science.streams import Purpose, stream


def independent(x: Any, y: Any, *, fraction: float, order: Any, keep: int | None, regression: bool) -> tuple[Any, ...]:
    """Section by section what the contract says, in float64."""
    n = len(x)
    training = n - round(n * fraction)
    train, rest = order[:training][:keep], order[training:]
    mean, std = x[train].mean(0), x[train].std(0)
    std[std == 0] = 1
    scaled = (x - mean) / std
    targets = (y - y[train].mean()) / y[train].std() if regression else y
    return scaled[train], targets[train], scaled[rest], targets[rest]


def shuffled(n: int) -> Any:
    return np.random.Generator(np.random.Philox(key=np.array([0, 0], dtype=np.uint64))).permutation(n)


@pytest.fixture(scope="module")
def diamonds(diamonds_csv: Path) -> tuple[Any, Any]:
    with diamonds_csv.open(newline="") as file:
        rows = [
            [float(row[k]) for k in ("carat", "depth", "table", "x", "y", "z", "price")] for row in csv.DictReader(file)
        ]
    table = np.array(rows)
    return table[:, :6], table[:, 6]


@pytest.mark.parametrize("split", ["random", "tail"])
@pytest.mark.parametrize(("fraction", "keep"), [(0.2, None), (0.2, 4096), (0.15, 100)])
def test_diamonds_are_split_and_standardized_as_the_contract_says(
    data_dir: Path, diamonds: tuple[Any, Any], split: str, fraction: float, keep: int | None
) -> None:
    choice = DATASETS["diamonds"].model_validate({"validation_fraction": fraction, "train_size": keep, "split": split})
    data = prepare(choice, data_dir)
    x, y = diamonds
    order = shuffled(len(x)) if split == "random" else np.arange(len(x))
    expected = independent(x, y, fraction=fraction, order=order, keep=keep, regression=True)
    arrays = (data.x_train, data.y_train[:, 0], data.x_validation, data.y_validation[:, 0])
    for got, array in zip(arrays, expected, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, array.astype(np.float32), rtol=1e-6, atol=1e-7)
    assert (len(data.x_train), len(data.x_validation)) == plan_rows(choice)
    training = order[: len(x) - round(len(x) * fraction)][:keep]
    assert data.target_mean == pytest.approx(y[training].mean(), rel=1e-12)
    assert data.target_std == pytest.approx(y[training].std(), rel=1e-12)
    assert (data.task, data.outputs, data.digest) == ("regression", 1, DIAMONDS_SHA256)


def test_published_facts_of_diamonds(diamonds: tuple[Any, Any]) -> None:
    """Mean, median and deviation of the price that a summary of the public file gives."""
    _, price = diamonds
    assert (len(price), round(price.mean(), 2), np.median(price), round(price.std(ddof=1), 2)) == (
        53_940,
        3932.80,
        2401,
        3989.44,
    )


def test_digits_follow_the_same_rule(tmp_path: Path) -> None:
    data = prepare(DATASETS["digits"](), tmp_path)
    bunch = cast("Any", load_digits())
    x, y = bunch.data, bunch.target
    expected = independent(x, y, fraction=0.2, order=shuffled(len(x)), keep=None, regression=False)
    arrays = (data.x_train, data.y_train, data.x_validation, data.y_validation)
    for got, array in zip(arrays, expected, strict=True):
        np.testing.assert_allclose(got, array, rtol=1e-6, atol=1e-7)
    assert data.y_train.dtype == np.int64
    assert (data.target_mean, data.target_std) == (0.0, 1.0)


def test_without_standardization_the_values_are_kept(data_dir: Path, diamonds: tuple[Any, Any]) -> None:
    data = prepare(DATASETS["diamonds"](standardize=False, split="tail"), data_dir)
    x, y = diamonds
    np.testing.assert_array_equal(data.x_train, x[:43_152].astype(np.float32))
    np.testing.assert_array_equal(data.y_validation[:, 0], y[43_152:].astype(np.float32))
    assert (data.target_mean, data.target_std) == (0.0, 1.0)


def test_a_tail_split_of_an_ordered_target_is_warned_of(data_dir: Path) -> None:
    tail = DATASETS["diamonds"](split="tail")
    notes = order_notes(tail.load(data_dir).y, tail.split_rows()[0])
    assert any("ordered in the file" in note and "split=tail" in note for note in notes)
    assert any("ordered" in note for note in plan_notes(tail))
    assert plan_notes(DATASETS["diamonds"]()) == ()


class Given(Circles):
    """Data given by a test."""

    def load(self, data_dir: Path) -> RawData:
        return cast("RawData", getattr(data_dir, "raw", None))


class Folder:
    """Stands for a data folder; hands the raw data to `Given`."""

    def __init__(self, raw: RawData) -> None:
        self.raw = raw


def given_data(raw: RawData, **choice: Any) -> Any:
    return prepare(Given(size=len(raw.x), **choice), cast("Path", Folder(raw)))


@given(
    rows=st.integers(20, 300),
    columns=st.integers(1, 5),
    fraction=st.floats(0.05, 0.9),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_any_table_is_split_without_loss_and_scaled_to_unit_moments(
    rows: int, columns: int, fraction: float, scale: float, seed: int
) -> None:
    x = np.random.Generator(np.random.Philox(seed)).normal(3.0, 1.0, (rows, columns)) * scale
    x[:, 0] = np.arange(rows)
    raw = RawData(x, np.arange(rows, dtype=np.int64) % 2, "0" * 64)
    plain = given_data(raw, validation_fraction=fraction, standardize=False)
    everything = np.concatenate([plain.x_train, plain.x_validation])[:, 0]
    assert sorted(everything.tolist()) == list(range(rows))
    assert len(plain.x_validation) == round(rows * fraction)
    scaled = given_data(raw, validation_fraction=fraction)
    if len(scaled.x_train) > 1:
        np.testing.assert_allclose(scaled.x_train.mean(axis=0, dtype=np.float64), 0.0, atol=1e-5)
        np.testing.assert_allclose(scaled.x_train.std(axis=0, dtype=np.float64), 1.0, rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_a_constant_column_becomes_zero(value: float) -> None:
    x = np.column_stack([np.full(97, value), np.arange(97.0)])
    data = given_data(RawData(x, np.arange(97) % 2, ""))
    assert np.all(data.x_train[:, 0] == 0.0)
    assert np.all(data.x_validation[:, 0] == 0.0)


def test_images_are_scaled_by_channel() -> None:
    draw = np.random.Generator(np.random.Philox(5))
    x = draw.integers(0, 256, (40, 3, 6, 5), dtype=np.uint8)
    x[:, 1] //= 7
    x[:, 2] = 9
    x_test = draw.integers(0, 256, (7, 3, 6, 5), dtype=np.uint8)
    raw = RawData(x, np.arange(40) % 2, "", x_test, np.arange(7) % 2)

    class Images(Given):
        def row_count(self) -> tuple[int, int]:
            return 40, 7

    choice = Images(size=40, train_size=25)
    data = prepare(choice, cast("Path", Folder(raw)))
    keep = shuffled(40)[:25]
    level = x[keep] / 255
    mean, std = level.mean((0, 2, 3), keepdims=True), level.std((0, 2, 3), keepdims=True)
    std[0, 2], mean[0, 2] = 1, 9 / 255
    np.testing.assert_allclose(data.x_train, (level - mean) / std, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(data.x_validation, (x_test / 255 - mean) / std, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(data.y_train, (np.arange(40) % 2)[keep])
    plain = prepare(Images(size=40, standardize=False), cast("Path", Folder(raw)))
    np.testing.assert_array_equal(plain.x_validation, (x_test / 255).astype(np.float32))
    used = prepare(Images(size=40, validation_fraction=0.5), cast("Path", Folder(raw)))
    assert len(used.x_train) == 40
    assert any(
        "validation_fraction is not used" in note for note in plan_notes(Images(size=40, validation_fraction=0.5))
    )


def test_a_tail_split_that_hides_a_class_is_warned_of() -> None:
    y = np.repeat(np.arange(5), 20)
    assert any("[4]" in note for note in order_notes(y, 80))
    assert any("[pine]" in note for note in order_notes(y, 80, ("a", "b", "c", "d", "pine")))


def test_classes_in_blocks_of_no_order_are_warned_of_and_shuffled_ones_are_not() -> None:
    blocks = np.repeat([1, 2, 0, 2, 1], [40, 20, 40, 20, 30])
    assert abs(order_correlation(blocks.astype(float))) < 0.1
    (note,) = order_notes(blocks, 120)
    assert "67 % of the validation rows" in note
    for seed in range(40):
        shuffled = stream(seed, Purpose.SPLIT, 0).permutation(blocks)
        assert order_notes(shuffled, 120) == (), seed
    assert order_notes(np.array([0, 1, 0]), 2) == ()


@pytest.mark.parametrize("name", [name for name, member in DATASETS.items() if not member.needs_download])
def test_a_plan_counts_the_rows_that_are_prepared(name: str, tmp_path: Path) -> None:
    member: type[BuiltIn] = DATASETS[name]
    for choice in (member(), member(train_size=17, validation_fraction=0.35)):
        data = prepare(choice, tmp_path)
        assert (len(data.x_train), len(data.x_validation)) == plan_rows(choice)
        assert data.x_train.shape[1:] == data.x_validation.shape[1:] == choice.input_shape
        assert data.outputs == choice.outputs
        again = prepare(choice, tmp_path)
        assert again.digest == data.digest
        np.testing.assert_array_equal(again.x_train, data.x_train)
