"""Certificates of trained networks against the limit problem that is theirs.

That of their leading part; where it does not separate, that of their exponents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.errors import DegreeError
from lexmargin.inputs.kinds import Exponent, checked
from lexmargin.inputs.limits import GRADIENT_BYTES
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.tolerances import DEFAULT, Tolerances
from lexmargin.judge.trained.leading_scores import leading_scores
from lexmargin.judge.trained.trained import (
    certify_margins,
    function_scores,
    module_scores,
    scores_margins,
)
from lexmargin.judge.trained.trained_margins import TrainedMargins
from lexmargin.judge.trained.trained_scaled import ScaledWord, certify_scaled
from lexmargin.judge.verdict import Verdict

__all__ = ["LimitCertificate", "certify_limit"]

_ROWS: Final = 64
"""Gradients formed at once; more only take more memory."""


@final
@dataclass(frozen=True, eq=False)
class LimitCertificate:
    """How a trained network stands to the max-margin problem that is its limit.

    Attributes:
        certificate: of θ/‖θ‖ for `min ½‖w‖² s.t. f^H_n(w) >= 1`; or of `w_i = θ_i γ^{-λ_i}` for
            `min ½ Σ_{λ_i = λ_max} w_i² s.t. f_n(w) >= 1`, where there are ``exponents``.
        degree: M, the degree of the leading part f^H.
        shares: `‖θ_B‖²/‖θ‖²` of the blocks B that left f^H: they vanish in the limit, and the
            squared residual of the certificate is at least their sum.
        gap: `max_n |f_n(θ) - f^H_n(θ)| / min_n f^H_n(θ)`, how far the network is from its leading
            part; infinite where the leading part does not separate.
            With exponents: by how much the ``discarded`` blocks move the margins.
        euler_gap: `max_n |θ·∇f_n - M f_n| / ‖θ‖^{M-1}`, measured, without a proof. With exponents:
            `max_n |Σ_B λ_B θ_B·∇_B f_n - f_n| / γ`.
        exponents: λ_B of every block that counts, by its name; empty for the leading part.
        dimension: that of the polytope of all admissible exponents; None without exponents.
        costs: the shares of `Σ_{λ_i = λ_max} w_i²` of its blocks.
        discarded: blocks of a largest exponent without which every margin stays positive.
    """

    certificate: Certificate
    degree: int
    shares: tuple[tuple[str, float], ...]
    gap: float
    euler_gap: float
    exponents: tuple[tuple[str, float], ...] = ()
    dimension: int | None = None
    costs: tuple[tuple[str, float], ...] = ()
    discarded: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The word on θ."""
        return self.certificate.verdict

    def __str__(self) -> str:
        lines = [self.verdict.value, *self.certificate.reasons]
        if self.exponents:
            listed = ", ".join(f"{name} {share:.2g}" for name, share in self.costs)
            return "\n".join([*lines, f"shares of the cost: {listed}"])
        lines += [
            f"leading part of degree {self.degree}, from which the margins differ by "
            f"{self.gap:.2g} of the smallest",
        ]
        if self.shares:
            listed = ", ".join(f"{name} {share:.2g}" for name, share in self.shares)
            lines.append(f"vanish in the limit, shares of ‖θ‖²: {listed}")
        return "\n".join(lines)


