"""JAX functions of many kinds, trained in a moment: what `test_trained_zoo_jax` has certified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jax import lax
from jax import nn as act
from jax import numpy as jnp


@dataclass(frozen=True)
class Entry:
    """A function, the shapes of its parameters, and what its refusal's advice makes of it."""

    f: Callable
    shapes: dict[str, tuple[int, ...]]
    instead: Callable | None = None
    samples: str = "vectors"


TWO = {"W": (4, 6), "a": (6, 1)}
BIASES = {**TWO, "b": (6,), "c": (1,)}
IMAGES = {"K": (3, 2, 3, 3), "a": (12, 1)}
HEADS = {"q": (3, 4), "k": (3, 4), "v": (3, 4), "a": (4, 1)}


def two(unit):
    return lambda p, x: unit(x @ p["W"]) @ p["a"]


def biased(unit):
    return lambda p, x: unit(x @ p["W"] + p["b"]) @ p["a"] + p["c"]


def pooled(reduce, start):
    def f(p, x):
        z = act.relu(lax.conv_general_dilated(x, p["K"], (1, 1), "SAME"))
        found = lax.reduce_window(z, start, reduce, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        return found.reshape(len(x), -1) @ p["a"]

    return f


def attention(score):
    def f(p, x):
        weights = score((x @ p["q"]) @ (x @ p["k"]).transpose(0, 2, 1))
        return (weights @ (x @ p["v"])).mean(axis=1) @ p["a"]

    return f


def recurrent(unit):
    def f(p, x):
        start = jnp.zeros((len(x), 5), dtype=x.dtype)
        step = lambda h, now: (unit(h @ p["U"] + now @ p["W"]), None)  # noqa: E731
        return lax.scan(step, start, x.transpose(1, 0, 2))[0] @ p["a"]

    return f


def rms(z):
    return z * lax.rsqrt(jnp.mean(z**2, axis=-1, keepdims=True))


def layer(z):
    return rms(z - z.mean(axis=-1, keepdims=True))


FUNCTIONS: dict[str, Entry] = {
    "linear": Entry(lambda p, x: x @ p["a"], {"a": (4, 1)}),
    "relu": Entry(two(act.relu), TWO),
    "leaky": Entry(two(act.leaky_relu), TWO),
    "square": Entry(two(jnp.square), TWO),
    "gelu": Entry(two(act.gelu), TWO),
    "silu": Entry(two(act.silu), TWO),
    "softplus": Entry(two(act.softplus), TWO),
    "tanh": Entry(two(jnp.tanh), TWO, two(act.relu)),
    "biases": Entry(biased(act.relu), BIASES),
    "where": Entry(two(lambda z: jnp.where(z > 0, z, 0.1 * z)), TWO),
    "residual": Entry(
        lambda p, x: ((z := x @ p["W"]) + act.relu(z @ p["U"])) @ p["a"], {**TWO, "U": (6, 6)}
    ),
    "maxout": Entry(
        lambda p, x: (x @ p["W"]).reshape(-1, 3, 2).max(axis=2) @ p["a"], {**TWO, "a": (3, 1)}
    ),
    "sorted": Entry(two(lambda z: jnp.sort(z, axis=1)), TWO),
    "median": Entry(
        lambda p, x: jnp.median((x @ p["W"]).reshape(-1, 2, 3), axis=2) @ p["a"],
        {**TWO, "a": (2, 1)},
    ),
    "rms-norm": Entry(two(lambda z: act.relu(rms(z))), TWO),
    "layer-norm": Entry(two(lambda z: act.relu(layer(z))), TWO),
    "cnn-max": Entry(pooled(lax.max, -jnp.inf), IMAGES, samples="images"),
    "cnn-sum": Entry(pooled(lax.add, 0.0), IMAGES, samples="images"),
    "relu-attention": Entry(attention(act.relu), HEADS, samples="sequences"),
    "softmax-attention": Entry(
        attention(lambda z: act.softmax(z, axis=-1)), HEADS, attention(act.relu), "sequences"
    ),
    "rnn": Entry(
        recurrent(act.relu), {"W": (3, 5), "U": (5, 5), "a": (5, 1)}, samples="sequences"
    ),
    "swiglu": Entry(
        lambda p, x: (act.silu(x @ p["W"]) * (x @ p["V"])) @ p["a"], {**TWO, "V": (4, 6)}
    ),
    "log-softmax": Entry(
        lambda p, x: act.log_softmax(act.relu(x @ p["W"]) @ p["a"], axis=1),
        {**TWO, "a": (6, 3)}, samples="classes",
    ),
    "classes": Entry(two(act.relu), {**TWO, "a": (6, 3)}, samples="classes"),
    "compiled": Entry(jax.jit(two(act.relu)), TWO),
}  # fmt: skip


def samples(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return few samples with labels that a function of the kind can learn."""
    draw = np.random.default_rng(4)
    shape = {"vectors": (4,), "classes": (4,), "images": (2, 4, 4), "sequences": (5, 3)}[kind]
    X = draw.standard_normal((14, *shape))
    flat = X.reshape(14, -1)
    if kind == "classes":
        return X, flat[:, :3].argmax(axis=1)
    way = draw.standard_normal(flat.shape[1])
    way /= np.linalg.norm(way)
    y = np.where(flat @ way > 0, 1, -1)
    return X + (1.5 * y[:, None] * way).reshape(X.shape), y


def trained(f: Callable, shapes: dict, kind: str, steps: int = 200) -> tuple:
    """Return parameters after steps of normalised gradient descent in double precision."""
    X, y = samples(kind)
    draw = np.random.default_rng(1)
    params = {k: 0.5 * draw.standard_normal(shape) for k, shape in shapes.items()}
    with jax.enable_x64(True):

        def loss(params):
            scores = f(params, jnp.asarray(X))
            if kind == "classes":
                return -jnp.log(-act.log_softmax(scores)[np.arange(len(y)), y].mean())
            return -jnp.log(act.softplus(-y * scores[:, 0]).mean())

        slope = jax.jit(jax.grad(loss))
        for step in range(steps):
            found = slope(params)
            size = max(np.sqrt(sum(float((g**2).sum()) for g in found.values())), 1e-3)
            rate = 0.1 / (1.0 + step) ** 0.25 / size
            params = {k: np.asarray(params[k] + rate * found[k]) for k in params}
    return params, X, y
