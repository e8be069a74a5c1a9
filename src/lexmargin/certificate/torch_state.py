"""Reading trained weights into a torch module: tensors only, never pickled objects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lexmargin.errors import (
    DataError,
    MissingBackendError,
    ShapeError,
    UnknownNameError,
    nearest,
)

__all__ = ["load_state"]


def load_state(module: Any, path: str | Path) -> Any:
    """Load a state dict into a module: a ``.safetensors`` file, or ``torch.save(state_dict)``.

    Files that hold anything but tensors are refused; nothing in them is ever executed.

    Args:
        module: a `torch.nn.Module` of the same architecture.
        path: the file.

    Returns:
        The module itself.

    Raises:
        DataError: no such file, not a file of tensors, or a pickled module.
        UnknownNameError: names that the module lacks, or that the file lacks.
        ShapeError: a tensor of another shape.
        MissingBackendError: torch, or safetensors, is not installed.
    """
    source = Path(path)
    if not source.is_file():
        raise DataError(f"There is no file {source}.", "Give the path of a state dict.")
    state = _safe(source) if source.suffix == ".safetensors" else _torch(source)
    wanted = dict(module.state_dict())
    for name in state:
        if name not in wanted:
            raise UnknownNameError(
                f"{source.name} holds {name!r}, which the module lacks.", nearest(name, wanted)
            )
    for name, tensor in wanted.items():
        if name not in state:
            raise UnknownNameError(
                f"{source.name} lacks {name!r}, which the module needs.", nearest(name, state)
            )
        if tuple(state[name].shape) != tuple(tensor.shape):
            raise ShapeError(
                f"{name!r} has shape {tuple(state[name].shape)} in {source.name} and "
                f"{tuple(tensor.shape)} in the module.",
                "Build the module with the sizes it was trained with.",
            )
    module.load_state_dict(state)
    return module


def _safe(path: Path) -> dict[str, Any]:
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise MissingBackendError(
            "safetensors is not installed.", "Install the extra: pip install 'lexmargin[torch]'."
        ) from error
    try:
        return dict(load_file(path))
    except Exception as error:
        raise DataError(
            f"{path.name} is not a safetensors file ({error}).", "Save it with safetensors."
        ) from error


def _torch(path: Path) -> dict[str, Any]:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingBackendError(
            "torch is not installed.", "Install the extra: pip install 'lexmargin[torch]'."
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named is not None:
            raise DataError(
                f"{path.name} holds a pickled {named[1]}, not tensors alone: loading it would run "
                "its code.",
                "Save the state dict instead: torch.save(module.state_dict(), path).",
            ) from error
        raise DataError(
            f"{path.name} cannot be read as tensors.",
            "Save it with torch.save(module.state_dict(), path), or as safetensors.",
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()
    ):
        raise DataError(
            f"{path.name} is no state dict: names with tensors.",
            "Save module.state_dict() and nothing around it.",
        )
    return state
