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
    # Smooth, and kinked at 0 when ‖θ‖ grows: only networks without a degree, or their limits,
    # have them where that is felt.
    "gelu": "GeluBackward",
    "silu": "SiluBackward",
    "softplus": "SoftplusBackward",
    "elu": "EluBackward",
    "mish": "MishBackward",
    "tanh": "TanhBackward",
    "sigmoid": "SigmoidBackward",
    # The largest changes where two entries tie.
    "amax": "AmaxBackward",
    "max": "MaxBackward",
    "amin": "AminBackward",
    "min": "MinBackward",
    # The order of entries changes where two of them tie.
    "sort": "SortBackward",
    "topk": "TopkBackward",
    "median": "MedianBackward",
    "max_pool2d_with_indices": "MaxPool2DWithIndicesBackward",
    "_log_softmax": "LogSoftmaxBackward",
    # No derivative at 0.
    "sqrt": "SqrtBackward",
    "rsqrt": "RsqrtBackward",
    "std": "StdBackward",
    "linalg_vector_norm": "LinalgVectorNormBackward",
}
_NAMES: Final = """
mm addmm bmm baddbmm mv addmv dot add sub rsub mul div neg square sum mean t transpose permute view
reshape _unsafe_view _reshape_alias expand slice select squeeze unsqueeze cat stack clone detach
alias contiguous as_strided convolution avg_pool1d avg_pool2d _adaptive_avg_pool2d embedding index
index_select gather _to_copy copy_ linear split split_with_sizes unbind ones_like zeros_like
full_like empty_like new_zeros new_ones zeros ones full arange scalar_tensor lift_fresh
constant_pad_nd flatten unfold einsum exp native_batch_norm native_layer_norm
_native_batch_norm_legit_no_training cudnn_batch_norm empty fill_ zero_ native_group_norm _softmax
_fused_rms_norm _weight_norm_interface roll flip repeat cumsum masked_fill var prod
upsample_nearest1d upsample_nearest2d vdot tril triu scatter scatter_add index_put
reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d select_scatter
slice_scatter index_add where
"""
_SMOOTH: Final = frozenset(_NAMES.split())
# Decisions hide a kink even where they are taken on a detached copy. These compare two numbers, or
# choose by the largest; what each decides jumps at a tie, whatever becomes of it.
_COMPARED: Final = frozenset(("gt", "ge", "lt", "le", "sign", "sgn", "heaviside"))
_CHOSEN: Final = frozenset(("argmax", "argmin"))
_DECISIONS: Final = frozenset(("eq", "ne"))


_AXES: Final = {
    "sort": ("dim", "descending"),
    "topk": ("k", "dim", "largest"),
    "median": ("dim", "keepdim"),
}
"""What the further arguments of an operation are called, in order."""
_NOTHING: Final = -1e300
"""What padding holds: never the largest, and unlike -inf a number that differences know."""


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
                self.seen.extend((plain, z) for z in _distances(plain, func, args, kwargs or {}))
            elif name in _COMPARED or name in _CHOSEN:
                self.seen.extend((name, z) for z in _decided(name, args))
            elif name in _DECISIONS or (tracked and not _is_smooth(name, args)):
                unknown.add(name)
            return func(*args, **(kwargs or {}))

    with torch.enable_grad():
        with Recorder() as recorder:
            scores = call(X)
        seen = recorder.seen
        known = [index for index, (name, _) in enumerate(seen) if name in _NODES]
        felt_by = _sensitivities(
            scores, (scores * seeds).sum(), [seen[index][0] for index in known]
        )
        slopes = dict(zip(known, felt_by or (), strict=False))
        changes = [torch.zeros_like(z) for _, z in seen]
        for displaced_call in moved:
            with Recorder() as recorder:
                displaced_call(X)
            if [name for name, _ in recorder.seen] != [name for name, _ in seen]:
                # Which operations run depends on θ: that is a decision, and hides a kink.
                unknown.add("control flow")
                break
            for change, (_, z), (_, other) in zip(changes, seen, recorder.seen, strict=True):
                torch.maximum(change, (other - z).abs().nan_to_num(nan=0.0), out=change)
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
        slope = slopes.get(index)
        if slope is not None and slope.shape == z.shape:
            distance = np.where(_unfelt(slope.cpu().numpy(), name, len(X)), math.inf, distance)
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


def _distances(name: str, func: Any, args: Any, kwargs: Any) -> list[Any]:
    """Return what is zero at the kink, one tensor for each kink of the operation.

    A copy, because an operation in place overwrites its argument.
    """
    z = args[0].detach().clone()
    if name in ("std", "linalg_vector_norm"):
        return [func(*_without_gradient(args), **kwargs)]
    if name == "_log_softmax":
        return [_ties(z, args[1], True).expand_as(z)]
    if name in ("amax", "max", "amin", "min"):
        return [_ties(z if name.endswith("max") or name == "max" else -z, *args[1:3])]
    if name in ("sort", "topk", "median"):
        return [_neighbours(z, func(z, *args[1:], **kwargs), name, args[1:], kwargs)]
    if name == "max_pool2d_with_indices":
        return [_pooled_ties(z, *args[1:], **kwargs)]
    if name in ("maximum", "minimum"):
        return [z - args[1].detach()]
    if name in ("clamp", "clamp_min"):
        low = args[1] if len(args) > 1 else kwargs.get("min")
        high = args[2] if len(args) > 2 else kwargs.get("max")
        return [z - bound for bound in (low, high) if bound is not None]
    return [z]


