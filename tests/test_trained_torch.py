"""Certificates of torch modules: the same numbers as our own predictors, and every refusal."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import (
    DataError,
    DegreeError,
    ParameterError,
    ShapeError,
    UnknownNameError,
    UnsupportedError,
)
from lexmargin.judge import Verdict, carried_multipliers, certify_arrays
from lexmargin.judge.trained import trained as trained_module
from lexmargin.margins import MarginFunctions

torch = pytest.importorskip("torch", reason="torch is not installed: an optional extra")
nn, F = torch.nn, torch.nn.functional

# xor in closed form: p* = 2√2, γ*(1) = 1/(4√2), |a_j| = ‖w_j‖ = 2^{-1/4}.
XOR_X = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
XOR_Y = np.array([1, 1, -1, -1])
SIZE = 2.0**-0.25


class Power(nn.Module):
    """relu^p."""

    def __init__(self, power=2):
        super().__init__()
        self.power = power

    def forward(self, z):
        return F.relu(z) ** self.power


def dense(*layers, dtype=None):
    return nn.Sequential(*layers).to(dtype or torch.float64)


def linear(p, q, bias=False):
    return nn.Linear(p, q, bias=bias)


def filled(module, seed=0, scale=1.0):
    draw = np.random.default_rng(seed)
    with torch.no_grad():
        for one in module.parameters():
            one.copy_(torch.as_tensor(scale * draw.normal(size=tuple(one.shape))))
    return module


def xor(activation=None):
    net = dense(linear(2, 4), activation or nn.ReLU(), linear(4, 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.as_tensor(XOR_X * SIZE / math.sqrt(2.0)))
        net[2].weight.copy_(torch.as_tensor(XOR_Y * SIZE)[None, :])
    return net


def samples(n=12, p=3, classes=2, seed=1):
    draw = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    return draw.normal(size=(n, p)), labels if classes > 2 else 2 * labels - 1


def separated(build, n=30, p=3):
    """A network, samples, and the labels it gives itself, so that every margin is positive."""
    X = np.random.default_rng(1).normal(size=(n, p))
    for seed in range(50):
        net = filled(build(), seed)
        with torch.no_grad():
            scores = net(torch.as_tensor(X)).numpy().reshape(n, -1)
        outputs = scores.shape[1]
        labels = np.sign(scores[:, 0]).astype(int) if outputs == 1 else scores.argmax(axis=1)
        ordered = np.sort(np.abs(scores) if outputs == 1 else scores, axis=1)
        clear = ordered[:, -1] - (ordered[:, -2] if outputs > 1 else 0.0) > 1e-3
        if len(np.unique(labels[clear])) == max(outputs, 2) and clear.sum() >= 5:
            return net, X[clear], labels[clear]
    raise AssertionError("no seed gives every class")


@pytest.fixture
def by_gram(monkeypatch):
    monkeypatch.setattr(trained_module, "JACOBIAN_ENTRIES", 0)


# -- the same numbers as our own predictors --------------------------------------------------------

NETWORKS = [
    ("relu", lambda: nn.ReLU(), lm.ReLU(), (5,), 1, 2.0),
    ("relu2", lambda: Power(2), lm.ReLU(power=2), (5,), 1, 3.0),
    ("relu3", lambda: Power(3), lm.ReLU(power=3), (4,), 1, 4.0),
    ("leaky", lambda: nn.LeakyReLU(0.1), lm.LeakyReLU(0.1), (5,), 1, 2.0),
    ("deep", lambda: nn.ReLU(), lm.ReLU(), (6, 5), 1, 3.0),
    ("identity", lambda: nn.Identity(), lm.Identity(), (3,), 1, 2.0),
    ("classes", lambda: nn.ReLU(), lm.ReLU(), (7,), 3, 2.0),
]


@pytest.mark.parametrize(
    ("activation", "ours", "widths", "outputs", "degree"),
    [case[1:] for case in NETWORKS],
    ids=[case[0] for case in NETWORKS],
)
def test_the_numbers_are_those_of_our_own_predictors(activation, ours, widths, outputs, degree):
    sizes = (3, *widths)

    def build():
        layers = []
        for p, q in zip(sizes, widths, strict=False):
            layers += [linear(p, q), activation()]
        return dense(*layers, linear(sizes[-1], outputs))

    net, X, y = separated(build)
    functions = MarginFunctions(lm.Network(widths, ours, outputs), lm.Dataset(X, y))
    theta = np.concatenate([p.detach().numpy().reshape(-1) for p in net.parameters()])
    wanted = certify_arrays(functions.values(theta), functions.jacobian(theta), theta, degree)
    found = lm.certify(net, X, y)
    assert found.degree == degree and found.verdict is wanted.verdict
    assert found.margin == pytest.approx(wanted.margin, rel=1e-12)
    assert found.stationarity == pytest.approx(wanted.stationarity, rel=1e-9)
    assert found.stationarity_bound == pytest.approx(wanted.stationarity_bound, rel=1e-6)
    assert found.support.tolist() == wanted.support.tolist()
    np.testing.assert_allclose(found.multipliers, wanted.multipliers, rtol=1e-8)
    carried = lm.trained_margins(net, X, y).carried()
    reference = carried_multipliers(functions, theta)
    assert carried.residual == pytest.approx(reference.residual, rel=1e-10)
    assert carried.complementarity == pytest.approx(reference.complementarity, rel=1e-10)


@pytest.mark.parametrize("power", [1, 2], ids=["relu", "relu2"])
@pytest.mark.parametrize("mode", ["dense", "gram"])
def test_an_optimum_solved_elsewhere_is_stationary_as_a_module(power, mode, monkeypatch):
    if mode == "gram":
        monkeypatch.setattr(trained_module, "JACOBIAN_ENTRIES", 0)
    if power == 1:
        net = xor()
    else:
        # One unit for each sample on the axes: w = a/√2 in norm for degree 3, by symmetry KKT.
        net = dense(linear(2, 4), Power(2), linear(4, 1))
        with torch.no_grad():
            net[0].weight.copy_(torch.as_tensor(XOR_X))
            # ‖w‖² = 2 a² where each unit is balanced: w·∇_w F = 2F, a ∂_a F = F.
            net[2].weight.copy_(torch.as_tensor(XOR_Y * 1.0)[None, :])
    found = lm.certify(net, XOR_X, XOR_Y)
    # Units at right angles to a sample sit on a kink: power 1 feels it, power 2 does not.
    assert found.stationarity < 1e-12, found.report()
    if power == 1:
        assert found.margin == pytest.approx(1 / (4 * math.sqrt(2.0)), rel=1e-12)
        # With its gradients at hand it is a network of the toolkit, and the birth test proves more.
        wanted = Verdict.GLOBAL if mode == "dense" else Verdict.CLARKE_KKT
        assert found.verdict is wanted and "on a kink" in found.reasons[0]
        assert found.nearest_kink == 0.0
    else:
        assert found.verdict is Verdict.KKT, found.report()
        assert "jumps" in found.curvature.reason


def test_away_from_kinks_a_leaky_network_is_local_and_a_turned_one_is_not(by_gram):
    # symmetric-leaky: X = ±e_i, w = Σ e_i in pairs of units: every margin equal, no kink.
    net, X, y = symmetric_leaky(4, 6)
    found = lm.certify(net, X, y)
    # Given the three units on either ray, f fixes Σ a w on each: what is left are their rotations.
    assert found.verdict is Verdict.STRICT_LOCAL, found.report()
    assert found.curvature.symmetries == 4 and found.curvature.dimension == 30 - 8 - 4
    assert found.curvature.smallest > 0.5
    # To an order of magnitude the part of ‖θ‖ to the kink: |w_ji|/‖θ‖ on the samples e_i.
    size = math.sqrt(sum(float((one.detach() ** 2).sum()) for one in net.parameters()))
    nearest = float(net[0].weight.detach().abs().min()) / size
    assert nearest / 5.0 < found.nearest_kink < 5.0 * nearest
    assert found.support.size == 8 and "inner products of 8 gradients" in found.report()
    filled_noise = np.random.default_rng(0).normal(size=(6, 4))
    with torch.no_grad():
        net[0].weight += 1e-5 * torch.as_tensor(filled_noise)
    turned = lm.certify(net, X, y)
    assert turned.verdict is Verdict.NOT_STATIONARY
    assert 1e-7 < turned.stationarity_bound <= turned.stationarity


def symmetric_leaky(p, units, slope=0.25):
    """±e_i with labels ±1; unit j is ±s_j Σ e_i with outer weight ±s_j √p, in pairs."""
    net = dense(linear(p, units), nn.LeakyReLU(slope), linear(units, 1))
    shares = np.repeat(np.random.default_rng(0).uniform(0.5, 1.5, size=units // 2), 2)
    signs = np.tile([1.0, -1.0], units // 2)
    with torch.no_grad():
        net[0].weight.copy_(torch.as_tensor((shares * signs)[:, None] * np.ones((1, p))))
        net[2].weight.copy_(torch.as_tensor(shares * signs * math.sqrt(p))[None, :])
    return net, np.vstack([np.eye(p), -np.eye(p)]), np.repeat([1, -1], p)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("tau", [1e-7, 0.3])
def test_inner_products_give_what_the_gradients_give(outputs, tau, monkeypatch):
    net, X, y = separated(lambda: dense(linear(3, 6), Power(2), linear(6, outputs)), n=40)
    limits = lm.Tolerances(support=tau)
    dense_one = lm.certify(net, X, y, tolerances=limits)
    monkeypatch.setattr(trained_module, "JACOBIAN_ENTRIES", 0)
    found = trained_module.certify_module(net, X, y, tolerances=limits, memory=3000.0)
    assert found.verdict is dense_one.verdict
    assert found.stationarity == pytest.approx(dense_one.stationarity, rel=1e-9)
    assert found.support.tolist() == dense_one.support.tolist()
    np.testing.assert_allclose(
        found.multipliers, dense_one.multipliers, rtol=1e-6, atol=1e-9 * found.multipliers.max()
    )
    assert found.margin == pytest.approx(dense_one.margin, rel=1e-13)
    assert found.stationarity_bound <= found.stationarity
    for name in ("euler", "complementarity", "kkt_epsilon", "kkt_delta"):
        assert getattr(found, name) == pytest.approx(getattr(dense_one, name), rel=1e-6, abs=1e-12)


class Products(nn.Module):
    """Σ_i x_i Π_l u^l_i."""

    def __init__(self, *blocks):
        super().__init__()
        self.blocks = nn.ParameterList(
            [nn.Parameter(torch.tensor(b, dtype=torch.float64)) for b in blocks]
        )

    def forward(self, x):
        for block in self.blocks:
            x = x * block
        return x.sum(1)


class Unbiased(nn.Module):
    """Σ_k v_k relu(u_k·x), in a form that is no plain network."""

    def __init__(self, inner, outer):
        super().__init__()
        self.inner = nn.Parameter(torch.tensor(inner, dtype=torch.float64))
        self.outer = nn.Parameter(torch.tensor(outer, dtype=torch.float64))

    def forward(self, x):
        return torch.relu(x @ self.inner.T) @ self.outer


@pytest.mark.parametrize("limit", [1, None])
@pytest.mark.parametrize(
    ("module", "word"),
    [
        # f_2 = 1e-330 or -1e-330 is computed as 0, or -0; -1e-3 is what it says.
        (Products(*[[1.0, 1e-110]] * 3), Verdict.UNDECIDED),
        (Products(*[[1.0, 1e-110]] * 2, [1.0, -1e-110]), Verdict.UNDECIDED),
        (Products(*[[1.0, 0.1]] * 2, [1.0, -0.1]), Verdict.NOT_SEPARATING),
        # Every unit is off at the second sample; or one is on, whose share of f is 1e-400.
        (
            Unbiased([[1.0, 0.0], [0.0, -1.0], [-1.0, -1.0]], [1.0, 1.0, -1.0]),
            Verdict.NOT_SEPARATING,
        ),
        (
            Unbiased([[1.0, 0.0], [0.0, 1e-200], [-1.0, -1.0]], [1.0, 1e-200, -1.0]),
            Verdict.UNDECIDED,
        ),
    ],
)
def test_a_computed_0_proves_nothing(module, word, limit, monkeypatch):
    if limit is not None:
        monkeypatch.setattr(trained_module, "JACOBIAN_ENTRIES", limit)
    first = 0.0 if isinstance(module, Products) else -0.5
    X = np.array([[1.0, 0.5], [first, 1.0], [-1.0, -1.0]])
    found = lm.certify(module, X, [1, 1, -1])
    assert found.verdict is word, found.report()


def test_a_tolerance_below_rounding_is_undecided_and_says_so(by_gram):
    net, X, y = symmetric_leaky(4, 6)
    limits = lm.Tolerances(stationarity=1e-17, support=1e-12, kink=1e-12)
    found = lm.certify(net, X, y, tolerances=limits)
    assert found.verdict is Verdict.UNDECIDED and "rounding alone" in found.report()
    assert "resolve ε to" in found.report()


def test_scale_precision_and_order_change_nothing():
    net, X, y = symmetric_leaky(4, 6)
    first = lm.certify(net, X, y)
    with torch.no_grad():
        for one in net.parameters():
            one *= 1024.0
    second = lm.certify(net, X, y)
    assert second.stationarity == pytest.approx(first.stationarity, abs=1e-15)
    assert second.margin == pytest.approx(first.margin, rel=1e-13)
    before = [p.detach().clone() for p in net.parameters()]
    third = lm.certify(net.to(torch.float32), X, y)
    assert third.stationarity < 1e-6
    assert third.verdict in (Verdict.GLOBAL, Verdict.UNDECIDED, Verdict.NOT_STATIONARY)
    assert net[0].weight.dtype is torch.float32 and net.training
    assert all(torch.equal(a.float(), b) for a, b in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize("shift", [0, 1], ids=["signs", "zero-one"])
def test_a_flipped_label_does_not_separate(shift):
    net, X, y = symmetric_leaky(4, 6)
    labels = (y + 1) // 2 if shift else y.copy()
    assert lm.certify(net, X, labels).verdict is Verdict.GLOBAL
    labels[2] = 0 if shift else -1
    found = lm.certify(net, X, labels)
    assert found.verdict is Verdict.NOT_SEPARATING and found.support.tolist() == [2]


def test_a_flipped_sign_does_not_separate_through_inner_products(by_gram):
    net, X, y = symmetric_leaky(4, 6)
    found = lm.certify(net, X, -y)
    assert found.verdict is Verdict.NOT_SEPARATING and found.margin < 0.0


def test_frozen_parameters_are_constants():
    net, X, y = symmetric_leaky(4, 6)
    net[2].weight.requires_grad_(False)
    found = lm.certify(net, X, y)
    assert found.degree == 1.0 and lm.trained_margins(net, X, y).theta.size == 24
    for one in net.parameters():
        one.requires_grad_(False)
    with pytest.raises(UnsupportedError, match="requires_grad"):
        lm.certify(net, X, y)


# -- degrees ---------------------------------------------------------------------------------------


class Skip(nn.Module):
    """Degree 1 plus degree 2: eq. 10."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = linear(3, 1), linear(3, 4), linear(4, 1)

    def forward(self, x):
        return self.a(x) + self.c(F.relu(self.b(x)))


