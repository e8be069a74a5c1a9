"""Modules as people write them: what looks homogeneous and is not, and what cannot be evaluated."""

from __future__ import annotations

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import DataError, DegreeError, ShapeError, UnsupportedError
from lexmargin.judge import Verdict
from lexmargin.judge.second_order.curvature import CurvatureKind
from lexmargin.judge.trained import trained as trained_module

torch = pytest.importorskip("torch", reason="torch is not installed: an optional extra")
nn, F = torch.nn, torch.nn.functional


class Two(nn.Module):
    """`B σ(A x) + b` for any function σ."""

    def __init__(self, function, bias=False):
        super().__init__()
        draw = torch.Generator().manual_seed(3)
        self.a, self.b = nn.Linear(3, 6, bias=False), nn.Linear(6, 1, bias=bias)
        self.function = function
        for one in self.parameters():
            one.data = torch.randn(one.shape, generator=draw, dtype=torch.float64)

    def forward(self, x):
        return self.b(self.function(self.a(x)))


def samples(scale=1.0):
    X = np.random.default_rng(0).normal(size=(20, 3))
    return scale * X, np.where(X[:, 0] > 0.0, 1, -1)


# -- measured degrees ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "scale"),
    [
        (F.relu6, 1e-4),
        (F.hardtanh, 1e-5),
        (lambda z: z.clamp(0.0, 3.0), 1e-4),
        (F.gelu, 1e6),
        (F.silu, 1e6),
        (F.softplus, 1e9),
        (lambda z: F.layer_norm(F.relu(z), (6,)), 1e8),
        (lambda z: torch.tanh(z), 1e-8),
    ],
    ids=["relu6", "hardtanh", "clamp", "gelu", "silu", "softplus", "layer-norm", "tanh"],
)
def test_what_is_homogeneous_near_θ_only_is_refused(function, scale):
    X, y = samples(scale)
    with pytest.raises(DegreeError, match=r"fails by"):
        lm.certify(Two(function), X, y)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_bias_beside_huge_samples_is_refused_by_name(value):
    X, y = samples(1e9)
    net = Two(F.relu, bias=True)
    net.b.bias.data.fill_(value)
    with pytest.raises(DegreeError, match=r"'b\.bias' is a bias"):
        lm.certify(net, X, y)


def test_a_skip_connection_is_traced_to_its_layers():
    class Residual(Two):
        def forward(self, x):
            h = F.relu(self.a(x))
            return self.b(h + F.relu(self.middle(h)))

    net = Residual(None)
    net.middle = nn.Linear(6, 6, bias=False).double()
    with pytest.raises(DegreeError, match=r"no degree in 'middle' alone"):
        lm.certify(net, *samples())


def test_a_trained_slope_is_no_bias():
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.PReLU(), nn.Linear(4, 1, bias=False))
    with pytest.raises(DegreeError, match=r"'1\.weight' is of another degree"):
        lm.certify(net.double(), *samples())
    net[1].weight.requires_grad_(False)
    assert lm.certify(net, *samples()).degree == 2.0


def test_a_sigmoid_that_forward_never_calls_is_no_fault():
    net = Two(F.relu)
    net.to_probability = nn.Sigmoid()
    assert lm.certify(net, *samples()).degree == 2.0


def test_a_normalised_layer_has_degree_zero():
    net = Two(lambda z: z / z.pow(2).mean(dim=1, keepdim=True).sqrt())
    found = lm.certify(net, *samples())
    assert found.degree == 1.0 and "measured: a 0, b 1" in found.report()


# -- derivatives that are not those of the scores --------------------------------------------------


def blocked(z):
    with torch.no_grad():
        return F.relu(z)


def detached_share(z):
    h = F.relu(z)
    return h * (1.0 + (h / h.sum(dim=1, keepdim=True)).detach())


def rounded(z):
    return F.relu(z.float()).double()


@pytest.mark.parametrize(
    "function", [blocked, detached_share, rounded], ids=["no-grad", "detached", "single-precision"]
)
@pytest.mark.parametrize("limit", [20_000_000, 0], ids=["gradients", "inner-products"])
def test_gradients_of_another_function_are_refused(function, limit, monkeypatch):
    monkeypatch.setattr(trained_module, "JACOBIAN_ENTRIES", limit)
    with pytest.raises(UnsupportedError, match="not those of its scores"):
        lm.certify(Two(function), *samples())


def test_a_straight_through_estimator_has_no_degree():
    net = Two(lambda z: z + (z.sign() - z).detach())
    with pytest.raises(DegreeError, match="not homogeneous"):
        lm.certify(net, *samples())


