"""Torch networks of many kinds, trained in a moment: what `test_trained_zoo` has certified."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

with warnings.catch_warnings():
    # The compiler's own parts warn of each other while they are loaded.
    warnings.simplefilter("ignore")
    torch.compile(nn.Linear(1, 1))


@dataclass(frozen=True)
class Entry:
    """A network, the samples it reads, and what it becomes when its refusal's advice is taken."""

    make: Callable[[], nn.Module]
    samples: str = "vectors"
    instead: Callable[[], nn.Module] | None = None


class Call(nn.Module):
    """Any function of the samples and of some modules."""

    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self._call = forward

    def forward(self, x):
        return self._call(self, x)


def mlp(activation, *, bias=False, widths=(8,), outputs=1, first=False):
    layers = []
    for index, (a, b) in enumerate(itertools.pairwise((4, *widths, outputs))):
        layers += [nn.Linear(a, b, bias=bias or (first and index == 0)), activation()]
    return nn.Sequential(*layers[:-1])


def linear(a, b):
    return nn.Linear(a, b, bias=False)


def residual(norm=nn.Identity, activation=F.relu):
    return Call(
        lambda m, x: m.out((z := m.inner(x)) + m.b(activation(m.norm(m.a(z))))),
        inner=linear(4, 6), a=linear(6, 6), b=linear(6, 6), norm=norm(), out=linear(6, 1),
    )  # fmt: skip


def normed(norm, bias=False):
    return nn.Sequential(nn.Linear(4, 6, bias=bias), norm, nn.ReLU(), linear(6, 1))


def convolutional(pool, *, groups=1, norm=None, activation=nn.ReLU, bias=False):
    middle = [norm] if norm is not None else []
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=bias, groups=groups), *middle, activation(), pool,
        nn.Flatten(), linear(4 * 4, 1),
    )  # fmt: skip


def attention(score):
    """One head over the sequence; ``score`` makes weights of the products."""
    return Call(
        lambda m, x: m.out((score(m.q(x), m.k(x)) @ m.v(x)).mean(dim=1)),
        q=linear(3, 4), k=linear(3, 4), v=linear(3, 4), out=linear(4, 1),
    )  # fmt: skip


def products(q, k):
    return q @ k.transpose(1, 2)


def cosine(q, k):
    return products(F.normalize(q, dim=-1), F.normalize(k, dim=-1)).softmax(dim=-1)


def recurrent(kind, **settings):
    return Call(
        lambda m, x: m.out(m.cell(x)[0][:, -1]),
        cell=kind(3, 5, batch_first=True, bias=False, **settings),
        out=linear(5, 1),
    )


def gated(gate):
    return Call(
        lambda m, x: m.out(gate(m.a(x)) * m.b(x)), a=linear(4, 6), b=linear(4, 6), out=linear(6, 1)
    )


def maxout():
    return Call(
        lambda m, x: m.out(m.inner(x).reshape(len(x), 4, 3).amax(dim=2)),
        inner=linear(4, 12),
        out=linear(4, 1),
    )


def experts():
    def forward(m, x):
        chosen = m.gate(x).topk(1, dim=1).indices
        each = torch.stack([m.one(x), m.two(x)], dim=1)[:, :, 0]
        return each.gather(1, chosen)

    return Call(forward, gate=_frozen(linear(4, 2)), one=mlp(nn.ReLU), two=mlp(nn.ReLU))


def _frozen(part):
    return part.requires_grad_(False)


def tied():
    return Call(lambda m, x: F.relu(F.relu(m.a(x)) @ m.a.weight) @ m.v, a=linear(4, 6),
                v=nn.Parameter(torch.randn(4)))  # fmt: skip


def hooked():
    module = mlp(nn.ReLU)
    module[0].register_forward_hook(lambda part, given, found: 2.0 * found)
    return module


class MySequential(nn.Sequential):
    """What many write around a network."""


def multi(activation=nn.ReLU, **settings):
    return nn.Sequential(mlp(activation, outputs=3, **settings), nn.LogSoftmax(dim=1))