class Functional(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.a, self.b, self.function = linear(3, 4), linear(4, 1), function

    def forward(self, x):
        return self.b(self.function(self.a(x)))


REFUSED = [
    ("sigmoid", lambda: dense(linear(3, 4), nn.Sigmoid(), linear(4, 1)), "'1' is a Sigmoid"),
    ("gelu", lambda: dense(linear(3, 4), nn.GELU(), linear(4, 1)), "'1' is a GELU"),
    ("relu6", lambda: dense(linear(3, 4), nn.ReLU6(), linear(4, 1)), "'1' is a ReLU6"),
    ("bias", lambda: dense(linear(3, 4), nn.ReLU(), linear(4, 1, True)), "'2.bias' is a bias"),
    (
        "hidden-bias",
        lambda: dense(
            linear(3, 4, True), nn.ReLU(), linear(4, 4, True), nn.ReLU(), linear(4, 1, True)
        ),
        "'2.bias', '4.bias' are biases",
    ),
    (
        "batch-norm-training",
        lambda: dense(linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), linear(4, 1)),
        "'1' is a BatchNorm1d in training mode",
    ),
    (
        "batch-norm-evaluation",
        lambda: dense(linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), linear(4, 1)).eval(),
        "'1' is a BatchNorm1d",
    ),
    (
        "dropout-training",
        lambda: dense(linear(3, 4), nn.ReLU(), nn.Dropout(0.3), linear(4, 1)),
        "'2' is a Dropout in training mode",
    ),
    ("skip", Skip, "not homogeneous"),
    ("functional-tanh", lambda: Functional(torch.tanh), "not homogeneous"),
    ("functional-clamp", lambda: Functional(lambda z: z.clamp(0.0, 3.0)), "not homogeneous"),
    ("functional-dropout", lambda: Functional(F.dropout), "random"),
    (
        "mixing-samples",
        lambda: Functional(lambda z: z - z.mean(dim=0, keepdim=True)),
        "other samples of its batch",
    ),
]