def test_gradients_that_are_not_finite_are_named():
    net = Two(lambda z: F.relu(z).sqrt())
    with pytest.raises(DataError, match="gradients are NaN"):
        lm.certify(net, *samples())


def test_detours_through_numpy_are_named():
    net = Two(lambda z: z * torch.as_tensor((z.detach().numpy() > 0.0).astype(float)))
    with pytest.raises(UnsupportedError, match="without derivatives"):
        lm.certify(net, *samples())


def masked(z):
    z = z.clone()
    z[z < 0.0] = 0.0
    return z


def test_what_vmap_cannot_batch_is_done_one_by_one():
    X, y = samples()
    ours, other = lm.trained_margins(Two(F.relu), X, y), lm.trained_margins(Two(masked), X, y)
    everyone = np.arange(ours.count)
    rows = [found.jacobian(found.theta) for found in (other, ours)]
    np.testing.assert_allclose(*rows, atol=1e-14)
    # What hides the kink is the comparison, at the same distance.
    report, wanted = other.kinks(everyone), ours.kinks(everyone)
    assert not report.unknown and report.where == "lt"
    assert report.nearest == pytest.approx(wanted.nearest, rel=1e-9)


# -- modules that cannot be evaluated --------------------------------------------------------------


class Failing(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.a, self.error = nn.Linear(3, 1, bias=False), error

    def forward(self, x):
        raise self.error


class Constant(nn.Module):
    """A tensor that is neither parameter nor buffer keeps its precision."""

    def __init__(self):
        super().__init__()
        self.a, self.mixing = nn.Linear(3, 1, bias=False), torch.eye(3)

    def forward(self, x):
        return self.a(x @ self.mixing)


class Second(Two):
    def forward(self, x, weights):
        return super().forward(x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Failing(RuntimeError("out of order")), "RuntimeError: out of order"),
        (lambda: Failing(ValueError("out of order")), "ValueError: out of order"),
        (lambda: Failing(KeyError("missing")), "KeyError: 'missing'"),
        (Constant, "register constant tensors as buffers"),
        (lambda: Second(F.relu), "missing 1 required positional argument"),
        (lambda: nn.Sequential(nn.LazyLinear(1, bias=False)), "'0.weight' has no shape yet"),
    ],
)
def test_a_module_that_cannot_be_evaluated_is_named(build, message):
    with pytest.raises(UnsupportedError, match=message):
        lm.certify(build(), *samples())


def test_complex_weights_are_named():
    net = nn.Linear(3, 1, bias=False, dtype=torch.complex128)
    with pytest.raises(DataError, match=r"'weight' has entries of type torch\.complex128"):
        lm.certify(net, *samples())


def test_whole_numbers_are_real_numbers_except_to_an_embedding():
    X, y = [[1, 2, 0], [-1, 0, 3], [2, -2, 1]], [1, -1, 1]
    whole = lm.certify(Two(F.relu), X, y)
    assert whole.to_json() == lm.certify(Two(F.relu), np.array(X, float), y).to_json()
    words = nn.Sequential(nn.Embedding(4, 2), nn.Flatten(), nn.Linear(6, 1, bias=False)).double()
    assert lm.certify(words, np.abs(X), y).degree == 2.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_samples_of_every_precision_are_read(dtype):
    X, y = samples()
    given = torch.as_tensor(X).to(getattr(torch, dtype))
    exact = lm.certify(Two(F.relu), given.double().numpy(), y)
    found = lm.certify(Two(F.relu), given.requires_grad_(), y)
    assert found.to_json() == exact.to_json()


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        ([[1.0, 2.0], [3.0]], [1, -1], DataError, "cannot be read as an array"),
        (np.zeros((0, 3)), [], DataError, r"shape \(0, 3\)"),
        (torch.eye(3).to_sparse(), [1, -1, 1], DataError, "no array"),
        (np.eye(3) * 1j, [1, -1, 1], DataError, "complex"),
        (np.eye(3), np.eye(3), DataError, "y has 2 dimension"),
        (np.eye(3), [1, -1], DataError, "labels for"),
        (np.eye(2), [1, -1], ShapeError, "cannot read samples"),
    ],
    ids=["ragged", "empty", "sparse", "complex", "one-hot", "too-few", "other-width"],
)
def test_samples_that_are_none_are_named(X, y, error, message):
    with pytest.raises(error, match=message):
        lm.certify(Two(F.relu), X, y)


# -- heads and shapes that are fine ----------------------------------------------------------------


