"""What a torch module is, asked without importing torch."""

from __future__ import annotations

import sys

__all__ = ["is_module"]


def is_module(candidate: object) -> bool:
    """Tell whether this is a `torch.nn.Module`; torch is never imported for it."""
    torch = sys.modules.get("torch")
    network = getattr(torch, "nn", None)
    return network is not None and isinstance(candidate, network.Module)
