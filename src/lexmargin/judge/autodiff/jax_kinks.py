"""Kinks of a JAX computation: its own list of primitives is walked, whoever wrote them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from lexmargin.judge.autodiff.scores import KinkedRows, KinkReport, relative_distance
from lexmargin.judge.tolerances import UNFELT
from lexmargin.linalg.norms import Array

__all__ = ["function_kinks", "kinked_gradients"]

_PAIRED: Final = ("max", "min")
_COMPARED: Final = ("ge", "gt", "le", "lt", "sign")
# The largest, or the order, changes where two entries tie.
_TIED: Final = ("reduce_max", "reduce_min", "argmax", "argmin", "sort", "top_k",
                "reduce_window_max", "reduce_window_min")  # fmt: skip
# Kinked at 0 when ‖θ‖ grows: what GELU, SiLU and softplus are made of; and roots.
_AT_ZERO: Final = ("tanh", "logistic", "erf", "erfc", "sqrt", "rsqrt")
# Their slopes at a kink are not chosen.
_FIXED: Final = (*_TIED, "log")
_NAMES: Final = """
add sub mul div neg dot_general conv_general_dilated integer_pow square reduce_sum reshape transpose
broadcast_in_dim squeeze expand_dims concatenate stack slice dynamic_slice gather select_n
convert_element_type copy copy_p stop_gradient pad iota split rev exp log1p cumsum
reduce_prod scatter scatter-add dynamic_update_slice cumprod
and or not xor rem reduce_or reduce_and device_put optimization_barrier reduce_window_sum
"""
_SMOOTH: Final = frozenset(_NAMES.split())
_CALL_NAMES: Final = """
jit pjit closed_call core_call custom_jvp_call custom_vjp_call remat remat2 checkpoint
"""
_CALLS: Final = frozenset(_CALL_NAMES.split())
_BODIES: Final = ("jaxpr", "call_jaxpr", "fun_jaxpr")

# Called with an operation's name, what is zero at its kink, the value it takes there and its
# output (both None for comparisons); returns the output to go on with.
_Seen = Callable[[str, Any, Any, Any], Any]


def function_kinks(
    scores: Callable[[Any, Any], Any],
    params: Any,
    X: Any,
    seeds: Any,
    moved: Sequence[Any],
    dimension: int,
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
    moved : θ at the points of `displaced`, each as its tree.
    dimension : d, the number of parameters.
    """
    import jax

    closed = jax.make_jaxpr(lambda p: scores(p, X))(params)
    leaves = jax.tree_util.tree_leaves(params)
    unknown: set[str] = set()
    others = [_arguments(closed, jax.tree_util.tree_leaves(other)) for other in moved]
    # A shift of 0 at every kinked output: its gradient is what the margins feel of it.
    names: list[str] = []
    distances: list[Array] = []
    shifts: list[Any] = []

    def first(name: str, z: Any, base: Any, output: Any) -> Any:
        names.append(name)
        here = np.asarray(z)
        with np.errstate(invalid="ignore"):
            change = np.max([np.abs(other[len(distances)] - here) for other in others], axis=0)
        distances.append(relative_distance(here, change, len(X), dimension))
        shifts.append(None if output is None else np.zeros(output.shape))
        return output

    _walk(closed.jaxpr, closed.consts, leaves, [True] * len(leaves), first, unknown)
    smooth = [index for index, shift in enumerate(shifts) if shift is not None]

    def objective(moved: list[Any]) -> Any:
        given = dict(zip(smooth, moved, strict=True))
        place = iter(range(len(names)))

        def shifted(name: str, z: Any, base: Any, output: Any) -> Any:
            shift = given.get(next(place))
            return output if shift is None else output + shift

        ends = _walk(closed.jaxpr, closed.consts, leaves, [True] * len(leaves), shifted, set())
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
        slope = slopes.get(index)
        if names[index] == "log" and slope is not None:
            # Of exponentials it is a largest entry in the limit, and its ties are not measured.
            if np.any(slope > UNFELT):
                unknown.add("log")
            continue
        nearest = min(nearest, (float(np.min(distance, initial=math.inf)), names[index]))
        if slope is not None and slope.shape == distance.shape:
            distance = np.where(slope <= UNFELT * np.max(slope), math.inf, distance)
        felt = min(felt, (float(np.min(distance, initial=math.inf)), names[index]))
    where = felt[1] if math.isfinite(felt[0]) else nearest[1]
    return KinkReport(nearest[0], felt[0], where, tuple(sorted(unknown)), tuple(distances))


