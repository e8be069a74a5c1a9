"""Certificates of JAX functions: the same numbers as our own predictors, and the refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import (
    DataError,
    DegreeError,
    ParameterError,
    ShapeError,
    UnsupportedError,
)
from lexmargin.judge import Verdict, certify_arrays
from lexmargin.judge.trained import trained as trained_module
from lexmargin.margins import MarginFunctions

jax = pytest.importorskip("jax", reason="jax is not installed: an optional extra")
jnp = jax.numpy

ACTIVATIONS = {
    "relu": (lambda z: jax.nn.relu(z), lm.ReLU(), 2.0),
    "maximum": (lambda z: jnp.maximum(z, 0.0), lm.ReLU(), 2.0),
    "relu2": (lambda z: jax.nn.relu(z) ** 2, lm.ReLU(power=2), 3.0),
    "leaky": (lambda z: jax.nn.leaky_relu(z, 0.25), lm.LeakyReLU(0.25), 2.0),
    "square": (lambda z: z**2, lm.Square(), 3.0),
}


def two_layers(activation):
    def f(params, X):
        return activation(X @ params["W"].T) @ params["a"].T

    return f


def separated(f, units, outputs=1, n=30):
    X = np.random.default_rng(1).normal(size=(n, 3))
    for seed in range(50):
        draw = np.random.default_rng(seed)
        params = {"W": draw.normal(size=(units, 3)), "a": draw.normal(size=(outputs, units))}
        scores = np.asarray(f(params, X))
        labels = np.sign(scores[:, 0]).astype(int) if outputs == 1 else scores.argmax(axis=1)
        ordered = np.sort(np.abs(scores) if outputs == 1 else scores, axis=1)
        clear = ordered[:, -1] - (ordered[:, -2] if outputs > 1 else 0.0) > 1e-3
        if len(np.unique(labels[clear])) == max(outputs, 2) and clear.sum() >= 5:
            return params, X[clear], labels[clear]
    raise AssertionError("no seed gives every class")


def symmetric_leaky(p=4, units=6):
    """±e_i with labels ±1; unit j is ±s_j Σ e_i with outer weight ±s_j √p: KKT by symmetry."""
    shares = np.repeat(np.linspace(0.5, 1.5, units // 2), 2)
    signs = np.tile([1.0, -1.0], units // 2)
    params = {
        "W": (shares * signs)[:, None] * np.ones((1, p)),
        "a": (shares * signs * math.sqrt(p))[None, :],
    }
    return params, np.vstack([np.eye(p), -np.eye(p)]), np.repeat([1, -1], p)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("limit", [20_000_000, 0], ids=["gradients", "inner-products"])
def test_the_numbers_are_those_of_our_own_predictors(name, outputs, limit, monkeypatch):
    activation, ours, degree = ACTIVATIONS[name]
    f = two_layers(activation)
    params, X, y = separated(f, 7, outputs)
    functions = MarginFunctions(lm.Network((7,), ours, outputs), lm.Dataset(X, y))
    theta = np.concatenate([params["W"].ravel(), params["a"].ravel()])
    wanted = certify_arrays(functions.values(theta), functions.jacobian(theta), theta, degree)
    monkeypatch.setattr(trained_module, "JACOBIAN_ENTRIES", limit)
    found = lm.certify_function(f, params, X, y)
    assert found.degree == degree and found.verdict is wanted.verdict
    assert found.margin == pytest.approx(wanted.margin, rel=1e-12)
    assert found.stationarity == pytest.approx(wanted.stationarity, rel=1e-9)
    assert found.support.tolist() == wanted.support.tolist()
    np.testing.assert_allclose(found.multipliers, wanted.multipliers, rtol=1e-7)


@pytest.mark.parametrize("limit", [20_000_000, 0], ids=["gradients", "inner-products"])
def test_a_stationary_network_is_local_and_a_turned_or_flipped_one_is_not(limit, monkeypatch):
    monkeypatch.setattr(trained_module, "JACOBIAN_ENTRIES", limit)
    f = two_layers(lambda z: jax.nn.leaky_relu(z, 0.25))
    params, X, y = symmetric_leaky()
    found = lm.certify_function(f, params, X, y)
    assert found.verdict is Verdict.STRICT_LOCAL and found.curvature.symmetries == 4
    flipped = lm.certify_function(f, params, X, -y)
    assert flipped.verdict is Verdict.NOT_SEPARATING
    params["W"] = params["W"] + 1e-5 * np.random.default_rng(0).normal(size=params["W"].shape)
    turned = lm.certify_function(f, params, X, y)
    assert turned.verdict is Verdict.NOT_STATIONARY and turned.stationarity_bound > 1e-7


def test_single_precision_parameters_are_copied_to_double():
    f = two_layers(lambda z: jax.nn.relu(z))
    params, X, y = separated(f, 5)
    single = {k: jnp.asarray(v, dtype=jnp.float32) for k, v in params.items()}
    found = lm.certify_function(f, single, X, y)
    assert found.degree == 2.0 and single["W"].dtype == jnp.float32


REFUSED = [
    ("tanh", two_layers(jnp.tanh), "not homogeneous"),
    ("clip", two_layers(lambda z: jnp.clip(z, 0.0, 3.0)), "not homogeneous"),
    ("sum", lambda p, X: jax.nn.relu(X @ p["W"].T) @ p["a"].T + X @ p["W"][:1].T, "not homogen"),
    ("mixing", lambda p, X: two_layers(jax.nn.relu)(p, X - X.mean(axis=0)), "other samples"),
    ("tiny-tanh", lambda p, X: two_layers(jnp.tanh)(p, 1e-8 * X), "fails by"),
    ("early-cap", lambda p, X: two_layers(jax.nn.relu6)(p, 1e-4 * X), "fails by"),
    ("late-gelu", lambda p, X: two_layers(jax.nn.gelu)(p, 1e6 * X), "fails by"),
]


@pytest.mark.parametrize(
    ("f", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_is_not_homogeneous_is_refused(f, message):
    params, X, y = symmetric_leaky()
    X = X + 0.1 * np.random.default_rng(0).normal(size=X.shape)
    with pytest.raises(DegreeError, match=message):
        lm.certify_function(f, params, X, y)


def test_an_output_bias_is_named_even_where_it_is_zero():
    params, X, y = symmetric_leaky()
    params["b"] = np.zeros(1)

    def f(p, inputs):
        return two_layers(jax.nn.relu)(p, inputs) + p["b"]

    with pytest.raises(DegreeError, match="'b' is a bias"):
        lm.certify_function(f, params, X, y)


def detached_share(z):
    h = jax.nn.relu(z)
    return h * (1.0 + jax.lax.stop_gradient(h / (1e-30 + h.sum(axis=1, keepdims=True))))


@jax.custom_vjp
def backwards_only(z):
    return 2.0 * z


backwards_only.defvjp(lambda z: (2.0 * z, None), lambda _, g: (2.0 * g,))


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (two_layers(detached_share), "not those of its scores"),
        (two_layers(backwards_only), "can't apply forward-mode"),
        (lambda p, X: np.asarray(X @ p["W"].T) @ p["a"].T, "TracerArrayConversionError"),
        (lambda p, X: X @ p["W"][0] if p["a"][0, 0] > 0 else X @ p["W"][1], "TracerBool"),
        (lambda p, X: X @ p["missing"], "KeyError: 'missing'"),
    ],
    ids=["detached", "custom-vjp", "numpy", "branch", "key"],
)
def test_what_jax_cannot_differentiate_is_named(f, message):
    params, X, y = symmetric_leaky()
    X = X + 0.1 * np.random.default_rng(0).normal(size=X.shape)
    with pytest.raises(UnsupportedError, match=message):
        lm.certify_function(f, params, X, y)


@pytest.mark.parametrize("degree", [1.0, 3.0])
def test_a_wrong_degree_is_named(degree):
    params, X, y = symmetric_leaky()
    with pytest.raises(DegreeError, match="has degree 2, not"):
        lm.certify_function(
            two_layers(lambda z: jax.nn.leaky_relu(z, 0.25)), params, X, y, degree=degree
        )


@pytest.mark.parametrize(
    ("activation", "felt"),
    [
        (lambda z: jax.nn.relu(z), True),
        (lambda z: jnp.maximum(z, 0.5 * z), True),
        (jnp.abs, True),
        (lambda z: jnp.where(z > 0, z, 0.5 * z), True),
        (lambda z: jax.nn.relu(z) ** 2, False),
    ],
    ids=["relu", "maximum", "abs", "where", "relu2"],
)
def test_every_kink_is_seen_however_it_is_written(activation, felt):
    params = {"W": np.array([[1.0, 1.0], [2.0, -1.0]]), "a": np.array([[1.0, 0.5]])}
    # Twice the same kink; the first sample has it.
    X, y = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1, -1])
    from lexmargin.judge.autodiff.jax_rows import JaxScores

    report = JaxScores(two_layers(activation), params, X).kinks(
        np.arange(2), y[:, None].astype(float)
    )
    assert report.nearest == 0.0 and (report.felt == 0.0) is felt and report.unknown == ()


def test_an_operation_whose_kinks_are_not_measured_leaves_the_verdict_open():
    leaky = two_layers(lambda z: jax.nn.leaky_relu(z, 0.25))
    params, X, y = symmetric_leaky()
    largest = lambda p, x: jax.lax.cummax(leaky(p, x), axis=1)  # noqa: E731
    found = lm.certify_function(largest, params, X, y)
    assert found.verdict is Verdict.UNDECIDED and "because of cummax" in found.reasons[0]
    # One entry has no order.
    found = lm.certify_function(lambda p, x: jnp.sort(leaky(p, x), axis=1), params, X, y)
    assert found.verdict is Verdict.STRICT_LOCAL


def test_bad_input_is_named():
    leaky = two_layers(lambda z: jax.nn.leaky_relu(z, 0.25))
    params, X, y = symmetric_leaky()
    with pytest.raises(DataError, match="'a' holds NaN"):
        lm.certify_function(leaky, {**params, "a": params["a"] * np.nan}, X, y)
    with pytest.raises(ShapeError, match="cannot read samples"):
        lm.certify_function(leaky, params, np.hstack([X, X]), y)
    with pytest.raises(ParameterError, match=r"f must be a function .*, not the dict"):
        lm.certify_function(params, leaky, X, y)
    with pytest.raises(ShapeError, match="row of scores"):
        lm.certify_function(lambda p, x: leaky(p, x).mean(), params, X, y)
    with pytest.raises(DataError, match="entries of type"):
        lm.certify_function(leaky, {**params, "steps": 3}, X, y)
    with pytest.raises(UnsupportedError, match="float32"):
        lm.certify_function(lambda p, x: leaky(p, x).astype(jnp.float32), params, X, y)


def test_a_silent_leading_part_is_judged_by_exponents() -> None:
    """``v (W_2 W_1 x + b)`` with ``s + t >= 1`` and ``-2s - t >= 1``: t = 3, and v = b."""
    root = math.sqrt(3.0)
    params = {
        "W1": jnp.array([[-2.0 / root]]),
        "W2": jnp.ones((1, 1)),
        "b": jnp.array([root]),
        "v": jnp.array([root]),
    }

    def network(p, x):
        return (x @ p["W1"].T @ p["W2"].T + p["b"]) @ p["v"]

    X, y = np.array([[1.0], [2.0]]), np.array([1, -1])
    found = lm.certify_limit(network, X, y, params=params)
    assert found.verdict is Verdict.KKT and found.dimension == 2
    assert dict(found.exponents) == {"W1": 0.25, "W2": 0.25, "b": 0.5, "v": 0.5}
    turned = params | {"b": jnp.array([root * (1.0 + 1e-5)])}
    assert not lm.certify_limit(network, X, y, params=turned).verdict.stationary
