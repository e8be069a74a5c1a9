"""Trained torch networks of many kinds: each gets a word, or a refusal whose advice works."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge.trained.modules import inside
from zoo_numbers import LOOSE, check_numbers

torch = pytest.importorskip("torch", reason="torch is not installed: an optional extra")

from zoo_torch import NETWORKS, Call, mlp, trained  # noqa: E402


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


WRAPPED = {
    "parallel": torch.nn.DataParallel,
    "compiled": torch.compile,
    "twice": lambda module: torch.nn.DataParallel(torch.compile(module)),
    "inside": lambda module: torch.nn.Sequential(torch.compile(module)),
    "subclass": lambda module: type("Own", (torch.nn.Sequential,), {})(*module),
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", WRAPPED)
def test_what_is_wrapped_has_the_word_of_the_module_inside(name, bias):
    module, X, y = trained(lambda: mlp(torch.nn.ReLU, bias=bias), "vectors")
    verb = lm.certify_limit if bias else lm.certify
    wanted, found = verb(module, X, y), verb(WRAPPED[name](module), X, y)
    assert found.verdict is wanted.verdict and found.degree == wanted.degree
    one, other = (getattr(f, "certificate", f) for f in (wanted, found))
    assert other.margin == pytest.approx(one.margin, rel=1e-12)
    assert other.stationarity == pytest.approx(one.stationarity, rel=1e-9)
    assert other.support.tolist() == one.support.tolist()


@pytest.mark.parametrize("how", ["trace", "script"])
def test_a_traced_module_is_named_and_the_advice_works(how):
    module, X, y = trained(lambda: mlp(torch.nn.ReLU), "vectors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = (
            torch.jit.trace(module, torch.tensor(X[:2])) if how == "trace"
            else torch.jit.script(module)
        )  # fmt: skip
    with pytest.raises(lm.UnsupportedError, match="traced or scripted") as caught:
        lm.certify(traced, X, y)
    assert "load_state_dict" in str(caught.value)
    again = mlp(torch.nn.ReLU).double()
    again.load_state_dict(traced.state_dict())
    assert lm.certify(again, X, y).verdict is lm.certify(module, X, y).verdict


def test_scores_that_share_an_offset_are_judged_by_their_differences():
    """LogSoftmax, and any score added to all classes, change no margin and so no number."""
    module, X, y = trained(lambda: mlp(torch.nn.ReLU, outputs=3), "classes")
    wanted = lm.certify(module, X, y)
    shifted = Call(lambda m, x: m.net(x) + x.sin().sum(dim=1, keepdim=True), net=module)
    for other in (torch.nn.Sequential(module, torch.nn.LogSoftmax(dim=1)), shifted):
        found = lm.certify(other, X, y)
        assert found.degree == 2.0 and found.verdict is wanted.verdict
        assert found.margin == pytest.approx(wanted.margin, rel=1e-9)
        assert found.stationarity == pytest.approx(wanted.stationarity, rel=1e-7)
    # What is no common offset is seen, however LogSoftmax hides it close to θ = 0.
    for unit in (torch.nn.Tanh, torch.nn.GELU, torch.nn.Softplus):
        other, X, y = trained(lambda unit=unit: mlp(unit, outputs=3), "classes")
        with pytest.raises(lm.DegreeError, match="not homogeneous"):
            lm.certify(torch.nn.Sequential(other, torch.nn.LogSoftmax(dim=1)), X, y)


DECIDED = {
    "where": lambda z: torch.where(z > 0, z, 0.1 * z),
    "detached": lambda z: z * torch.where(z.detach() > 0, 1.0, 0.1).double(),
    "gate": lambda z: z * (z > 0),
    "sign": lambda z: z * (1.0 + 0.5 * torch.sign(z)),
    "turned": lambda z: torch.where(torch.zeros_like(z) <= z, z, 0.1 * z),
}


@pytest.mark.parametrize("name", DECIDED)
def test_a_support_on_the_tie_of_a_decision_leaves_the_word_open(name):
    # Unit 2 is 0 at both samples, and one gradient for each decides nothing.
    X, y = np.array([[1.0, 1.0], [-1.0, -1.0]]), [1, -1]
    unit = Call(lambda m, z: DECIDED[name](z))
    net = torch.nn.Sequential(torch.nn.Linear(2, 3, bias=False), unit,
                              torch.nn.Linear(3, 1, bias=False)).double()  # fmt: skip
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]))
        net[2].weight.copy_(torch.tensor([[1.0, 0.5, -1.0]]))
    loose = lm.Tolerances(stationarity=0.9, complementarity=0.9)
    found = lm.certify(net, X, y, tolerances=loose)
    assert found.verdict is lm.Verdict.UNDECIDED and found.nearest_kink == 0.0
    assert "on a kink" in found.reasons[0]
