"""Logistic regression with a prior."""

from __future__ import annotations

import numpy as np
import pytest

from noibo.evaluation.routing.fitting import Matrix, Prior, logistic, sigmoid


def drawn(many: int) -> tuple[Matrix, np.ndarray, np.ndarray]:
    random = np.random.default_rng(11)
    values = random.normal(size=(many, 3))
    truth = np.array([1.5, -1.0, 0.5])
    labels = (random.random(many) < sigmoid(values @ truth)).astype(float)
    lines = [(np.arange(3), line) for line in values]
    return Matrix.of(lines, 3), labels, truth


def test_much_data_shows_the_weights() -> None:
    matrix, labels, truth = drawn(8000)
    prior = Prior(np.zeros(3), np.ones(3))
    found = logistic(matrix, labels, np.ones(8000), prior)
    assert found == pytest.approx(truth, abs=0.12)


def test_a_firm_prior_stands_against_few_labels() -> None:
    matrix, labels, _ = drawn(20)
    prior = Prior(np.array([-2.0, 0.0, 0.0]), np.full(3, 1e6))
    assert logistic(matrix, labels, np.ones(20), prior) == pytest.approx(prior.mean, abs=0.01)


def test_lines_without_weight_count_for_nothing() -> None:
    matrix, labels, _ = drawn(200)
    prior = Prior(np.zeros(3), np.ones(3))
    half = np.array([1.0] * 100 + [0.0] * 100)
    turned = np.concatenate([labels[:100], 1 - labels[100:]])
    assert logistic(matrix, labels, half, prior) == pytest.approx(
        logistic(matrix, turned, half, prior)
    )


def test_the_slope_at_the_weights_found_is_nought() -> None:
    matrix, labels, _ = drawn(500)
    prior = Prior(np.zeros(3), np.ones(3))
    found = logistic(matrix, labels, np.ones(500), prior)
    slope = matrix.transposed_times(sigmoid(matrix.times(found)) - labels) + found
    assert np.abs(slope).max() < 1e-3
