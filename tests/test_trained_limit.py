"""Trained networks against their leading part: torch modules and the predictor that is theirs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge.autodiff.torch_rows import TorchScores
from lexmargin.judge.trained.leading_scores import leading_scores

torch = pytest.importorskip("torch", reason="torch is not installed: an optional extra")
nn = torch.nn
F = torch.nn.functional

X = np.array([[1.0, 0.3], [0.4, 1.2], [-1.0, 0.2], [-0.3, -0.9]])
Y = np.array([1, 1, -1, -1])


class Squared(nn.Module):
    def forward(self, z):
        return F.relu(z) ** 2


class Block(nn.Module):
    """``z + V σ(U z)``."""

    def __init__(self, width, activation):
        super().__init__()
        self.u = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.activation = activation

    def forward(self, z):
        return z + self.v(self.activation(self.u(z)))


def fully_connected(activation, *, widths=(3,), outputs=1):
    sizes, layers = (2, *widths, outputs), []
    for inner, outer in itertools.pairwise(sizes):
        layers += [nn.Linear(inner, outer), activation]
    return nn.Sequential(*layers[:-1])


def seeded(make, seed=0):
    torch.manual_seed(seed)
    return make().double()


# module, the predictor whose leading part it has in the limit
TWINS = {
    "squared": (
        lambda: fully_connected(Squared()),
        lm.Network((3,), lm.ReLU(2), bias="all"),
    ),
    "relu": (
        lambda: fully_connected(nn.ReLU(), widths=(3, 2)),
        lm.Network((3, 2), lm.ReLU(), bias="all"),
    ),
    "gelu": (lambda: fully_connected(nn.GELU()), lm.Network((3,), lm.ReLU(), bias="all")),
    "silu": (lambda: fully_connected(nn.SiLU()), lm.Network((3,), lm.ReLU(), bias="all")),
    "softplus": (lambda: fully_connected(nn.Softplus()), lm.Network((3,), lm.ReLU(), bias="all")),
    "linear": (
        lambda: fully_connected(nn.Identity(), widths=(2, 2)),
        lm.Network((2, 2), bias="all"),
    ),
    "residual": (
        lambda: nn.Sequential(
            nn.Linear(2, 2, bias=False), Block(2, Squared()), nn.Linear(2, 1, bias=False)
        ),
        lm.Residual(2, 1, lm.ReLU(2)),
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_values_and_gradients_are_those_of_the_predictor(name):
    make, predictor = TWINS[name]
    leading = lm.HardMargin(lm.Leading(predictor), lm.Dataset(X, Y)).functions
    for seed in range(3):
        scores, degree = leading_scores(TorchScores(seeded(make, seed), X))
        assert degree == leading.predictor.homogeneity(2).degree
        everyone = np.arange(4)
        assert np.allclose(Y * scores.values()[:, 0], leading.values(scores.theta), atol=1e-12)
        rows = scores.rows(everyone, Y[:, None].astype(float))
        assert np.allclose(rows, leading.jacobian(scores.theta), atol=1e-12)
        weights = np.arange(1.0, 5.0)
        direction = np.random.default_rng(seed).standard_normal((1, scores.theta.size))
        ahead, behind = (
            leading.vjp(scores.theta + sign * 1e-6 * direction[0], weights) for sign in (1, -1)
        )
        product = scores.hessian_products(direction, everyone, (Y * weights)[:, None])
        assert np.allclose(product[0], (ahead - behind) / 2e-6, atol=1e-6)


def at(module, theta):
    nn.utils.vector_to_parameters(torch.tensor(theta), module.parameters())
    return module


@pytest.mark.parametrize("name", ["squared", "linear", "residual"])
def test_an_answer_of_the_limit_is_accepted_and_its_neighbours_are_not(name):
    make, predictor = TWINS[name]
    problem = lm.HardMargin(lm.Leading(predictor), lm.Dataset(X, Y))
    theta = problem.functions.flatten(lm.solve(problem, starts=2).theta)
    module = at(seeded(make), theta)
    found = lm.certify_limit(module, X, Y)
    assert found.verdict.stationary
    assert all(share <= 1e-12 for _, share in found.shares)
    with pytest.raises(lm.DegreeError, match="certify_limit"):
        lm.certify(module, X, Y) if name == "residual" else lm.certify(
            at(module, theta + 0.01), X, Y
        )
    for seed in range(3):
        turn = np.random.default_rng(seed).standard_normal(theta.size)
        turned = theta + 1e-6 * np.linalg.norm(theta) * turn / np.linalg.norm(turn)
        assert not lm.certify_limit(at(module, turned), X, Y).verdict.stationary, seed


def test_what_must_vanish_is_named_with_its_share():
    module = seeded(lambda: fully_connected(nn.ReLU(), widths=(3, 3)), 5)
    found = lm.certify_limit(module, X, Y)
    theta = {name: p.detach().numpy() for name, p in module.named_parameters()}
    total = sum(float(np.sum(p**2)) for p in theta.values())
    assert dict(found.shares) == {
        name: pytest.approx(float(np.sum(theta[name] ** 2)) / total)
        for name in ("2.bias", "4.bias")
    }


REFUSED = {
    "tanh": (lambda: fully_connected(nn.Tanh()), "jumps as '0.weight'"),
    "sigmoid": (lambda: fully_connected(nn.Sigmoid()), "jumps as '0.weight'"),
    "relu6": (lambda: fully_connected(nn.ReLU6()), "jumps as '0.weight'"),
    "probabilities": (
        lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.Softmax(dim=1)),
        "stay bounded",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_leading_part_is_refused(name):
    make, reason = REFUSED[name]
    with pytest.raises(lm.DegreeError, match=reason):
        lm.certify_limit(seeded(make), X, Y)


class Normalised(nn.Module):
    def __init__(self, power=1):
        super().__init__()
        self.a, self.b = nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False)
        self.power = power

    def forward(self, x):
        h = self.a(x)
        return self.b((h / h.pow(2).mean(dim=1, keepdim=True).sqrt()) ** self.power)


def best_of_normalised():
    """min ½‖b‖² s.t. y f(a, b) >= 1, by SLSQP on the module's own derivatives."""
    from scipy.optimize import minimize

    module, inputs, labels = Normalised().double(), torch.tensor(X), torch.tensor(Y).double()

    def margins(theta):
        return labels * at(module, theta)(inputs)[:, 0]

    def jacobian(theta):
        return np.array(
            [
                np.concatenate([g.numpy().reshape(-1) for g in torch.autograd.grad(
                    f, list(module.parameters()), retain_graph=True)])
                for f in margins(theta)
            ]
        )  # fmt: skip

    constraint = {
        "type": "ineq",
        "fun": lambda t: margins(t).detach().numpy() - 1.0,
        "jac": jacobian,
    }
    for seed in range(10):
        start = np.random.default_rng(seed).standard_normal(9)
        found = minimize(
            lambda t: 0.5 * t[6:] @ t[6:],
            start,
            jac=lambda t: np.concatenate([np.zeros(6), t[6:]]),
            constraints=constraint,
            method="SLSQP",
            options={"maxiter": 1000, "ftol": 1e-15},
        )
        if found.success:
            yield module, found.x