NETWORKS: dict[str, Entry] = {
    "linear": Entry(lambda: linear(4, 1)),
    "relu": Entry(lambda: mlp(nn.ReLU)),
    "deep": Entry(lambda: mlp(nn.ReLU, widths=(6, 5))),
    "leaky": Entry(lambda: mlp(nn.LeakyReLU)),
    "prelu": Entry(lambda: mlp(nn.PReLU)),
    "gelu": Entry(lambda: mlp(nn.GELU)),
    "silu": Entry(lambda: mlp(nn.SiLU)),
    "softplus": Entry(lambda: mlp(nn.Softplus)),
    "elu": Entry(lambda: mlp(nn.ELU)),
    "tanh": Entry(lambda: mlp(nn.Tanh), instead=lambda: mlp(nn.ReLU)),
    "sigmoid": Entry(lambda: mlp(nn.Sigmoid), instead=lambda: mlp(nn.Softplus)),
    "first-bias": Entry(lambda: mlp(nn.ReLU, first=True)),
    "all-biases": Entry(lambda: mlp(nn.ReLU, bias=True)),
    "deep-biases": Entry(lambda: mlp(nn.ReLU, bias=True, widths=(6, 5))),
    "residual": Entry(residual),
    "residual-gelu": Entry(lambda: residual(activation=F.gelu)),
    "square": Entry(lambda: Call(lambda m, x: m.out(m.a(x) ** 2), a=linear(4, 6),
                                 out=linear(6, 1))),
    "cnn-max": Entry(lambda: convolutional(nn.MaxPool2d(2)), "images"),
    "cnn-average": Entry(lambda: convolutional(nn.AvgPool2d(2)), "images"),
    "cnn-depthwise": Entry(lambda: convolutional(nn.MaxPool2d(2), groups=2), "images"),
    "cnn-gelu-bias": Entry(
        lambda: convolutional(nn.MaxPool2d(2), activation=nn.GELU, bias=True), "images"
    ),
    "cnn-batch-norm": Entry(
        lambda: convolutional(nn.MaxPool2d(2), norm=nn.BatchNorm2d(4)), "images"
    ),
    "cnn-group-norm": Entry(
        lambda: convolutional(nn.MaxPool2d(2), norm=nn.GroupNorm(2, 4, eps=0.0, affine=False)),
        "images",
    ),
    "layer-norm": Entry(lambda: normed(nn.LayerNorm(6, eps=0.0, bias=False))),
    "rms-norm": Entry(lambda: normed(nn.RMSNorm(6, eps=0.0))),
    "rms-norm-eps": Entry(lambda: normed(nn.RMSNorm(6, eps=1e-5))),
    "batch-norm": Entry(lambda: normed(nn.BatchNorm1d(6))),
    "weight-norm": Entry(
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(linear(4, 6)), nn.ReLU(),
                              linear(6, 1))
    ),
    "spectral-norm": Entry(
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(linear(4, 6)), nn.ReLU(),
                              linear(6, 1))
    ),
    "linear-attention": Entry(lambda: attention(products), "sequences"),
    "relu-attention": Entry(lambda: attention(lambda q, k: F.relu(products(q, k))), "sequences"),
    "cosine-attention": Entry(lambda: attention(cosine), "sequences"),
    "softmax-attention": Entry(
        lambda: attention(lambda q, k: products(q, k).softmax(dim=-1)), "sequences",
        instead=lambda: attention(lambda q, k: F.relu(products(q, k))),
    ),
    "rnn-relu": Entry(lambda: recurrent(nn.RNN, nonlinearity="relu"), "sequences"),
    "gru": Entry(lambda: recurrent(nn.GRU), "sequences",
                 instead=lambda: recurrent(nn.RNN, nonlinearity="relu")),
    "lstm": Entry(lambda: recurrent(nn.LSTM), "sequences",
                  instead=lambda: recurrent(nn.RNN, nonlinearity="relu")),
    "embedding": Entry(
        lambda: Call(lambda m, x: m.out(F.relu(m.a(m.words(x).mean(dim=1)))),
                     words=nn.Embedding(7, 4), a=linear(4, 6), out=linear(6, 1)), "tokens",
    ),
    "swiglu": Entry(lambda: gated(F.silu)),
    "reglu": Entry(lambda: gated(F.relu)),
    "glu": Entry(lambda: gated(torch.sigmoid), instead=lambda: gated(F.silu)),
    "maxout": Entry(maxout),
    "dropout": Entry(lambda: nn.Sequential(linear(4, 8), nn.ReLU(), nn.Dropout(0.5), linear(8, 1))),
    "tied": Entry(tied),
    "experts": Entry(experts),
    "polynomial": Entry(
        lambda: Call(lambda m, x: m.out(m.a(x) * m.b(x) * m.c(x)), a=linear(4, 5), b=linear(4, 5),
                     c=linear(4, 5), out=linear(5, 1))
    ),
    "log-softmax": Entry(multi, "classes"),
    "log-softmax-bias": Entry(lambda: multi(bias=True), "classes"),
    "classes": Entry(lambda: mlp(nn.ReLU, outputs=3), "classes"),
    "where": Entry(lambda: Call(lambda m, x: m.out(torch.where((z := m.a(x)) > 0, z, 0.1 * z)),
                                a=linear(4, 6), out=linear(6, 1))),
    "parallel": Entry(lambda: nn.DataParallel(mlp(nn.ReLU))),
    "compiled": Entry(lambda: torch.compile(mlp(nn.ReLU))),
    "compiled-inside": Entry(lambda: nn.Sequential(torch.compile(mlp(nn.ReLU)))),
    "hooked": Entry(hooked),
    "subclass": Entry(lambda: MySequential(*mlp(nn.ReLU))),
}  # fmt: skip


