"""The weights of a trained network, from the file of a state dict to the blocks of a problem."""

from __future__ import annotations

import re
from pathlib import Path

from lexmargin.data.state_files import read_state
from lexmargin.errors import ShapeError, UnknownNameError, UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.linalg.norms import Array
from lexmargin.predictors.networks import fully_connected

__all__ = ["network_weights"]


def network_weights(problem: Formulation, path: str | Path) -> list[Array]:
    """Return the blocks θ_1 … θ_L of a problem's network from a state dict.

    One tensor for each layer, named as torch names it (``0.weight``, ``2.weight``, ``fc1.weight``,
    …) or ``block_0``, ``block_1``, …; the numbers in the names give the order. The shapes are
    torch's, (units, inputs), and (1, inputs) for a single output.

    Args:
        problem: a problem whose predictor is a `Network` without biases.
        path: a ``.safetensors`` or ``.npz`` file; pickled ones are refused.

    Raises:
        UnsupportedError: the predictor is none.
        UnknownNameError: a tensor that is no weight of a layer, or a layer too many or too few.
        ShapeError: a tensor that does not fit its layer.
        DataError, MissingBackendError: as :func:`~lexmargin.data.state_files.read_state`.
    """
    if fully_connected(problem.predictor) is None:
        raise UnsupportedError(
            "A state dict fits networks without biases, and the predictor is "
            f"{problem.predictor!r}.",
            "Give θ as blocks instead (block_0, block_1, … in an NPZ file).",
        )
    state, name = read_state(path), Path(path).name
    for key in state:
        if not _is_weight(key):
            what = "is a bias" if key.endswith("bias") else "names no weight of a layer"
            raise UnknownNameError(
                f"{name}: {key!r} {what}, and the problem's network has weights alone.",
                "Name the tensors 0.weight, 2.weight, … as in a module without biases.",
            )
    keys, shapes = sorted(state, key=_in_order), problem.functions.shapes
    if len(keys) != len(shapes):
        raise UnknownNameError(
            f"{name} holds {len(keys)} weights ({', '.join(keys)}), and the network has "
            f"{len(shapes)} layers.",
            "Give one weight for each layer, or the problem the widths that were trained.",
        )
    blocks = []
    for key, shape in zip(keys, shapes, strict=True):
        found = state[key]
        if found.shape not in (shape, (1, *shape) if len(shape) == 1 else shape):
            wanted = shape if len(shape) == 2 else (1, *shape)
            raise ShapeError(
                f"{name}: {key!r} has shape {found.shape}, and its layer needs {wanted}.",
                "Give the problem the widths that were trained.",
            )
        blocks.append(found.reshape(shape))
    return blocks


def _is_weight(key: str) -> bool:
    return key.split(".")[-1] == "weight" or re.fullmatch(r"block_\d+", key) is not None


def _in_order(key: str) -> list[tuple[int, int, str]]:
    """Return what sorts 2.weight before 10.weight."""
    parts = re.split(r"(\d+)", key)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]
