"""Scores and gradients of a torch module, in float64 copies of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, final

import numpy as np

from lexmargin.errors import (
    DataError,
    DegreeError,
    LexmarginError,
    ParameterError,
    ShapeError,
    UnsupportedError,
)
from lexmargin.inputs.alone import quiet
from lexmargin.judge.autodiff.scores import Indices, KinkedRows, KinkReport, Scores, displaced
from lexmargin.judge.autodiff.torch_kinks import module_kinks
from lexmargin.judge.autodiff.torch_slopes import kinked_gradients
from lexmargin.linalg.norms import Array

__all__ = ["TorchScores"]

_HOMOGENEOUS: Final = ("ReLU", "LeakyReLU", "RReLU")
_SAME: Final = 1e-9
"""Relative difference of the scores alone and together: more than a summation order explains."""
_FORWARD: Final = ("autograd.Function", "forward AD", "forward-mode AD", "jvp")


@final
class TorchScores(Scores):
    """The scores of a `torch.nn.Module` whose trained parameters are θ.

    Parameters that need no gradient are constants. Weights and floating buffers are copied to
    float64; the module itself keeps its own.

    Raises
    ------
    ParameterError
        for what is no module.
    DataError
        for weights that are not finite or not real.
    DegreeError
        for dropout or batch normalisation in training mode, by name; for scores that are not the
        same twice, or that depend on the other samples.
    ShapeError
        where the module cannot read the samples.
    UnsupportedError
        for a module that cannot be evaluated in double precision, without parameters, or with an
        operation that torch cannot differentiate.
    """

    def __init__(self, module: Any, X: Any) -> None:
        import torch

        if not isinstance(module, torch.nn.Module):
            raise ParameterError(
                f"The network is a {type(module).__name__}, and no torch.nn.Module.",
                "Give a module, or the parameters of a JAX function with it.",
            )
        if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
            raise UnsupportedError(
                "The module is traced or scripted: its operations cannot be called with other "
                "weights.",
                "Give the module that was traced, with load_state_dict(traced.state_dict()).",
            )
        self._torch, self._module = torch, module
        _refuse(module)
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if torch.nn.parameter.is_lazy(tensor):
                raise UnsupportedError(
                    f"{name!r} has no shape yet.", "Call the lazy module once before certifying it."
                )
            if tensor.is_complex():
                raise DataError(
                    f"{name!r} has entries of type {tensor.dtype}.", "θ must be real numbers."
                )
        trained = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        if not trained:
            raise UnsupportedError(
                "The module has no parameter with requires_grad=True.",
                "θ is what was trained: leave requires_grad on for it.",
            )
        self._device = trained[0][1].device
        if self._device.type == "mps":
            self._device = torch.device("cpu")
        self.names = tuple(name for name, _ in trained)
        self.shapes = tuple(tuple(p.shape) for _, p in trained)
        self._fixed = {
            name: self._double(tensor)
            for source in (module.named_parameters(), module.named_buffers())
            for name, tensor in source
            if name not in set(self.names)
        }
        for name, tensor in (*trained, *self._fixed.items()):
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise DataError(
                    f"The parameter {name!r} holds NaN or infinite entries.",
                    "Certify finite weights: the training has diverged.",
                )
        self.theta = np.concatenate(
            [p.detach().cpu().to(torch.float64).numpy().reshape(-1) for _, p in trained]
        )
        inputs = X if isinstance(X, torch.Tensor) else torch.tensor(np.array(X))
        self._X = self._double(inputs)
        self.count = int(self._X.shape[0])
        if not self._X.is_floating_point() and not self._reads_samples():
            # Whole numbers are meant as such by embeddings; other layers take real numbers.
            self._X = self._X.to(torch.float64)
        self._steady()

    # -- one batch ---------------------------------------------------------------------------------

    def _at(self, theta: Array | None) -> dict[str, Any]:
        return self._split(self.theta if theta is None else theta)

    def _taken(self, samples: Indices) -> Any:
        return self._X[self._index(samples)]

    def _values(self, at: Any, x: Any) -> Array:
        with self._torch.no_grad():
            return self._numpy(self._scores(at, x))

    def _tangent(self, at: Any, along: Any, x: Any) -> Array:
        call = lambda parameters: self._scores(parameters, x)  # noqa: E731
        try:
            with self._torch.no_grad(), quiet():
                return self._numpy(self._torch.func.jvp(call, (at,), (along,))[1])
        except RuntimeError:
            # Weight normalisation, for one, has no forward mode: J v is the gradient of u·Jv by u.
            return self._tangent_in_reverse(at, along, x)

    def _tangent_in_reverse(self, at: Any, along: Any, x: Any) -> Array:
        grad, leaves = self._torch.autograd.grad, [at[n].clone().requires_grad_() for n in at]
        with self._torch.enable_grad(), _derivatives():
            scores = self._scores(dict(zip(at, leaves, strict=True)), x)
            seeds = self._torch.zeros_like(scores, requires_grad=True)
            parts = grad(scores, leaves, seeds, create_graph=True, materialize_grads=True)
            product = sum((part * along[n]).sum() for n, part in zip(at, parts, strict=True))
            return self._numpy(grad(product, seeds, materialize_grads=True)[0])

    def _rows(self, at: Any, x: Any, seeds: Array) -> list[Array]:
        def one(parameters: dict[str, Any], x: Any, seed: Any) -> Any:
            return (self._scores(parameters, x.unsqueeze(0))[0] * seed).sum()

        gradient = self._torch.func.grad(one)
        return self._batched(
            lambda x, seed: gradient(at, x, seed), (x, self._constant(seeds)), (0, 0)
        )

    def _gradient(self, at: Any, x: Any, seeds: Array) -> list[Array]:
        leaves = {n: p.clone().requires_grad_() for n, p in at.items()}
        with self._torch.enable_grad():
            objective = (self._scores(leaves, x) * self._constant(seeds)).sum()
        with _derivatives():
            parts = self._torch.autograd.grad(
                objective, [leaves[n] for n in self.names], materialize_grads=True
            )
        return [self._numpy(part) for part in parts]

    def _products(self, at: Any, directions: Array, x: Any, seeds: Array) -> list[Array]:
        weights = self._constant(seeds)
        gradient = self._torch.func.grad(lambda p: (self._scores(p, x) * weights).sum())

        def product(along: dict[str, Any]) -> Any:
            return self._torch.func.jvp(gradient, (at,), (along,))[1]

        parts = zip(self.names, self.blocks(directions), strict=True)
        return self._batched(product, ({n: self._constant(block) for n, block in parts},), (0,))

    def _batched(
        self, one: Callable[..., Any], given: tuple[Any, ...], axes: tuple[int, ...]
    ) -> list[Array]:
        """Return ``one`` of every entry along the first axis of what is given, block by block."""
        with _derivatives():
            try:
                parts = self._torch.func.vmap(one, in_dims=axes)(*given)
            except (RuntimeError, ShapeError):
                # Control flow that looks at values cannot be vectorised, nor can recurrent layers,
                # which complain of shapes: one by one.
                first = next(iter(given[0].values())) if isinstance(given[0], dict) else given[0]
                each = [one(*(_entry(part, k) for part in given)) for k in range(len(first))]
                parts = {n: self._torch.stack([found[n] for found in each]) for n in self.names}
        return [self._numpy(parts[name]) for name in self.names]

    # -- kinks -------------------------------------------------------------------------------------

    def kinked_rows(self, samples: Indices, seeds: Array, tolerance: float) -> KinkedRows | None:
        leaves = self._leaves(self.theta)
        return kinked_gradients(
            lambda x: self._scores(leaves, x),
            [leaves[n] for n in self.names],
            self._X[self._index(samples)],
            self._constant(seeds),
            self.kinks(samples, seeds),
            tolerance,
        )

    def kinks(self, samples: Indices, seeds: Array) -> KinkReport:
        def at(theta: Array) -> Callable[[Any], Any]:
            leaves = self._leaves(theta)
            return lambda x: self._scores(leaves, x)

        return module_kinks(
            at(self.theta),
            self._X[self._index(samples)],
            self._constant(seeds),
            [at(theta) for theta in displaced(self.theta)],
            self.theta.size,
        )

    def suspects(self) -> tuple[str, ...]:
        found = []
        for name, part in self._module.named_modules():
            kind = type(part).__name__
            other = type(part).__module__ == "torch.nn.modules.activation"
            if "Norm" in kind or (other and kind not in _HOMOGENEOUS):
                found.append(f"{name or 'the module'!r} is a {kind}")
        return tuple(found)

    # -- how the module is called ------------------------------------------------------------------

    def _scores(self, parameters: dict[str, Any], x: Any) -> Any:
        try:
            with self._eager():
                scores = self._torch.func.functional_call(
                    self._module, {**self._fixed, **parameters}, (x,)
                )
        except RuntimeError as error:
            # What vmap cannot batch is no fault of the samples, and `rows` does without.
            if "vmap" not in str(error) and ("shape" in str(error) or "size" in str(error)):
                raise ShapeError(
                    f"The module cannot read samples of shape {tuple(x.shape[1:])}: {error}.",
                    "Give X as the module takes it, one sample along the first axis.",
                ) from error
            raise
        if not isinstance(scores, self._torch.Tensor) or not 1 <= scores.ndim <= 2:
            raise ShapeError(
                "The module does not return one row of scores per sample.",
                "Return a tensor (N,), (N, 1) or (N, C).",
            )
        if scores.shape[0] != x.shape[0]:
            raise ShapeError(
                f"The module returns {scores.shape[0]} rows for {x.shape[0]} samples.",
                "Return one row of scores per sample.",
            )
        if scores.dtype != self._torch.float64:
            raise UnsupportedError(
                f"The module computes in {scores.dtype} although its weights are float64.",
                "Remove casts from its forward method: certificates need double precision.",
            )
        return scores.reshape(x.shape[0], -1)

    def _eager(self) -> AbstractContextManager[Any]:
        """Return what makes compiled parts run as they were written, where all can be seen."""
        compiled = any(
            type(part).__name__ == "OptimizedModule" or getattr(part, "_compiled_call_impl", None)
            for part in self._module.modules()
        )
        stance = getattr(self._torch.compiler, "set_stance", None)
        return stance("force_eager") if compiled and stance is not None else nullcontext()

    def _split(self, theta: Array) -> dict[str, Any]:
        return {
            name: self._constant(theta[place]).reshape(shape)
            for name, place, shape in zip(self.names, self.slices, self.shapes, strict=True)
        }

    def _leaves(self, theta: Array) -> dict[str, Any]:
        return {n: p.requires_grad_() for n, p in self._split(theta).items()}

    def _constant(self, array: Array) -> Any:
        return self._torch.tensor(array, dtype=self._torch.float64, device=self._device)

    def _index(self, samples: Indices) -> Any:
        return self._torch.as_tensor(np.asarray(samples, dtype=np.int64), device=self._device)

    def _double(self, tensor: Any) -> Any:
        found = tensor.detach().to(self._device)
        return found.to(self._torch.float64) if found.is_floating_point() else found

    def _numpy(self, tensor: Any) -> Array:
        return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)

    def _reads_samples(self) -> bool:
        try:
            self.values(samples=np.arange(1))
        except Exception:
            return False
        return True

    def _steady(self) -> None:
        """Refuse scores that are random, or that depend on the other samples of a batch."""
        few = np.arange(min(self.count, 32))
        try:
            together = self.values(samples=few)
        except LexmarginError:
            raise
        except Exception as error:
            raise UnsupportedError(
                "The module cannot be evaluated on samples and weights of type float64: "
                f"{type(error).__name__}: {error}",
                "forward takes one batch of samples; register constant tensors as buffers, which "
                "are copied to float64.",
            ) from error
        alone = np.concatenate([self.values(samples=few[k : k + 1]) for k in few[:8]])
        again = self.values(samples=few)
        scale = _SAME * float(np.max(np.abs(together), initial=0.0))
        if not np.all(np.abs(together - again) <= scale):
            raise DegreeError(
                "The module returns other scores the second time: it is random.",
                "Call module.eval(), and remove functional dropout.",
            )
        if not np.all(np.abs(together[: len(alone)] - alone) <= scale):
            raise DegreeError(
                "The score of a sample depends on the other samples of its batch.",
                "Call module.eval(), or remove batch normalisation.",
            )


def _entry(part: Any, k: int) -> Any:
    return {n: v[k] for n, v in part.items()} if isinstance(part, dict) else part[k]


@contextmanager
def _derivatives() -> Iterator[None]:
    """Name what torch cannot differentiate."""
    # The first use of forward mode makes torch warn of its own deprecated parts.
    with quiet():
        try:
            yield
        except RuntimeError as error:
            mode = "forward-mode " if any(w in str(error) for w in _FORWARD) else ""
            raise UnsupportedError(
                f"The module has an operation without {mode}derivatives: {error}",
                "Write it with torch's own operations, or give its autograd.Function a "
                "setup_context and a jvp.",
            ) from error


def _refuse(module: Any) -> None:
    for name, part in module.named_modules():
        kind, home = type(part).__name__, type(part).__module__
        where = f"{name!r}" if name else "the module itself"
        if part.training and "dropout" in home and getattr(part, "p", 0.0) > 0.0:
            raise DegreeError(
                f"Not homogeneous: {where} is a {kind} in training mode, so the scores are random.",
                "Call module.eval() first.",
            )
        batched = part.training or getattr(part, "running_mean", 0) is None
        if "BatchNorm" in kind and batched:
            raise DegreeError(
                f"Not homogeneous: {where} is a {kind} in training mode, where every score "
                "depends on the whole batch.",
                "Call module.eval() first; trained shifts may still rule homogeneity out.",
            )