def kinked_gradients(
    scores: Callable[[Any, Any], Any],
    params: Any,
    X: Any,
    seeds: Any,
    report: KinkReport,
    tolerance: float,
) -> KinkedRows | None:
    """Return how the gradients of the margins of ``X`` depend on the slopes at nearby kinks.

    None where a comparison decides near its tie, where a primitive is unknown, or where an
    operation mixes samples: the slopes there cannot be chosen one by one.

    Parameters
    ----------
    scores, params, X, seeds : as in :func:`function_kinks`, one row of ``X`` for each margin.
    report : of :func:`function_kinks` for the same samples.
    tolerance : distance from a kink that counts as being on it, as in `KinkReport`.
    """
    import jax

    closed = jax.make_jaxpr(lambda p: scores(p, X))(params)
    leaves = jax.tree_util.tree_leaves(params)
    near = [distance <= tolerance for distance in report.distances]
    places = iter(near)
    chosen = not report.unknown

    def first(name: str, z: Any, base: Any, output: Any) -> Any:
        nonlocal chosen
        mask = next(places)
        fixed = output is None or name in _FIXED
        chosen = chosen and not (fixed and np.any(mask)) and mask.shape[:1] == (len(X),)
        return output

    _walk(closed.jaxpr, closed.consts, leaves, [True] * len(leaves), first, set())
    if not chosen:
        return None
    kinks = tuple(
        tuple(
            (index, int(unit))
            for index, mask in enumerate(near)
            for unit in np.flatnonzero(mask[n].reshape(-1))
        )
        for n in range(len(X))
    )

    def at(on: Sequence[Sequence[int]]) -> Array:
        slopes = [np.zeros((len(X), int(np.prod(mask.shape[1:])))) for mask in near]
        for n, positions in enumerate(on):
            for position in positions:
                index, unit = kinks[n][position]
                slopes[index][n, unit] = 1.0
        stop = jax.lax.stop_gradient

        def margins(given: Any) -> Any:
            place = iter(range(len(near)))

            def sloped(name: str, z: Any, base: Any, output: Any) -> Any:
                index = next(place)
                if output is None or name in _FIXED:
                    return output
                s = slopes[index].reshape(near[index].shape)
                s = 2.0 * s - 1.0 if name == "abs" else s
                tilted = stop(output) + base - stop(base) + s * (z - stop(z))
                return jax.numpy.where(near[index], tilted, output)

            moved = jax.tree_util.tree_leaves(given)
            ends = _walk(closed.jaxpr, closed.consts, moved, [True] * len(leaves), sloped, set())
            return (ends[0][0] * seeds).sum(axis=1)

        parts = jax.tree_util.tree_leaves(jax.jacrev(margins)(params))
        return np.concatenate([np.asarray(part).reshape(len(X), -1) for part in parts], axis=1)

    return KinkedRows(kinks, at)