def _decided(name: str, args: Any) -> list[Any]:
    """Return what is zero where a decision changes: nothing for whole numbers."""
    first, *rest = _without_gradient(args)
    if name in _CHOSEN:
        axis = rest[0] if rest and rest[0] is not None else ()
        keep = len(rest) > 1 and rest[1]
        found = _ties(first if name == "argmax" else -first, axis, keep)
    else:
        other = rest[0] if rest and name not in ("sign", "sgn", "heaviside") else 0.0
        found = first.clone() - other
    return [found] if found.is_floating_point() else []


def _neighbours(z: Any, found: Any, name: str, given: Any, kwargs: Any) -> Any:
    """Return by how much every entry that is taken differs from the next ones in order."""
    import torch

    words = {**dict(zip(_AXES[name], given, strict=False)), **kwargs}
    whole = name == "median" and not given
    axis = -1 if whole else int(words.get("dim", -1))
    entries = z.reshape(-1) if whole else z.movedim(axis, -1) if z.ndim else z.reshape(1)
    ordered = entries.sort(dim=-1).values
    steps = ordered.diff(dim=-1)
    edge = torch.full_like(ordered[..., :1], math.inf)
    gaps = torch.minimum(torch.cat([edge, steps], dim=-1), torch.cat([steps, edge], dim=-1))
    if name == "median":
        middle = gaps[..., (ordered.shape[-1] - 1) // 2]
        return middle.unsqueeze(axis) if words.get("keepdim") and not whole else middle
    descending = bool(words.get("descending" if name == "sort" else "largest", name == "topk"))
    gaps = gaps.flip(-1) if descending else gaps
    return gaps[..., : found[0].shape[axis]].movedim(-1, axis)


def _without_gradient(args: Any) -> list[Any]:
    return [one.detach() if hasattr(one, "detach") else one for one in args]


def _ties(z: Any, dims: Any = (), keep: Any = False) -> Any:
    """Return by how much the largest entry along some axes is the largest; infinite for one."""
    axes = [dims] if isinstance(dims, int) else list(dims)
    axes = sorted({axis % z.ndim for axis in axes} if axes else range(z.ndim))
    rest = [axis for axis in range(z.ndim) if axis not in axes]
    last = z.permute(*rest, *axes).reshape(*(z.shape[axis] for axis in rest), -1)
    gap = _gap(last)
    if not keep:
        return gap
    return gap.reshape([1 if axis in axes else z.shape[axis] for axis in range(z.ndim)])


def _pooled_ties(
    z: Any, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: Any = False
) -> Any:
    """Return the same for every window of a pooling, in the shape of its output."""
    import torch
    from torch.nn import functional as F

    sizes = [list(one) * (3 - len(one)) if isinstance(one, (list, tuple)) else [one] * 2
             for one in (kernel, stride or kernel, padding, dilation)]  # fmt: skip
    (height, width), step, (above, left), apart = sizes
    shape = F.max_pool2d(z, kernel, stride or kernel, padding, dilation, ceil).shape
    # The last window of a rounded-up output may reach beyond the padding.
    beyond = [(shape[axis] - 1) * step[axis] + apart[axis] * (sizes[0][axis] - 1) + 1
              - z.shape[axis] - 2 * sizes[2][axis] for axis in (-2, -1)]  # fmt: skip
    below, right = above + max(0, beyond[0]), left + max(0, beyond[1])
    images = z.reshape(-1, 1, *z.shape[-2:])
    padded = F.pad(images, (left, right, above, below), value=-math.inf)
    windows = F.unfold(torch.nan_to_num(padded, neginf=_NOTHING), (height, width),
                       dilation=apart, stride=step)  # fmt: skip
    return _gap(windows.transpose(1, 2)).reshape(shape)


def _gap(entries: Any) -> Any:
    if entries.shape[-1] < 2:
        return entries[..., 0].abs() * 0.0 + math.inf
    top = entries.topk(2, dim=-1).values
    return top[..., 0] - top[..., 1]


def _unfelt(slope: Any, name: str, count: int) -> Any:
    """Tell where the margins do not feel an operation's output: the gradient is smooth there."""
    size = np.abs(slope)
    if name == "_log_softmax" and slope.shape[:1] == (count,) and slope.ndim == 2:
        # Its kink is in what all entries of a sample share, and differences of them cancel that.
        total = np.abs(slope.sum(axis=1, keepdims=True))
        size = np.broadcast_to(total, slope.shape)
        return size <= UNFELT * np.max(np.abs(slope), initial=0.0)
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