@pytest.mark.parametrize(
    ("build", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_is_not_homogeneous_is_refused_by_name(build, message):
    torch.manual_seed(0)
    with pytest.raises(DegreeError, match=message):
        lm.certify(filled(build().double(), seed=2), *samples())


def test_a_bias_that_is_still_zero_is_refused_too():
    net = filled(dense(linear(3, 4), nn.ReLU(), linear(4, 1, True)), seed=2)
    with torch.no_grad():
        net[2].bias.zero_()
    with pytest.raises(DegreeError, match=r"'2\.bias' is a bias"):
        lm.certify(net, *samples())


def test_biases_of_the_first_layer_are_weights_of_a_constant_feature():
    net, X, y = separated(lambda: dense(linear(3, 4, True), nn.ReLU(), linear(4, 1)))
    found = lm.certify(net, X, y)
    assert found.degree == 2.0
    assert "degrees by layer, measured: 0 1, 2 1" in found.report()


def test_dropout_in_evaluation_mode_is_fine():
    build = lambda: dense(linear(3, 4), nn.ReLU(), nn.Dropout(0.3), linear(4, 1)).eval()  # noqa: E731
    net, X, y = separated(build)
    assert lm.certify(net, X, y).degree == 2.0


@pytest.mark.parametrize("degree", [1.0, 3.0, 2.001])
def test_a_wrong_degree_is_named(degree):
    net, X, y = symmetric_leaky(4, 6)
    assert lm.certify(net, X, y, degree=2.0).verdict is Verdict.GLOBAL
    with pytest.raises(DegreeError, match="has degree 2, not"):
        lm.certify(net, X, y, degree=degree)


def test_layers_have_their_own_degrees():
    net, X, y = separated(
        lambda: dense(linear(3, 4), Power(2), linear(4, 4), Power(3), linear(4, 1))
    )
    found = lm.certify(net, X, y)
    assert found.degree == 10.0
    assert "0 6, 2 3, 4 1" in found.report()


# -- kinks -----------------------------------------------------------------------------------------

KINKED = [
    ("module", nn.ReLU, "relu"),
    ("functional", lambda: Applied(F.relu), "relu"),
    ("clamp", lambda: Applied(lambda z: z.clamp(min=0.0)), "clamp"),
    ("maximum", lambda: Applied(lambda z: torch.maximum(z, 0.5 * z)), "maximum"),
    ("absolute", lambda: Applied(torch.abs), "abs"),
    ("in-place", lambda: nn.ReLU(inplace=True), "relu"),
]


class Applied(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, z):
        return self.function(z)


@pytest.mark.parametrize(
    ("activation", "name"), [case[1:] for case in KINKED], ids=[case[0] for case in KINKED]
)
def test_every_kink_is_seen_however_it_is_written(activation, name):
    X = np.array([[1.0, 2.0], [-1.0, -2.5]])
    net = dense(linear(2, 2), activation(), linear(2, 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 1.0], [2.0, -1.0]]))
        net[2].weight.copy_(torch.tensor([[1.0, 0.5]]))
    # Unit 2 is at its kink for the first sample.
    margins = lm.trained_margins(net, X, [1, -1])
    report = margins.kinks(np.arange(2))
    assert report.nearest == 0.0 and report.felt == 0.0 and report.where == name
    assert report.unknown == ()


