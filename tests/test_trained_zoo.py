"""Trained torch networks of many kinds: each gets a word, or a refusal whose advice works."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge.trained.modules import inside
from zoo_numbers import LOOSE, check_numbers

torch = pytest.importorskip("torch", reason="torch is not installed: an optional extra")

from zoo_torch import NETWORKS, trained  # noqa: E402


def advised(entry, make):
    """Return what the advice of refusals leads to, where it looks, and the case."""
    module, X, y = trained(make, entry.samples)
    try:
        return lm.certify(module, X, y, tolerances=LOOSE), 1.0, (module, X, y)
    except lm.LexmarginError as error:
        assert "certify_limit" in str(error), error
    try:
        return lm.certify_limit(module, X, y, tolerances=LOOSE), 2.0**40, (module, X, y)
    except lm.LexmarginError as error:
        assert entry.instead is not None and "ReLU" in str(error), error
    return advised(entry, entry.instead)


def margins_and_rows(module, X, y, far):
    """Margins and gradients by torch.func at θ, or at a far multiple of it."""
    own = inside(module)
    names = [n for n, p in own.named_parameters() if p.requires_grad]
    fixed = {n: b for n, b in (*own.named_parameters(), *own.named_buffers()) if n not in names}
    given = dict(own.named_parameters())
    at = {n: far * given[n].detach() for n in names}

    def f(parameters):
        with torch.compiler.set_stance("force_eager"):
            found = torch.func.functional_call(own, {**fixed, **parameters}, (torch.tensor(X),))
        found = found.reshape(len(X), -1)
        if found.shape[1] == 1:
            return torch.tensor(y) * found[:, 0]
        keep = [
            found[n, y[n]] - found[n, c] for n in range(len(y)) for c in range(found.shape[1])
            if c != y[n]
        ]  # fmt: skip
        return torch.stack(keep)

    with warnings.catch_warnings():
        # Layers without a batching rule are slow, and torch says so.
        warnings.simplefilter("ignore", UserWarning)
        parts = torch.func.jacrev(f)(at)
    values = f(at).detach().numpy()
    rows = np.concatenate([parts[n].detach().reshape(len(values), -1).numpy() for n in names], 1)
    theta = np.concatenate([given[n].detach().reshape(-1).numpy() for n in names])
    return values, rows, theta, [(n, given[n].numel()) for n in names]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gets_a_word_or_advice_that_works(name):
    entry = NETWORKS[name]
    found, far, case = advised(entry, entry.make)
    check_numbers(found, far, *margins_and_rows(*case, far))
