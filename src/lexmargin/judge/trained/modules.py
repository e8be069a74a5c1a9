"""What a torch module is, asked without importing torch."""

from __future__ import annotations

import sys
from typing import Any, Final

__all__ = ["inside", "is_module"]

_WRAPPERS: Final = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "OptimizedModule": "_orig_mod",
}
"""Classes of torch around a module, and where they keep it."""


def is_module(candidate: object) -> bool:
    """Tell whether this is a `torch.nn.Module`; torch is never imported for it."""
    torch = sys.modules.get("torch")
    network = getattr(torch, "nn", None)
    return network is not None and isinstance(candidate, network.Module)


def inside(module: Any) -> Any:
    """Return the module that copies on several devices and compilers are wrapped around."""
    found = module
    while type(found).__name__ in _WRAPPERS and type(found).__module__.startswith("torch."):
        found = getattr(found, _WRAPPERS[type(found).__name__])
    return found