def test_a_kink_of_a_squared_or_ignored_unit_is_not_felt():
    for activation, outer in ((Power(2), 1.0), (nn.ReLU(), 0.0)):
        net = dense(linear(2, 2), activation, linear(2, 1))
        with torch.no_grad():
            net[0].weight.copy_(torch.tensor([[1.0, 1.0], [2.0, -1.0]]))
            net[2].weight.copy_(torch.tensor([[1.0, outer]]))
        report = lm.trained_margins(net, [[1.0, 2.0], [2.0, 1.0]], [1, -1]).kinks(np.arange(2))
        assert report.nearest == 0.0 and report.felt > 1e-3


def test_an_operation_whose_kinks_are_not_measured_leaves_the_verdict_open():
    class Sorted(nn.Module):
        def forward(self, z):
            return torch.sort(z, dim=1).values

    net, X, y = symmetric_leaky(4, 6)
    net = nn.Sequential(net[0], nn.LeakyReLU(0.25), Sorted(), net[2])
    found = lm.certify(net, X, y)
    assert found.verdict in (Verdict.UNDECIDED, Verdict.NOT_SEPARATING)
    smooth, X, y = symmetric_leaky(4, 6)
    wrapped = nn.Sequential(smooth, Applied(lambda s: torch.cummax(s, dim=1).values))
    found = lm.certify(wrapped, X, y)
    assert found.verdict is Verdict.UNDECIDED and "because of cummax" in found.reasons[0]