def test_shared_and_tied_weights_count_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.again = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.again.weight = self.a.weight
            self.b = nn.Linear(3, 1, bias=False)

        def forward(self, x):
            return self.b(F.relu(self.again(F.relu(self.a(x)))))

    net = Tied().double()
    found = lm.trained_margins(net, *samples())
    assert found.theta.size == 12 and lm.certify(net, *samples()).degree == 3.0
    # Each row is θ's own derivative: differences along a direction agree.
    way, step = np.random.default_rng(1).normal(size=12), 1e-6
    ends = [found.scores.values(found.theta + s * step * way)[:, 0] for s in (1.0, -1.0)]
    slopes = found.jacobian(found.theta) @ way
    np.testing.assert_allclose(
        found.seeds[:, 0] * (ends[0] - ends[1]) / (2.0 * step), slopes, atol=1e-6
    )


def test_buffers_are_constants():
    class Centred(Two):
        def __init__(self):
            super().__init__(F.relu)
            self.register_buffer("mean", torch.full((3,), 0.25))

        def forward(self, x):
            return super().forward(x - self.mean)

    X, y = samples()
    found, wanted = lm.certify(Centred(), X, y), lm.certify(Two(F.relu), X - 0.25, y)
    assert found.verdict is wanted.verdict is Verdict.NOT_SEPARATING
    assert found.margin == pytest.approx(wanted.margin, rel=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-9, 5e-8])
def test_a_dead_neuron_is_no_strict_local_maximum(size):
    # Automatic differentiation sees no curvature at a dead unit, and the margin rises from there
    # (math §7.8, case dead-neuron: two samples at 150°, all of the weight on their bisector).
    angle = np.deg2rad(75.0)

    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            rows = [[np.cos(angle), np.sin(angle)], [size, 0.0]]
            self.inner = nn.Parameter(torch.tensor(rows, dtype=torch.float64))
            self.outer = nn.Parameter(torch.tensor([1.0, size], dtype=torch.float64))

        def forward(self, x):
            return x[:, 2] * (F.relu(x[:, :2] @ self.inner.T) @ self.outer)

    X = [[np.cos(k * angle), np.sin(k * angle), s] for s in (1.0, -1.0) for k in (0, 2)]
    found = lm.certify(Pair(), X, [1, 1, -1, -1])
    # Halves of 1/cos(75°) on either class.
    assert found.margin == pytest.approx(np.cos(angle) / 2.0, rel=1e-6)
    assert found.verdict is Verdict.KKT and found.nearest_kink <= 1e-7
    assert found.curvature.kind is CurvatureKind.UNDECIDED


@pytest.mark.parametrize(
    ("activation", "low", "high"),
    [
        (nn.ReLU(), 0.0, 1.0),
        (nn.ReLU(inplace=True), 0.0, 1.0),
        (nn.LeakyReLU(0.25), 0.25, 1.0),
        (lambda z: F.leaky_relu(z, negative_slope=0.25), 0.25, 1.0),
        (torch.abs, -1.0, 1.0),
        (lambda z: torch.maximum(z, 0.5 * z), 0.5, 1.0),
        (lambda z: torch.minimum(z, 0.5 * z), 0.5, 1.0),
        (lambda z: z.clamp(min=0.0), 0.0, 1.0),
    ],
    ids=["relu", "in-place", "leaky", "leaky-by-name", "abs", "maximum", "minimum", "clamp"],
)
def test_a_kink_may_have_every_slope_between_its_two(activation, low, high):
    class Kinked(nn.Module):
        def __init__(self):
            super().__init__()
            rows = [[1.0, 1.0], [2.0, -1.0]]
            self.inner = nn.Parameter(torch.tensor(rows, dtype=torch.float64))
            self.outer = nn.Parameter(torch.tensor([1.0, 0.5], dtype=torch.float64))

        def forward(self, x):
            return activation(x @ self.inner.T) @ self.outer

    # The second unit reads 0 from the first sample, and from no other.
    X = np.array([[1.0, 2.0], [2.0, 1.0]])
    scores = lm.trained_margins(Kinked(), X, [1, -1]).scores
    found = scores.kinked_rows(np.arange(2), np.ones((2, 1)), 1e-7)
    assert [len(own) for own in found.kinks] == [1, 0]
    ends = [found.at([(), ()])[:, 2:4], found.at([(0,), ()])[:, 2:4]]
    slopes = sorted(end[0, 0] / 0.5 for end in ends)
    assert slopes == pytest.approx([low, high], abs=1e-12)
    for end in ends:
        np.testing.assert_allclose(end[0], end[0, 0] * X[0], atol=1e-12)
    np.testing.assert_array_equal(ends[0][1], ends[1][1])
