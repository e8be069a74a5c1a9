"""Receipts of false statements, forged with the toolkit's own functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from adversarial_common import Family, Trial
from receipt_cases import FAMILIES as CASES
from receipt_forgeries import accepted, forgery


def _family(names: list[str]) -> Callable[[np.random.Generator], Trial]:
    def trial(rng: np.random.Generator) -> Trial:
        return Trial(None, accepted(forgery(rng, names[int(rng.integers(len(names)))])))

    return trial


_CURVED: Final = [name for name in CASES if name.startswith(("polynomial", "ReLU", "diagonal"))]
_OTHERS: Final = [name for name in CASES if name not in _CURVED]

FAMILIES: Final[dict[str, Family]] = {
    "false receipts": _family(_OTHERS),
    "false receipts of curved margins": _family(_CURVED),
}
SHARES: Final = {"false receipts": 0.3, "false receipts of curved margins": 0.1}