def test_a_kink_behind_a_detached_mask_is_not_missed():
    net, X, y = symmetric_leaky(4, 6)
    masked = Applied(lambda z: z * torch.where(z.detach() > 0, 1.0, 0.25).double())
    # Far from the tie of the comparison it is the module without a mask, and has its word.
    found, wanted = lm.certify(nn.Sequential(net[0], masked, net[2]), X, y), lm.certify(net, X, y)
    assert found.stationarity < 1e-12 and found.nearest_kink > 1e-3
    assert wanted.verdict.stationary and found.verdict is Verdict.STRICT_LOCAL
    # A unit that is 0 at a sample of the support leaves the word open.
    with torch.no_grad():
        net[0].weight[0] = torch.tensor([0.5, -0.5, 0.5, -0.5]) * net[0].weight[0].norm()
    shifted = np.concatenate([X, [[1.0, 1.0, 0.0, 0.0]]]), np.append(y, 1)
    report = lm.trained_margins(nn.Sequential(net[0], masked, net[2]), *shifted).kinks(np.arange(9))
    assert report.felt == 0.0 and report.where == "gt" and not report.unknown


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_named(value):
    net, X, y = symmetric_leaky(4, 6)
    with torch.no_grad():
        net[2].weight[0, 3] = value
    with pytest.raises(DataError, match=r"'2\.weight'"):
        lm.certify(net, X, y)


