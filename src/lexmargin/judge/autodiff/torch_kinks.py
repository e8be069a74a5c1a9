"""Kinks of a torch computation: every operation is seen, whoever called it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from lexmargin.judge.autodiff.scores import KinkReport, relative_distance
from lexmargin.judge.tolerances import UNFELT

__all__ = ["module_kinks"]

# Operation, and the node that autograd leaves for it.
_NODES: Final = {
    "relu": "ReluBackward",
    "leaky_relu": "LeakyReluBackward",
    "_prelu_kernel": "PreluKernelBackward",
    "abs": "AbsBackward",
    "clamp_min": "ClampMinBackward",
    "clamp": "ClampBackward",
    "maximum": "MaximumBackward",
    "minimum": "MinimumBackward",
}
_NAMES: Final = """
mm addmm bmm baddbmm mv addmv dot add sub rsub mul div neg square sum mean t transpose permute view
reshape _unsafe_view _reshape_alias expand slice select squeeze unsqueeze cat stack clone detach
alias contiguous as_strided convolution avg_pool1d avg_pool2d _adaptive_avg_pool2d embedding index
index_select gather _to_copy copy_ linear split split_with_sizes unbind ones_like zeros_like
full_like empty_like new_zeros new_ones zeros ones full arange scalar_tensor lift_fresh
constant_pad_nd flatten unfold einsum tanh sigmoid exp native_batch_norm native_layer_norm
_native_batch_norm_legit_no_training cudnn_batch_norm empty fill_ zero_
"""
_SMOOTH: Final = frozenset(_NAMES.split())
# Decisions hide a kink even where they are taken on a detached copy.
_DECISIONS: Final = frozenset(
    ("gt", "ge", "lt", "le", "eq", "ne", "sign", "sgn", "argmax", "argmin", "heaviside")
)


def module_kinks(
    call: Callable[[Any], Any],
    X: Any,
    seeds: Any,
    moved: Sequence[Callable[[Any], Any]],
    dimension: int,
) -> KinkReport:
    """Evaluate ``call(X)`` (S, C) and measure every kinked operation on the way.

    An operation that is neither listed as smooth nor one whose kink is known is reported by name.

    Parameters
    ----------
    call : the scores as a function of the samples, with gradients enabled for the parameters.
    X : (S, …) samples.
    seeds : (S, C) weights of the scores in the margins.
    moved : the same as ``call`` at the points of `displaced`.
    dimension : d, the number of parameters.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    unknown: set[str] = set()

    class Recorder(TorchDispatchMode):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[tuple[str, Any]] = []

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            name = func._schema.name.split("::")[-1]
            plain = name[:-1] if name.endswith("_") and name[:-1] in _NODES else name
            tracked = any(getattr(one, "requires_grad", False) for one in _flat(args))
            if tracked and plain in _NODES:
                self.seen.extend((plain, z) for z in _distances(plain, args, kwargs or {}))
            elif name in _DECISIONS or (tracked and not _is_smooth(name, args)):
                unknown.add(name)
            return func(*args, **(kwargs or {}))

    with torch.enable_grad():
        with Recorder() as recorder:
            scores = call(X)
        seen = recorder.seen
        slopes = _sensitivities(scores, (scores * seeds).sum(), [name for name, _ in seen])
        changes = [torch.zeros_like(z) for _, z in seen]
        for displaced_call in moved:
            with Recorder() as recorder:
                displaced_call(X)
            if [name for name, _ in recorder.seen] != [name for name, _ in seen]:
                # Which operations run depends on θ: that is a decision, and hides a kink.
                unknown.add("control flow")
                break
            for change, (_, z), (_, other) in zip(changes, seen, recorder.seen, strict=True):
                torch.maximum(change, (other - z).abs(), out=change)
    distances = tuple(
        relative_distance(z.cpu().numpy(), change.cpu().numpy(), len(X), dimension)
        for (_, z), change in zip(seen, changes, strict=True)
    )
    nearest: tuple[float, str] | None = None
    felt: tuple[float, str] | None = None
    for index, (name, z) in enumerate(seen):
        distance = distances[index]
        found = (float(distance.min()), name)
        nearest = found if nearest is None else min(nearest, found)
        slope = None if slopes is None else slopes[index]
        if slope is not None and slope.shape == z.shape:
            distance = np.where(_unfelt(slope.cpu().numpy()), math.inf, distance)
        found = (float(distance.min()), name)
        felt = found if felt is None else min(felt, found)
    if nearest is None or felt is None:
        return KinkReport(None, None, "", tuple(sorted(unknown)))
    where = felt[1] if math.isfinite(felt[0]) else nearest[1]
    return KinkReport(nearest[0], felt[0], where, tuple(sorted(unknown)), distances)


def _flat(args: Any) -> list[Any]:
    found = []
    for one in args:
        found += list(one) if isinstance(one, (list, tuple)) else [one]
    return found


def _is_smooth(name: str, args: Any) -> bool:
    if name == "pow":
        power = args[1] if len(args) > 1 else None
        return isinstance(power, (int, float)) and (power >= 1 and float(power).is_integer())
    return name in _SMOOTH or name.rstrip("_") in _SMOOTH


def _distances(name: str, args: Any, kwargs: Any) -> list[Any]:
    """Return what is zero at the kink, one tensor for each kink of the operation.

    A copy, because an operation in place overwrites its argument.
    """
    z = args[0].detach().clone()
    if name in ("maximum", "minimum"):
        return [z - args[1].detach()]
    if name in ("clamp", "clamp_min"):
        low = args[1] if len(args) > 1 else kwargs.get("min")
        high = args[2] if len(args) > 2 else kwargs.get("max")
        return [z - bound for bound in (low, high) if bound is not None]
    return [z]


def _unfelt(slope: Any) -> Any:
    """Tell where the margins do not feel an operation's output: the gradient is smooth there."""
    size = np.abs(slope)
    return size <= UNFELT * np.max(size, initial=0.0)


def _sensitivities(scores: Any, objective: Any, names: list[str]) -> list[Any] | None:
    """Return the derivative of the margins by the output of every kinked operation, in order.

    None where the operations seen and the nodes of autograd do not match one to one.
    """
    import torch

    nodes, stack, done = [], [scores.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or node in done:
            continue
        done.add(node)
        if any(node.name().startswith(word) for word in _NODES.values()):
            nodes.append(node)
        stack += [following for following, _ in node.next_functions]
    nodes.sort(key=lambda node: node._sequence_nr())
    if len(nodes) != len(names) or any(
        not node.name().startswith(_NODES[name]) for node, name in zip(nodes, names, strict=True)
    ):
        return None
    found: dict[int, Any] = {}

    def keep(index: int) -> Callable[[Any], None]:
        def hook(gradients: Any) -> None:
            found[index] = gradients[0]

        return hook

    handles = [node.register_prehook(keep(index)) for index, node in enumerate(nodes)]
    leaves = [node.variable for node in done if hasattr(node, "variable")]
    torch.autograd.grad(objective, leaves, allow_unused=True)
    for handle in handles:
        handle.remove()
    return [found.get(index) for index in range(len(nodes))]
