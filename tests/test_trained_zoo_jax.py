"""Trained JAX functions of many kinds: each gets a word, or a refusal whose advice works."""

from __future__ import annotations

import numpy as np
import pytest

import lexmargin as lm
from zoo_numbers import LOOSE, check_numbers

jax = pytest.importorskip("jax", reason="jax is not installed: an optional extra")

from zoo_jax import FUNCTIONS, trained  # noqa: E402


def advised(entry, f):
    params, X, y = trained(f, entry.shapes, entry.samples)
    try:
        return lm.certify_function(f, params, X, y, tolerances=LOOSE), 1.0, (f, params, X, y)
    except lm.LexmarginError as error:
        assert "certify_limit" in str(error), error
    try:
        found = lm.certify_limit(f, X, y, params=params, tolerances=LOOSE)
    except lm.LexmarginError as error:
        assert entry.instead is not None and "ReLU" in str(error), error
        return advised(entry, entry.instead)
    return found, 2.0**40, (f, params, X, y)


def margins_and_rows(f, params, X, y, far):
    with jax.enable_x64(True):

        def margins(given):
            found = f(given, jax.numpy.asarray(X))
            if found.shape[1] == 1:
                return y * found[:, 0]
            others = [(n, c) for n in range(len(y)) for c in range(found.shape[1]) if c != y[n]]
            return jax.numpy.stack([found[n, y[n]] - found[n, c] for n, c in others])

        at = {k: jax.numpy.asarray(far * v) for k, v in params.items()}
        values, parts = np.asarray(margins(at)), jax.jacrev(margins)(at)
        names = sorted(params)
        rows = [np.asarray(parts[k]).reshape(len(values), -1) for k in names]
    theta = np.concatenate([params[k].reshape(-1) for k in names])
    return values, np.concatenate(rows, axis=1), theta, [(k, params[k].size) for k in names]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_gets_a_word_or_advice_that_works(name):
    found, far, case = advised(FUNCTIONS[name], FUNCTIONS[name].f)
    check_numbers(found, far, *margins_and_rows(*case, far))