def test_shapes_that_do_not_fit_are_named():
    net, X, y = symmetric_leaky(4, 6)
    with pytest.raises(ShapeError, match="cannot read samples"):
        lm.certify(net, np.hstack([X, X]), y)
    with pytest.raises(DataError, match="labels for"):
        lm.certify(net, X, y[:-1])
    with pytest.raises(ShapeError, match="1 outputs and the labels 3 classes"):
        lm.certify(net, X, [0, 1, 2, 0, 1, 2, 0, 1])
    with pytest.raises(ShapeError, match="row of scores per sample"):
        lm.certify(nn.Sequential(net, Applied(lambda s: s.mean(dim=0))), X, y)
    with pytest.raises(DataError, match="holds nan"):
        lm.certify(net, X * np.nan, y)
    with pytest.raises(ParameterError, match="samples and labels"):
        lm.certify(net, X)
    with pytest.raises(ParameterError, match="Leave y out"):
        lm.certify(lm.HardMargin(lm.Linear(), lm.Dataset(X, y)), np.ones(4), y)
    with pytest.raises(ParameterError, match="memory"):
        lm.certify_module(net, X, y, memory=0.0)


def test_another_ball_needs_gradients_that_fit_in_memory(by_gram):
    net, X, y = symmetric_leaky(4, 6)
    with pytest.raises(ParameterError, match="Use norm=2"):
        lm.certify(net, X, y, norm=1.0)


