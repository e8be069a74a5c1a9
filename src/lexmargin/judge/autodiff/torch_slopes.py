"""Gradients of a torch computation with chosen slopes at its kinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lexmargin.judge.autodiff.scores import KinkedRows, KinkReport
from lexmargin.linalg.norms import Array

__all__ = ["kinked_gradients"]


@final
@dataclass(frozen=True)
class _Kinked:
    """An operation `base + lo·min(z, 0) + hi·max(z, 0)`; ``base`` None is zero."""

    z: Any
    base: Any
    lo: float
    hi: float


def kinked_gradients(
    call: Callable[[Any], Any],
    leaves: Sequence[Any],
    X: Any,
    seeds: Any,
    report: KinkReport,
    tolerance: float,
) -> KinkedRows | None:
    """Return how the gradients of the margins of ``X`` depend on the slopes at nearby kinks.

    None where an operation with a kink is not one whose slope can be chosen from outside: seen by
    autograd (`module_kinks`) but not by name, or with slopes that are parameters.

    Parameters
    ----------
    call : the scores (S, C) as a function of the samples, with gradients for ``leaves``.
    leaves : the parameters.
    X, seeds : (S, …) samples, one row for each margin, and (S, C) weights of the scores.
    report : of `module_kinks` for the same samples.
    tolerance : distance from a kink that counts as being on it, as in `KinkReport`.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    torch_any: Any = torch

    class Sloped(TorchFunctionMode):  # type: ignore[misc]
        def __init__(self, choose: Callable[[int, _Kinked, Any], Any]) -> None:
            super().__init__()
            self.choose, self.seen = choose, 0

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            found = _kinked(torch_any, func, args, kwargs or {})
            if found is None or not found.z.requires_grad:
                return func(*args, **(kwargs or {}))
            # The values are those of the operation; an operation in place would spoil z.
            value = (0.0 if found.base is None else found.base) + torch.where(
                found.z > 0.0, found.hi * found.z, found.lo * found.z
            )
            self.seen += 1
            return self.choose(self.seen - 1, found, value)

    near = [distance <= tolerance for distance in report.distances]
    shapes: list[tuple[int, ...]] = []

    def measured(index: int, found: _Kinked, value: Any) -> Any:
        shapes.append(tuple(found.z.shape))
        return value

    with torch.enable_grad(), Sloped(measured):
        call(X)
    per_sample = all(shape[:1] == (len(X),) for shape in shapes)
    same = shapes == [mask.shape for mask in near]
    if report.unknown or not same or not per_sample:
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
        slopes = [np.zeros((len(X), int(np.prod(shape[1:])))) for shape in shapes]
        for n, chosen in enumerate(on):
            for position in chosen:
                index, unit = kinks[n][position]
                slopes[index][n, unit] = 1.0

        def sloped(index: int, found: _Kinked, value: Any) -> Any:
            s = torch.as_tensor(slopes[index].reshape(shapes[index]), device=X.device)
            mask = torch.as_tensor(near[index], device=X.device)
            tilted = (found.lo + (found.hi - found.lo) * s) * (found.z - found.z.detach())
            if found.base is not None:
                tilted = tilted + found.base - _detached(found.base)
            return torch.where(mask, value.detach() + tilted, value)

        with torch.enable_grad():
            with Sloped(sloped):
                scores = call(X)
            margins = (scores * seeds).sum(dim=1)
        rows = []
        for n in range(len(X)):
            parts = torch.autograd.grad(
                margins[n], list(leaves), retain_graph=True, materialize_grads=True
            )
            rows.append(np.concatenate([part.cpu().numpy().reshape(-1) for part in parts]))
        return np.array(rows)

    return KinkedRows(kinks, at)


def _detached(value: Any) -> Any:
    return value.detach() if hasattr(value, "detach") else value


def _kinked(torch: Any, func: Any, args: Any, kwargs: Any) -> _Kinked | None:
    """Return the kink of an operation, None for any other operation."""
    F, T = torch.nn.functional, torch.Tensor
    if func in (F.relu, F.relu_, torch.relu, torch.relu_, T.relu, T.relu_):
        return _Kinked(args[0], None, 0.0, 1.0)
    if func in (F.gelu, F.silu, F.softplus, F.mish, F.elu):
        # Where ‖θ‖ is large enough for kinks these are max(z, 0) to rounding.
        return _Kinked(args[0], None, 0.0, 1.0)
    if func in (F.leaky_relu, F.leaky_relu_):
        slope = args[1] if len(args) > 1 else kwargs.get("negative_slope", 0.01)
        return _Kinked(args[0], None, float(slope), 1.0)
    if func in (torch.abs, torch.absolute, T.abs, T.absolute, T.__abs__):
        return _Kinked(args[0], None, -1.0, 1.0)
    if func in (torch.maximum, T.maximum, torch.minimum, T.minimum) and len(args) == 2:
        a, b = args
        smaller = func in (torch.minimum, T.minimum)
        return _Kinked(a - b, b, float(smaller), float(not smaller))
    if func in (torch.clamp, T.clamp, torch.clip, T.clip, torch.clamp_min, T.clamp_min):
        low = args[1] if len(args) > 1 else kwargs.get("min")
        high = args[2] if len(args) > 2 else kwargs.get("max")
        if high is None and isinstance(low, (int, float)):
            return _Kinked(args[0] - low, low, 0.0, 1.0)
    return None
