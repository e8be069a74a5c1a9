"""Reading trained weights into a torch module: tensors only, never pickled objects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lexmargin.data.npz_archive import check_archive
from lexmargin.data.safe_tensors import read_tensors
from lexmargin.errors import DataError, ShapeError, UnknownNameError, nearest
from lexmargin.inputs.kinds import checked
from lexmargin.inputs.optional import optional

__all__ = ["load_state"]


@checked
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
        MissingBackendError: torch is not installed.
    """
    source = Path(path)
    state = _safe(source) if source.suffix.lower() == ".safetensors" else _torch(source)
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
    torch = optional("torch")
    # PyTorch wants memory of its own, in the byte order of the machine.
    return {name: torch.tensor(array) for name, array in read_tensors(path).items()}


def _torch(path: Path) -> dict[str, Any]:
    torch = optional("torch")
    check_archive(path)
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