def test_a_module_that_computes_in_single_precision_is_refused():
    net, X, y = symmetric_leaky(4, 6)
    with pytest.raises(UnsupportedError, match="float32"):
        lm.certify(nn.Sequential(net, Applied(lambda s: s.float())), X, y)


def test_an_operation_without_forward_derivatives_is_named():
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            return 2.0 * z

        @staticmethod
        def backward(ctx, gradient):
            return 2.0 * gradient

    net, X, y = symmetric_leaky(4, 6)
    with pytest.raises(UnsupportedError, match="without forward-mode derivatives"):
        lm.certify(nn.Sequential(net, Applied(Doubled.apply)), X, y)


def test_zero_weights_have_no_margin():
    net, X, y = symmetric_leaky(4, 6)
    with torch.no_grad():
        for one in net.parameters():
            one.zero_()
    with pytest.raises(DataError, match="Every score is zero"):
        lm.certify(net, X, y)


def test_images_and_convolutions():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3, bias=False)
    )
    X = np.random.default_rng(0).normal(size=(20, 1, 6, 6)).astype(np.float32)
    with torch.no_grad():
        y = net(torch.as_tensor(X)).argmax(dim=1)
    assert len(y.unique()) == 3
    found = lm.certify(net, torch.as_tensor(X), y)
    assert found.degree == 2.0 and found.verdict is Verdict.NOT_STATIONARY
    assert found.margin > 0.0 and found.multipliers.size == 40


# -- state dicts -----------------------------------------------------------------------------------


def test_a_state_dict_is_read_and_nothing_else(tmp_path):
    net, X, y = symmetric_leaky(4, 6)
    path = tmp_path / "net.pt"
    torch.save(net.state_dict(), path)
    fresh = dense(linear(4, 6), nn.LeakyReLU(0.25), linear(6, 1))
    assert lm.certify(lm.load_state(fresh, path), X, y).verdict is Verdict.GLOBAL

    torch.save(net, path)
    with pytest.raises(DataError, match=r"holds a pickled torch\.nn\.modules\.\w+\.Sequential"):
        lm.load_state(fresh, path)
    torch.save(net[0].weight, path)
    with pytest.raises(DataError, match="no state dict"):
        lm.load_state(fresh, path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="cannot be read"):
        lm.load_state(fresh, path)
    with pytest.raises(DataError, match="no file"):
        lm.load_state(fresh, tmp_path / "missing.pt")

    state = copy.deepcopy(net.state_dict())
    state["2.weigth"] = state.pop("2.weight")
    torch.save(state, path)
    with pytest.raises(UnknownNameError, match=r"'2\.weigth'.*'2\.weight'"):
        lm.load_state(fresh, path)
    state.pop("2.weigth")
    torch.save(state, path)
    with pytest.raises(UnknownNameError, match=r"lacks '2\.weight'"):
        lm.load_state(fresh, path)
    state["2.weight"] = torch.zeros(1, 5)
    torch.save(state, path)
    with pytest.raises(ShapeError, match=r"\(1, 5\)"):
        lm.load_state(fresh, path)


def test_safetensors_are_read(tmp_path):
    save = pytest.importorskip(
        "safetensors.torch", reason="safetensors is not installed: an optional extra"
    )
    net, X, y = symmetric_leaky(4, 6)
    path = tmp_path / "net.safetensors"
    save.save_file(net.state_dict(), path)
    fresh = dense(linear(4, 6), nn.LeakyReLU(0.25), linear(6, 1))
    assert lm.certify(lm.load_state(fresh, path), X, y).verdict is Verdict.GLOBAL
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="not a safetensors file"):
        lm.load_state(fresh, path)
