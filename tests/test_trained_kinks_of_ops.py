"""Kinks of max-pooling, maxima, roots, norms and smooth units, against NumPy's own search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge.autodiff.torch_rows import TorchScores

torch = pytest.importorskip("torch", reason="torch is not installed: an optional extra")
nn, F = torch.nn, torch.nn.functional


class Images(nn.Module):
    """A weight on every entry, an operation, and the sum of its results with fixed weights."""

    def __init__(self, then, shape):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(shape))
        self.then = then

    def forward(self, x):
        found = self.then(self.scale * x).reshape(len(x), -1)
        return found @ torch.arange(1.0, 1.0 + found.shape[1], dtype=x.dtype)


def report(then, x):
    scores = TorchScores(Images(then, x.shape[1:]), x)
    return scores.kinks(np.arange(len(x)), np.ones((len(x), 1)))


POOLS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 2, "stride": 2, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": (2, 3), "stride": (1, 2), "padding": (0, 1)},
    {"kernel_size": 2, "stride": 1, "dilation": 2},
]


def windows(image, settings):
    """The entries of every window of max-pooling, by loops; what lies outside is left out."""
    pair = lambda v: tuple(v) if isinstance(v, tuple) else (v, v)  # noqa: E731
    kernel = pair(settings["kernel_size"])
    stride = pair(settings.get("stride", settings["kernel_size"]))
    padding, dilation = pair(settings.get("padding", 0)), pair(settings.get("dilation", 1))
    shape = F.max_pool2d(torch.tensor(image)[None, None], **settings).shape[-2:]
    for place in itertools.product(*map(range, shape)):
        rows, columns = (
            [o * s - p + d * k for k in range(n)]
            for o, s, p, d, n in zip(place, stride, padding, dilation, kernel, strict=True)
        )
        yield np.array(
            [
                image[i, j]
                for i in rows
                for j in columns
                if 0 <= i < image.shape[0] and 0 <= j < image.shape[1]
            ]
        )


def tie(entries):
    if entries.size < 2:
        return np.inf
    first, second = np.sort(entries)[:-3:-1]
    return first - second


@pytest.mark.parametrize("settings", POOLS, ids=str)
def test_ties_of_max_pooling_are_those_of_its_windows(settings):
    rng = np.random.default_rng(0)
    for _ in range(5):
        image = rng.standard_normal((6, 7))
        found = report(lambda z: F.max_pool2d(z, **settings), image[None, None])
        gaps = np.array([tie(entries) for entries in windows(image, settings)])
        (distances,) = found.distances
        assert not found.unknown and distances.size == gaps.size
        # Distances are gaps by the larger of the largest gap and how θ moves them: the same order.
        flat = distances.reshape(-1)
        assert (np.isinf(flat) == np.isinf(gaps)).all()
        finite = np.isfinite(gaps)
        scale = np.maximum(gaps[finite].max(), 0.0)
        assert np.all(flat[finite] <= gaps[finite] / scale + 1e-12)
        assert np.all((flat[finite] == 0.0) == (gaps[finite] == 0.0))


def test_a_tie_of_two_entries_is_on_a_kink_that_is_felt():
    image = np.array([[1.0, 0.5], [1.0 - 1e-13, 0.2]])
    found = report(lambda z: F.max_pool2d(z, 2), image[None, None])
    assert found.felt is not None and found.felt < 1e-9
    apart = report(lambda z: F.max_pool2d(z, 2), np.array([[[[1.0, 0.5], [0.1, 0.2]]]]))
    assert apart.felt is not None and apart.felt > 1e-3


def test_what_is_zero_and_stays_zero_is_no_kink():
    # A blank image: relu of 0, and the largest of equal entries, whatever the weights.
    blank = np.zeros((1, 1, 4, 4))
    for then in (F.relu, lambda z: F.max_pool2d(F.relu(z), 2)):
        found = report(then, blank)
        assert found.nearest is not None and np.isinf(found.nearest)


# operation, a sample near its kink, a sample far from it
NEAR_AND_FAR = {
    "amax": (lambda z: z.amax(dim=1), [[1.0, 1.0 - 1e-13, 0.3]], [[1.0, 0.4, 0.3]]),
    "max": (lambda z: z.max(dim=1).values, [[1.0, 1.0 - 1e-13, 0.3]], [[1.0, 0.4, 0.3]]),
    "sqrt": (lambda z: z.pow(2).sum(dim=1).sqrt(), None, [[1.0, 0.4, 0.3]]),
    "norm": (lambda z: torch.linalg.vector_norm(z, dim=1), None, [[1.0, 0.4, 0.3]]),
    "std": (lambda z: z.std(dim=1), None, [[1.0, 0.4, 0.3]]),
    "gelu": (F.gelu, [[1.0, 1e-13, 0.5]], [[1.0, 0.4, 0.3]]),
    "silu": (F.silu, [[1.0, 1e-13, 0.5]], [[1.0, 0.4, 0.3]]),
    "softplus": (F.softplus, [[1.0, 1e-13, 0.5]], [[1.0, 0.4, 0.3]]),
}


@pytest.mark.parametrize("name", NEAR_AND_FAR)
def test_operations_know_their_kinks(name):
    then, near, far = NEAR_AND_FAR[name]
    found = report(then, np.array(far))
    assert not found.unknown and found.felt is not None and found.felt > 1e-3
    if near is not None:
        assert report(then, np.array(near)).felt < 1e-9


@pytest.mark.parametrize("network", [None, 3, "net", lambda params, x: x], ids=str)
@pytest.mark.parametrize("verb", [lm.certify_module, lm.certify_limit])
def test_what_is_no_module_is_named(verb, network):
    with pytest.raises(lm.ParameterError, match=r"no torch\.nn\.Module"):
        verb(network, np.eye(2), [1, -1])