def samples(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return few samples with labels that a network of the kind can learn."""
    draw = np.random.default_rng(4)
    if kind == "tokens":
        X = draw.integers(0, 7, (14, 3))
        return X, np.where(X.sum(axis=1) > 8, 1, -1)
    shape = {"vectors": (4,), "classes": (4,), "images": (2, 4, 4), "sequences": (5, 3)}[kind]
    X = draw.standard_normal((14, *shape))
    flat = X.reshape(14, -1)
    if kind == "classes":
        return X, flat[:, :3].argmax(axis=1)
    way = draw.standard_normal(flat.shape[1])
    way /= np.linalg.norm(way)
    y = np.where(flat @ way > 0, 1, -1)
    return X + (1.5 * y[:, None] * way).reshape(X.shape), y


def trained(make: Callable[[], nn.Module], kind: str, steps: int = 250) -> tuple:
    """Return a network after steps of normalised gradient descent in double precision."""
    torch.manual_seed(1)
    X, y = samples(kind)
    module = make().double().train()
    x = torch.tensor(X)
    target = torch.tensor(y)
    inner = getattr(module, "module", getattr(module, "_orig_mod", module))
    if not any("BatchNorm" in type(part).__name__ for part in inner.modules()):
        inner.eval()
    parameters = [p for p in inner.parameters() if p.requires_grad]
    with torch.compiler.set_stance("force_eager"):
        for step in range(steps):
            inner.zero_grad()
            scores = inner(x)
            if kind == "classes":
                loss = F.cross_entropy(scores, target)
            else:
                loss = F.softplus(-target * scores.reshape(-1)).mean()
            if loss.item() < 1e-9:
                break
            grads = torch.autograd.grad(torch.log(loss), parameters, allow_unused=True)
            size = sum(float((g**2).sum()) for g in grads if g is not None) ** 0.5
            with torch.no_grad():
                for p, g in zip(parameters, grads, strict=True):
                    if g is not None:
                        p -= 0.1 / (1.0 + step) ** 0.25 / max(size, 1e-3) * g
    return module.eval(), X, y
