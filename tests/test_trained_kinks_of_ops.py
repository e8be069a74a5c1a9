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


def report(then, x, kind=None):
    scores = TorchScores((kind or Images)(then, x.shape[1:]), x)
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


# Every operation of a list, on (1, 6) entries along a line; where its gradient jumps is searched.
SIX = [0, 2, 1, 1, 5, 3]
SMOOTH = {
    "roll": lambda z: z.roll(2, dims=1),
    "flip": lambda z: z.flip(1),
    "repeat": lambda z: z.repeat(1, 2),
    "cumsum": lambda z: z.cumsum(1),
    "masked_fill": lambda z: z.masked_fill(torch.tensor([[True, False] * 3]), 0.0),
    "upsampling": lambda z: F.interpolate(z[:, None], scale_factor=2, mode="nearest"),
    "pad": lambda z: F.pad(z, (1, 2)),
    "reflection": lambda z: F.pad(z[:, None], (1, 2), mode="reflect"),
    "index": lambda z: z[:, SIX],
    "gather": lambda z: z.gather(1, torch.tensor([SIX]).expand(len(z), -1)),
    "scatter": lambda z: torch.zeros_like(z).scatter(1, torch.tensor([SIX]).expand(len(z), -1), z),
    "scatter_add": lambda z: torch.zeros_like(z).scatter_add(
        1, torch.tensor([SIX]).expand(len(z), -1), z
    ),
    "var": lambda z: z.var(dim=1),
    "prod": lambda z: z.prod(dim=1),
    "vdot": lambda z: torch.stack([torch.vdot(row, row.flip(0)) for row in z]),
    "softmax": lambda z: z.softmax(dim=1),
    "rsqrt": lambda z: z * z.pow(2).mean(dim=1, keepdim=True).rsqrt(),
    "std": lambda z: z.std(dim=1),
    "vector_norm": lambda z: torch.linalg.vector_norm(z, dim=1),
    "where_of_samples": lambda z: torch.where(torch.tensor([True, False] * 3), z, 2.0 * z),
}
KINKED = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "abs": torch.abs,
    "clamp": lambda z: z.clamp(-0.5, 0.5),
    "amax": lambda z: z.amax(dim=1),
    "amin": lambda z: z.amin(dim=1),
    "max": lambda z: z.max(dim=1).values,
    "min": lambda z: z.min(dim=1).values,
    "median": lambda z: z.median(dim=1).values,
    "median_keep": lambda z: z.median(dim=1, keepdim=True).values,
    "sort": lambda z: z.sort(dim=1).values,
    "sort_down": lambda z: z.sort(dim=1, descending=True).values,
    "topk": lambda z: z.topk(3, dim=1).values,
    "topk_least": lambda z: z.topk(2, dim=1, largest=False).values,
    "maximum": lambda z: torch.maximum(z, z.flip(1)),
    "max_pool1d": lambda z: F.max_pool1d(z[:, None], 3, 1),
    "where": lambda z: torch.where(z > 0, z, 0.1 * z),
    "where_detached": lambda z: torch.where(z.detach() >= 0.3, z, 2.0 * z - 0.3),
    "sign": lambda z: z * z.sign(),
    "gate": lambda z: z * (z > 0),
    "argmax": lambda z: z.gather(1, z.argmax(dim=1, keepdim=True)),
    "argmin": lambda z: z.gather(1, z.argmin(dim=1, keepdim=True)),
}


class Moved(Images):
    """The same with a bias: the gradient by a weight alone is continuous where its entry is 0."""

    def __init__(self, then, shape):
        super().__init__(then, shape)
        self.shift = nn.Parameter(torch.zeros(shape))

    def forward(self, x):
        found = self.then(self.scale * x + self.shift).reshape(len(x), -1)
        return found @ torch.arange(1.0, 1.0 + found.shape[1], dtype=x.dtype)


def gradient(then, x):
    module = Moved(then, x.shape[1:]).double()
    module(torch.tensor(x)).sum().backward()
    return module.shift.grad.numpy()


def jumps(then, line):
    """Return the places in [0, 1] where the gradient jumps, by bisection of a grid, and others."""
    grid, found, quiet = np.linspace(0.0, 1.0, 24), [], []
    slopes = [gradient(then, line(t)) for t in grid]
    for low, high, first, last in zip(grid, grid[1:], slopes, slopes[1:], strict=False):
        for _ in range(46):
            if np.abs(last - first).max() < 1e-4:
                break
            middle = (low + high) / 2
            between = gradient(then, line(middle))
            if np.abs(between - first).max() >= np.abs(last - between).max():
                high, last = middle, between
            else:
                low, first = middle, between
        (found if np.abs(last - first).max() > 1e-3 else quiet).append(low)
    return found, quiet


def lines():
    draw = np.random.default_rng(3)
    for _ in range(1):
        start, end = draw.standard_normal((2, 1, 6))
        yield lambda t, start=start, end=end: (1 - t) * start + t * end


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_operations_have_no_kink_and_none_is_found(name):
    for line in lines():
        assert not jumps(SMOOTH[name], line)[0]
        for t in (0.1, 0.5, 0.8):
            found = report(SMOOTH[name], line(t), Moved)
            assert not found.unknown and (found.felt is None or found.felt > 1e-3)


@pytest.mark.parametrize("name", KINKED)
def test_kinks_are_where_the_gradient_jumps(name):
    seen = 0
    for line in lines():
        places, _ = jumps(KINKED[name], line)
        seen += len(places)
        for t in places:
            found = report(KINKED[name], line(t), Moved)
            assert not found.unknown and found.felt is not None and found.felt < 1e-9, t
        for t in np.linspace(0.05, 0.95, 7):
            if all(abs(t - place) > 1e-3 for place in places):
                assert report(KINKED[name], line(t), Moved).felt > 1e-6, t
    assert seen