@checked
def certify_limit(
    network: Any | Callable[[Any, Any], Any],
    X: Any,
    y: ArrayLike,
    *,
    params: Any = None,
    norm: Exponent = 2.0,
    tolerances: Tolerances = DEFAULT,
    memory: float = GRADIENT_BYTES,
    exponents: Mapping[str, float] | None = None,
) -> LimitCertificate:
    """Judge a trained network with biases, skip connections or smooth units against its limit.

    ``f(rθ) = r^M f^H(θ) + lower order``. The margin and the constrained path approach the
    max-margin problem of f^H if its largest margin is positive, whatever parameters are shared;
    the certificate says how near θ/‖θ‖ is to a stationary direction of that problem. Networks with
    a degree are their own leading part; bounds on all margins, and so GLOBAL, are sought by
    :func:`certify_module` alone.

    Where the leading part does not separate, as where the data need a bias that leaves it, the
    limit is that of exponents: `f(e^{aΛ}θ) = e^a f(θ)`, `w_i = θ_i γ^{-λ_i}`, and
    `min ½ Σ_{λ_i = λ_max} w_i² s.t. f_n(w) >= 1` (eq. 13 where nothing is shared). They are found
    by least squares; of many the largest are chosen least, in lexicographic order. Where every
    margin stays positive without the blocks of the largest exponent, these are discarded, and the
    network without them is judged.

    Args:
        network: a `torch.nn.Module` in evaluation mode, or a JAX function ``f(params, X)``.
        X: (N, …) samples as the network takes them.
        y: (N,) labels: -1/+1, 0/1 or classes 0..C-1.
        params: of a JAX function; None for a module.
        norm, tolerances, memory: as in :func:`certify_module`.
        exponents: λ_B by the names of parameters, some or all: θ is judged by them then, whether
            or not the leading part separates.

    Returns:
        The certificate, the degree, the shares that must vanish, and the distance from the limit.

    Raises:
        DegreeError: no leading part (tanh, sigmoid, softmax), with the reason; or exponents that do
            not fit.
        ParameterError: neither a module nor the parameters of a function, or a name that is none.
        DataError, ShapeError, UnsupportedError, MissingBackendError: as :func:`certify_module`.
    """
    scores = module_scores(network, X, y) if params is None else function_scores(
        network, params, X, y
    )  # fmt: skip
    own = scores_margins(scores, X, y)
    leading, degree = leading_scores(scores)
    limit = scores_margins(leading, X, y)
    separates = float(np.min(limit.values(limit.theta))) > 0.0
    why = ""
    if (exponents is not None or not separates) and float(np.min(own.values(own.theta))) > 0.0:
        scaled = certify_scaled(own, exponents, tolerances)
        if isinstance(scaled, ScaledWord):
            return LimitCertificate(
                scaled.certificate, degree, (), scaled.gap, scaled.euler_gap, scaled.exponents,
                scaled.dimension, scaled.costs, scaled.discarded,
            )  # fmt: skip
        if exponents is not None:
            raise DegreeError(
                f"The network cannot be judged by exponents: {scaled}.",
                "Leave exponents out: the leading part is judged then.",
            )
        why = scaled
    found = certify_margins(limit, float(degree), float(norm), tolerances, memory)
    if found.verdict is Verdict.NOT_SEPARATING:
        silent = "the leading part does not separate here"
        silent += f", and {why}" if why else ": its limit problem says nothing of θ"
        found = replace(found, reasons=(*found.reasons, silent))
    values, theta = limit.values(limit.theta), own.theta
    smallest = float(np.min(values))
    apart = float(np.max(np.abs(own.values(theta) - values)))
    everyone = np.arange(own.count)
    change = np.abs(own.jvp(theta, theta, everyone) - degree * own.values(theta))
    return LimitCertificate(
        found,
        degree,
        _shares(limit),
        apart / smallest if smallest > 0.0 else np.inf,
        float(np.max(change)) / float(np.linalg.norm(theta)) ** (degree - 1),
    )


def _shares(limit: TrainedMargins) -> tuple[tuple[str, float], ...]:
    """Return the shares of ‖θ‖² of the blocks that no margin of the leading part depends on."""
    scores, theta = limit.scores, limit.theta
    total = float(theta @ theta)
    used = np.zeros(theta.size, dtype=np.bool_)
    for first in range(0, limit.count, _ROWS):
        some = np.arange(first, min(first + _ROWS, limit.count))
        used |= np.any(limit.rows(theta, some) != 0.0, axis=0)
    return tuple(
        (name, float(theta[place] @ theta[place]) / total)
        for name, place in zip(scores.names, scores.slices, strict=True)
        if not np.any(used[place])
    )