def test_normalised_layers_are_judged_by_their_own_condition():
    for module, theta in best_of_normalised():
        found = lm.certify(at(module, theta), X, Y, tolerances=lm.Tolerances(stationarity=1e-6))
        assert found.verdict.stationary
        assert any("normalised" in reason for reason in found.reasons)
        # The size of a normalised layer means nothing.
        longer = theta * np.repeat([37.0, 1.0], [6, 3])
        again = lm.certify(at(module, longer), X, Y, tolerances=lm.Tolerances(stationarity=1e-6))
        assert again.stationarity == pytest.approx(found.stationarity, abs=1e-9)
        turn = np.random.default_rng(0).standard_normal(9)
        for part in (slice(0, 6), slice(6, 9)):
            turned = theta.copy()
            turned[part] += 1e-4 * np.linalg.norm(theta[part]) * turn[part]
            assert not lm.certify(at(module, turned), X, Y).verdict.stationary
        return
    pytest.fail("no start of SLSQP ended")


def test_the_direction_of_a_weight_norm_is_free():
    linear = lm.HardMargin(lm.Linear(), lm.Dataset(X, Y))
    best = linear.functions.flatten(lm.solve(linear).theta)
    module = nn.utils.parametrizations.weight_norm(nn.Linear(2, 1, bias=False)).double()
    size = float(np.linalg.norm(best))
    for length in (1.0, 1e-3, 40.0):
        found = lm.certify(at(module, np.array([size, *(length * best)])), X, Y)
        assert found.verdict.stationary, length
        assert any("normalised" in reason and "original1" in reason for reason in found.reasons)
        across = np.array([-best[1], best[0]]) * length
        turned = at(module, np.array([size, *(length * best + 1e-5 * across)]))
        assert not lm.certify(turned, X, Y).verdict.stationary, length


def test_sizes_mean_nothing_to_the_residual_of_a_normalised_network():
    """Of what is free and of what is homogeneous, at a point that is not stationary."""
    module, theta = next(best_of_normalised())
    turn = np.random.default_rng(2).standard_normal(9)
    theta = theta + 0.02 * np.linalg.norm(theta) * turn / np.linalg.norm(turn)
    found = lm.certify(at(module, theta), X, Y)
    assert not found.verdict.stationary and found.stationarity > 1e-3
    for sizes in ([37.0, 1.0], [1.0, 50.0], [0.1, 0.02]):
        again = lm.certify(at(module, theta * np.repeat(sizes, [6, 3])), X, Y)
        assert again.stationarity == pytest.approx(found.stationarity, rel=1e-6)
