"""Kinks of JAX's primitives, against a search for the places where gradients jump."""

from __future__ import annotations

import numpy as np
import pytest

from lexmargin.judge.autodiff.jax_rows import JaxScores

jax = pytest.importorskip("jax", reason="jax is not installed: an optional extra")
jnp, lax, act = jax.numpy, jax.lax, jax.nn
SIX = np.array([0, 2, 1, 1, 5, 3])
KINDS = np.array([True, False] * 3)


def scan(z):
    start = jnp.zeros(len(z), dtype=z.dtype)
    return lax.scan(lambda c, x: (act.relu(c + x), c), start, z.T)[0]


SMOOTH = {
    "roll": lambda z: jnp.roll(z, 2, axis=1),
    "flip": lambda z: jnp.flip(z, 1),
    "repeat": lambda z: jnp.repeat(z, 2, axis=1),
    "cumsum": lambda z: jnp.cumsum(z, axis=1),
    "pad": lambda z: jnp.pad(z, ((0, 0), (1, 2))),
    "reflection": lambda z: jnp.pad(z, ((0, 0), (1, 2)), mode="reflect"),
    "gather": lambda z: z[:, SIX],
    "scatter": lambda z: jnp.zeros_like(z).at[:, SIX[:2]].set(z[:, :2]),
    "scatter_add": lambda z: jnp.zeros_like(z).at[:, SIX].add(z),
    "var": lambda z: jnp.var(z, axis=1),
    "std": lambda z: jnp.std(z, axis=1),
    "prod": lambda z: jnp.prod(z, axis=1),
    "norm": lambda z: jnp.linalg.norm(z, axis=1),
    "rsqrt": lambda z: z * lax.rsqrt(jnp.mean(z**2, axis=1, keepdims=True)),
    "softmax": lambda z: act.softmax(z, axis=1),
    "where_of_samples": lambda z: jnp.where(KINDS, z, 2.0 * z),
}
KINKED = {
    "relu": act.relu,
    "leaky_relu": act.leaky_relu,
    "abs": jnp.abs,
    "maximum": lambda z: jnp.maximum(z, z[:, ::-1]),
    "clip": lambda z: jnp.clip(z, -0.5, 0.5),
    "clamp": lambda z: lax.clamp(-0.5, z, 0.5),
    "max": lambda z: z.max(axis=1),
    "min": lambda z: z.min(axis=1),
    "window": lambda z: lax.reduce_window(z, -jnp.inf, lax.max, (1, 3), (1, 2), "SAME"),
    "sort": lambda z: jnp.sort(z, axis=1),
    "argsort": lambda z: jnp.take_along_axis(z, jnp.argsort(z, axis=1), axis=1),
    "argmax": lambda z: jnp.take_along_axis(z, jnp.argmax(z, axis=1, keepdims=True), axis=1),
    "argmin": lambda z: jnp.take_along_axis(z, jnp.argmin(z, axis=1, keepdims=True), axis=1),
    "top_k": lambda z: lax.top_k(z, 3)[0],
    "median": lambda z: jnp.median(z, axis=1),
    "where": lambda z: jnp.where(z > 0, z, 0.1 * z),
    "gate": lambda z: z * (z > 0),
    "sign": lambda z: z * jnp.sign(z),
    "scan": scan,
    "cond": lambda z: jax.vmap(
        lambda row: lax.cond(row[0] > 0, lambda r: r, lambda r: 2.0 * r, row)
    )(z),
}


def moved(then):
    def f(params, x):
        found = then(params["scale"] * x + params["shift"]).reshape(len(x), -1)
        return found @ jnp.arange(1.0, 1.0 + found.shape[1])

    return f


def at(x):
    return {"scale": np.ones(x.shape[1:]), "shift": np.zeros(x.shape[1:])}


def report(then, x):
    scores = JaxScores(moved(then), at(x), x)
    return scores.kinks(np.arange(len(x)), np.ones((len(x), 1)))


def jumps(then, line):
    """Return the places in [0, 1] where the gradient jumps, by bisection of a grid."""
    f = moved(then)
    with jax.enable_x64(True):
        gradient = jax.jit(jax.grad(lambda s, x: f({"scale": 1.0, "shift": s}, x).sum()))
        slope = lambda t: np.asarray(gradient(np.zeros(6), line(t)))  # noqa: E731
        grid, found = np.linspace(0.0, 1.0, 24), []
        slopes = [slope(t) for t in grid]
        for low, high, first, last in zip(grid, grid[1:], slopes, slopes[1:], strict=False):
            for _ in range(46):
                if np.abs(last - first).max() < 1e-4:
                    break
                middle = (low + high) / 2
                between = slope(middle)
                if np.abs(between - first).max() >= np.abs(last - between).max():
                    high, last = middle, between
                else:
                    low, first = middle, between
            if np.abs(last - first).max() > 1e-3:
                found.append(low)
    return found


def line(t):
    start, end = np.random.default_rng(3).standard_normal((2, 1, 6))
    return (1 - t) * start + t * end


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_primitives_have_no_kink_and_none_is_found(name):
    assert not jumps(SMOOTH[name], line)
    for t in (0.1, 0.5, 0.8):
        found = report(SMOOTH[name], line(t))
        assert not found.unknown and (found.felt is None or found.felt > 1e-3)


@pytest.mark.parametrize("name", KINKED)
def test_kinks_are_where_the_gradient_jumps(name):
    places = jumps(KINKED[name], line)
    assert places
    for t in places:
        found = report(KINKED[name], line(t))
        assert not found.unknown and found.felt is not None and found.felt < 1e-9, t
    for t in np.linspace(0.05, 0.95, 7):
        if all(abs(t - place) > 1e-3 for place in places):
            assert report(KINKED[name], line(t)).felt > 1e-6, t
