"""Torch modules that are networks of the toolkit, recognised by structure."""

from __future__ import annotations

from typing import Any

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.errors import LexmarginError, UnsupportedError
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.predictors.activations import Activation, Identity, LeakyReLU, ReLU
from lexmargin.predictors.networks import Network

__all__ = ["plain_margins", "plain_network"]

_SAME = 1e-10
"""Relative difference of scores: above the rounding of a deep network, below any other
network's."""
_ADVICE = (
    "A plain network is an nn.Sequential of nn.Linear(bias=False) with one kind of nn.ReLU, "
    "nn.LeakyReLU or nn.Identity between them, every weight trained."
)


def plain_network(module: Any) -> Network:
    """Return the `Network` that a torch module is; its parameters are θ in the same order.

    Only what is read off the structure counts: exact classes of torch, no hooks, no weight used
    twice, no frozen weight.

    Raises:
        UnsupportedError: any other module, with the part that makes it so.
    """
    from torch import nn

    layers: list[tuple[str, Any]] = []
    _flatten(nn, "", module, layers)
    widths: list[int] = []
    activations: list[Activation] = []
    pending: Activation | None = None
    for position, (name, part) in enumerate(layers):
        if type(part) is nn.Flatten:
            if position or part.start_dim != 1 or part.end_dim != -1:
                raise _not_plain(name, "flattens in between")
        elif type(part) is nn.Linear:
            if part.bias is not None:
                raise _not_plain(name, "has a bias")
            if widths:
                activations.append(pending or Identity())
            widths.append(int(part.out_features))
            pending = None
        elif not widths:
            raise _not_plain(name, f"is a {type(part).__name__} before the first layer")
        elif pending is not None:
            raise _not_plain(name, "is a second activation in a row")
        else:
            pending = _activation(nn, name, part)
    if not widths or pending is not None:
        raise _not_plain("", "does not end with a linear layer")
    if len(set(activations)) > 1:
        raise _not_plain("", "mixes activations")
    parameters = list(module.parameters())
    if len(parameters) != len(widths) or not all(one.requires_grad for one in parameters):
        raise _not_plain("", "has a frozen or shared weight")
    return Network(tuple(widths[:-1]), activations[0] if activations else Identity(), widths[-1])


def plain_margins(module: Any, X: Array, y: Any, theta: Array, values: Array) -> MarginFunctions:
    """Return the margin functions of :func:`plain_network`, if they give the module's own margins.

    Args:
        module: a torch module.
        X, y: samples, one along the first axis, and labels.
        theta, values: the module's parameters (d,) and margins, to compare with.

    Raises:
        UnsupportedError: as :func:`plain_network`, or other margins than the module's.
    """
    network = plain_network(module)
    if X.ndim > 2 and not _flattens_first(module):
        raise _not_plain("", "reads samples of more than one axis")
    try:
        functions = MarginFunctions(network, Dataset(X.reshape(X.shape[0], -1), y))
        same = functions.size == theta.size and functions.count == values.size
        found = functions.values(theta) if same else np.zeros(0)
    except LexmarginError as error:
        raise _not_plain("", f"cannot be read as one ({error})") from error
    if not same or not np.all(np.abs(found - values) <= _SAME * np.max(np.abs(values))):
        raise _not_plain("", "computes other scores than its structure says")
    return functions


def _flatten(nn: Any, name: str, part: Any, layers: list[tuple[str, Any]]) -> None:
    hooks = ("_forward_hooks", "_forward_pre_hooks")
    if "forward" in vars(part) or any(getattr(part, hook, None) for hook in hooks):
        raise _not_plain(name, "has a hook or a forward method of its own")
    if type(part) is nn.Sequential:
        # named_children() would leave out what stands there twice.
        for child, inner in part._modules.items():
            _flatten(nn, f"{name}.{child}" if name else child, inner, layers)
    elif type(part) is nn.Dropout and not part.training:
        return
    elif type(part) in (nn.Flatten, nn.Linear, nn.ReLU, nn.LeakyReLU, nn.Identity):
        layers.append((name, part))
    else:
        raise _not_plain(name, f"is a {type(part).__name__}")


def _flattens_first(module: Any) -> bool:
    return any(type(part).__name__ == "Flatten" for part in module.modules())


def _activation(nn: Any, name: str, part: Any) -> Activation:
    if type(part) is nn.LeakyReLU:
        slope = float(part.negative_slope)
        if not 0.0 <= slope < 1.0:
            raise _not_plain(name, f"has the slope {slope:g}")
        return LeakyReLU(slope)
    return ReLU() if type(part) is nn.ReLU else Identity()


def _not_plain(name: str, why: str) -> UnsupportedError:
    where = f"{name!r}" if name else "the module"
    return UnsupportedError(f"No plain network: {where} {why}.", _ADVICE)