def _walk(
    jaxpr: Any,
    consts: Any,
    arguments: list[Any],
    tracked: list[bool],
    seen: _Seen,
    unknown: set[str],
) -> list[tuple[Any, bool]]:
    """Evaluate a jaxpr; return its outputs, each with whether it depends on θ."""
    import jax

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
        if name == "custom_jvp_call" and live and equation.params.get("name") == "logaddexp":
            # Softplus: written with abs and log1p, which have no kink together.
            found = seen("max", values[0] - values[1], values[1], jax.numpy.logaddexp(*values))
            known[equation.outvars[0]] = (found, True)
            continue
        if name in ("scan", "cond"):
            unrolled = _scanned if name == "scan" else _branched
            ends = unrolled(equation.params, pairs, seen, unknown)
            known.update(zip(equation.outvars, ends, strict=True))
            continue
        if body is not None and name in _CALLS:
            inner, constants = (body.jaxpr, body.consts) if hasattr(body, "jaxpr") else (body, [])
            ends = _walk(inner, constants, values, [p[1] for p in pairs], seen, unknown)
            known.update(zip(equation.outvars, ends, strict=True))
            continue
        outputs = equation.primitive.bind(*values, **equation.params)
        if not equation.primitive.multiple_results:
            outputs = [outputs]
        if live:
            outputs = _watched(equation, values, outputs, seen, unknown)
        known.update((v, (value, live)) for v, value in zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _scanned(
    params: Any, pairs: list[tuple[Any, bool]], seen: _Seen, unknown: set[str]
) -> list[tuple[Any, bool]]:
    """Evaluate a loop over the first axis of its arguments step by step."""
    import jax

    body, fixed, held = params["jaxpr"], params["num_consts"], params["num_carry"]
    constants, carry, rows = pairs[:fixed], pairs[fixed : fixed + held], pairs[fixed + held :]
    collected: list[list[Any]] = []
    # What is carried depends on θ from the first step on, or never; asking is not worth a pass.
    live = any(pair[1] for pair in pairs)
    steps = range(params["length"])
    for step in reversed(steps) if params["reverse"] else steps:
        given = [*constants, *((value, live) for value, _ in carry),
                 *((value[step], tracked) for value, tracked in rows)]  # fmt: skip
        ends = _walk(body.jaxpr, body.consts, [v for v, _ in given], [t for _, t in given],
                     seen, unknown)  # fmt: skip
        carry = ends[:held]
        collected.append([value for value, _ in ends[held:]])
    if params["reverse"]:
        collected.reverse()
    stacked = [jax.numpy.stack(values) for values in zip(*collected, strict=True)]
    return [(value, live) for value in (*(value for value, _ in carry), *stacked)]


def _branched(
    params: Any, pairs: list[tuple[Any, bool]], seen: _Seen, unknown: set[str]
) -> list[tuple[Any, bool]]:
    """Evaluate the branch that is taken; the comparison that takes it has been seen."""
    (which, decided), *rest = pairs
    body = params["branches"][min(max(int(which), 0), len(params["branches"]) - 1)]
    ends = _walk(body.jaxpr, body.consts, [v for v, _ in rest], [t for _, t in rest], seen, unknown)
    return [(value, live or decided) for value, live in ends]


def _watched(
    equation: Any,
    values: list[Any],
    outputs: list[Any],
    seen: _Seen,
    unknown: set[str],
) -> list[Any]:
    name = equation.primitive.name
    if name in _PAIRED or name == "abs":
        base = np.zeros(()) if name == "abs" else values[1]
        if any(_infinite(value) for value in values):
            return outputs
        return [seen(name, values[0] - base, base, outputs[0])]
    if name in _COMPARED:
        if np.issubdtype(values[0].dtype, np.floating):
            seen(name, values[0] - (values[1] if len(values) > 1 else 0.0), None, None)
        return outputs
    if name in _AT_ZERO:
        seen(name, values[0], None, None)
        return outputs
    if name == "log":
        return [seen(name, values[0], None, outputs[0])]
    if name == "clamp":
        for bound in (values[0], values[2]):
            if not _infinite(bound):
                seen(name, values[1] - bound, None, None)
        return outputs
    if name in _TIED:
        gap = _tied(name, values, equation.params)
        if gap is not None:
            felt = outputs[0] if name in ("reduce_max", "reduce_min") else None
            found = seen(name, gap, None, felt)
            return outputs if felt is None else [found]
    # Decisions that led to whole numbers and truths have been seen, and x ≠ x asks for NaN.
    harmless = name in ("ne", "eq") and (
        equation.invars[0] is equation.invars[1] or values[0].dtype.kind in "bui"
    )
    if name not in _SMOOTH and not harmless and not (name == "pow" and _whole(values[1])):
        unknown.add(name)
    return outputs


def _infinite(value: Any) -> bool:
    try:
        return bool(np.any(np.isinf(np.asarray(value))))
    except Exception:  # A traced value is none of the constants that are meant.
        return False


def _tied(name: str, values: list[Any], params: Any) -> Any:
    """Return by how much entries differ where their order decides; None where that is not known."""
    import jax

    jnp, z = jax.numpy, values[0]
    if name.startswith("reduce_window"):
        return _window_ties(z if name.endswith("max") else -z, params)
    if name in ("sort", "top_k"):
        if not jnp.issubdtype(z.dtype, jnp.floating) or params.get("num_keys", 1) != 1:
            return None
        axis = params.get("dimension", params.get("axis", z.ndim - 1)) % z.ndim
        ordered = jnp.sort(z, axis=axis)
        steps = jnp.moveaxis(ordered[...], axis, -1)
        gaps = steps[..., 1:] - steps[..., :-1]
        return jnp.moveaxis(gaps if name == "sort" else gaps[..., -params["k"] :], -1, axis)
    return _ties(z if name.endswith("max") else -z, params["axes"])


def _window_ties(z: Any, params: Any) -> Any:
    import jax

    jnp, padding = jax.numpy, params["padding"]
    if any(d != 1 for d in params["base_dilation"]) or any(p < 0 for pair in padding for p in pair):
        return None
    padded = jnp.pad(z, padding, constant_values=-np.inf)
    sizes, apart = params["window_dimensions"], params["window_dilation"]
    entries = []
    for place in np.ndindex(*sizes):
        window = tuple(
            slice(k * d, length - (n - 1 - k) * d, step)
            for k, n, d, step, length in zip(
                place, sizes, apart, params["window_strides"], padded.shape, strict=True
            )
        )
        entries.append(padded[window])
    return _ties(jnp.stack(entries, axis=-1), (z.ndim,))


def _ties(values: Any, axes: Sequence[int]) -> Any:
    """Return by how much the largest entry along some axes is the largest; infinite for one."""
    rest = [axis for axis in range(values.ndim) if axis not in axes]
    last = values.transpose(*rest, *axes).reshape(*(values.shape[axis] for axis in rest), -1)
    if last.shape[-1] < 2:
        return abs(last[..., 0]) * 0.0 + math.inf
    top = last.sort(axis=-1)[..., -2:]
    gap = top[..., 1] - top[..., 0]
    # A window on padding alone has no entry to lead.
    return gap.at[gap != gap].set(math.inf)


def _whole(power: Any) -> bool:
    try:
        number = float(power)
    except TypeError:
        return False
    return number >= 1.0 and number.is_integer()


def _arguments(closed: Any, leaves: list[Any]) -> list[Any]:
    """Return what is zero at each kink, in order of evaluation, for other parameters."""
    found: list[Any] = []

    def seen(name: str, z: Any, base: Any, output: Any) -> Any:
        found.append(np.asarray(z))
        return output

    _walk(closed.jaxpr, closed.consts, leaves, [True] * len(leaves), seen, set())
    return found
