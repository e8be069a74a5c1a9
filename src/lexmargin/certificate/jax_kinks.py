"""Kinks of a JAX computation: its own list of primitives is walked, whoever wrote them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from lexmargin.certificate.scores import KinkReport

__all__ = ["function_kinks"]

_PAIRED: Final = ("max", "min")
_COMPARED: Final = ("ge", "gt", "le", "lt")
_NAMES: Final = """
add sub mul div neg dot_general conv_general_dilated integer_pow square reduce_sum reshape transpose
broadcast_in_dim squeeze expand_dims concatenate slice dynamic_slice gather select_n
convert_element_type copy copy_p stop_gradient pad iota split rev tanh logistic exp
"""
_SMOOTH: Final = frozenset(_NAMES.split())
_CALL_NAMES: Final = """
jit pjit closed_call core_call custom_jvp_call custom_vjp_call remat remat2 checkpoint
"""
_CALLS: Final = frozenset(_CALL_NAMES.split())
_BODIES: Final = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def function_kinks(
    scores: Callable[[Any, Any], Any], params: Any, X: Any, seeds: Any
) -> KinkReport:
    """Evaluate ``scores(params, X)`` (S, C) primitive by primitive and measure the kinked ones.

    Comparisons count as kinks that are felt; a primitive that is neither listed as smooth nor one
    whose kink is known is reported by name.

    Parameters
    ----------
    scores : the scores as a function of parameters and samples.
    params : θ as its tree.
    X : (S, …) samples.
    seeds : (S, C) weights of the scores in the margins.
    """
    import jax

    closed = jax.make_jaxpr(lambda p: scores(p, X))(params)
    leaves = jax.tree_util.tree_leaves(params)
    unknown: set[str] = set()
    # A shift of 0 at every kinked output: its gradient is what the margins feel of it.
    names, distances, shifts = [], [], []

    def first(name: str, z: Any, shape: tuple[int, ...] | None) -> Any:
        names.append(name)
        distances.append(_relative(np.asarray(z), len(X)))
        shifts.append(None if shape is None else np.zeros(shape))
        return None if shape is None else shifts[-1]

    _walk(closed.jaxpr, closed.consts, leaves, [True] * len(leaves), first, unknown)
    smooth = [index for index, shift in enumerate(shifts) if shift is not None]

    def objective(moved: list[Any]) -> Any:
        given = dict(zip(smooth, moved, strict=True))
        place = iter(range(len(names)))
        ends = _walk(
            closed.jaxpr,
            closed.consts,
            leaves,
            [True] * len(leaves),
            lambda name, z, shape: given.get(next(place)),
            set(),
        )
        return (ends[0][0] * seeds).sum()

    slopes: dict[int, Any] = {}
    if smooth:
        gradients = jax.grad(objective)([jax.numpy.asarray(shifts[k]) for k in smooth])
        slopes = {k: np.abs(np.asarray(g)) for k, g in zip(smooth, gradients, strict=True)}
    if not names:
        return KinkReport(None, None, "", tuple(sorted(unknown)))
    nearest = (math.inf, names[0])
    felt = (math.inf, names[0])
    for index, distance in enumerate(distances):
        nearest = min(nearest, (float(np.min(distance)), names[index]))
        slope = slopes.get(index)
        if slope is not None and slope.shape == distance.shape:
            distance = np.where(slope <= 1e-6 * np.max(slope), math.inf, distance)
        felt = min(felt, (float(np.min(distance)), names[index]))
    where = felt[1] if math.isfinite(felt[0]) else nearest[1]
    return KinkReport(nearest[0], felt[0], where, tuple(sorted(unknown)))


def _walk(
    jaxpr: Any,
    consts: Any,
    arguments: list[Any],
    tracked: list[bool],
    seen: Callable[[str, Any, tuple[int, ...] | None], Any],
    unknown: set[str],
) -> list[tuple[Any, bool]]:
    """Evaluate a jaxpr; return its outputs, each with whether it depends on θ."""
    known: dict[Any, tuple[Any, bool]] = {}

    def read(atom: Any) -> tuple[Any, bool]:
        return (atom.val, False) if hasattr(atom, "val") else known[atom]

    known.update((v, (c, False)) for v, c in zip(jaxpr.constvars, consts, strict=True))
    known.update(
        (v, pair)
        for v, pair in zip(jaxpr.invars, zip(arguments, tracked, strict=True), strict=True)
    )
    for equation in jaxpr.eqns:
        pairs = [read(atom) for atom in equation.invars]
        values, live = [p[0] for p in pairs], any(p[1] for p in pairs)
        name = equation.primitive.name
        body = next((equation.params[k] for k in _BODIES if k in equation.params), None)
        if body is not None and name in _CALLS:
            inner, constants = (body.jaxpr, body.consts) if hasattr(body, "jaxpr") else (body, [])
            ends = _walk(inner, constants, values, [p[1] for p in pairs], seen, unknown)
            known.update(zip(equation.outvars, ends, strict=True))
            continue
        outputs = equation.primitive.bind(*values, **equation.params)
        if not equation.primitive.multiple_results:
            outputs = [outputs]
        if live:
            outputs = _watched(name, values, outputs, equation.params, seen, unknown)
        known.update((v, (value, live)) for v, value in zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _watched(
    name: str,
    values: list[Any],
    outputs: list[Any],
    params: dict[str, Any],
    seen: Callable[[str, Any, tuple[int, ...] | None], Any],
    unknown: set[str],
) -> list[Any]:
    if name in _PAIRED or name == "abs":
        gap = values[0] if name == "abs" else values[0] - values[1]
        shift = seen(name, gap, tuple(outputs[0].shape))
        return outputs if shift is None else [outputs[0] + shift]
    if name in _COMPARED:
        if np.issubdtype(values[0].dtype, np.floating):
            seen(name, values[0] - values[1], None)
        return outputs
    if name not in _SMOOTH and not (name == "pow" and _whole(values[1])):
        unknown.add(name)
    return outputs


def _whole(power: Any) -> bool:
    try:
        number = float(power)
    except TypeError:
        return False
    return number >= 1.0 and number.is_integer()


def _relative(z: Any, count: int) -> Any:
    """Return |z| over its largest entry in the same sample; 0/0 counts as a kink."""
    size = np.abs(z)
    if z.ndim > 1 and z.shape[0] == count:
        top = size.reshape(count, -1).max(axis=1).reshape(-1, *[1] * (z.ndim - 1))
    else:
        top = np.max(size, initial=0.0)
    return np.divide(size, top, out=np.zeros_like(size), where=np.broadcast_to(top > 0, size.shape))
