"""Trained networks that are predictors of the toolkit: recognised, receipted, read from files."""

from __future__ import annotations

import copy
import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.cli.main import main
from lexmargin.data.state_files import read_state
from lexmargin.errors import (
    DataError,
    ParameterError,
    ReceiptError,
    RejectedReceiptError,
    ShapeError,
    UnknownNameError,
    UnsupportedError,
)
from lexmargin.inputs.json_text import canonical
from lexmargin.judge import Verdict, curves, module_receipt
from lexmargin.judge.receipts.receipt import Receipt, write_receipt
from lexmargin.judge.receipts.receipt_format import digest
from lexmargin.judge.receipts.verify import verify_file, verify_receipt
from lexmargin.judge.trained.network_state import network_weights

SIZE = 2.0**-0.25
XOR_X = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
XOR_Y = np.array([1, 1, -1, -1])
XOR_W = XOR_X * SIZE / math.sqrt(2.0)
XOR_A = (XOR_Y * SIZE)[None, :]
PROBLEM = """
title = "XOR with four units"
source = "closed form"
formulation = "hard-margin"
[predictor]
kind = "network"
widths = [4]
activation = "relu"
[data]
X = [[1, 1], [-1, -1], [1, -1], [-1, 1]]
y = [1, 1, -1, -1]
"""


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed: an optional extra")


def dense(torch, widths, activations, bias=False):
    nn = torch.nn
    layers = []
    for k, (p, q) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Linear(p, q, bias=bias))
        if k < len(activations):
            layers.append(activations[k])
    net = nn.Sequential(*layers).double()
    draw = np.random.default_rng(5)
    with torch.no_grad():
        for one in net.parameters():
            one.copy_(torch.as_tensor(draw.normal(size=tuple(one.shape))))
    return net


def xor(torch):
    net = dense(torch, (2, 4, 1), [torch.nn.ReLU()])
    with torch.no_grad():
        net[0].weight.copy_(torch.as_tensor(XOR_W))
        net[2].weight.copy_(torch.as_tensor(XOR_A))
    return net


# -- which modules are networks of the toolkit -----------------------------------------------------


def test_plain_modules_are_recognised(torch):
    from lexmargin.judge.autodiff.torch_network import plain_network

    nn = torch.nn
    relu, leaky = lm.Network((2,), lm.ReLU()), lm.LeakyReLU(0.2)
    first, last = dense(torch, (3, 2), []), dense(torch, (2, 1), [])
    cases = [
        (dense(torch, (3, 2, 1), [nn.ReLU()]), relu),
        (dense(torch, (3, 5, 4, 3), [nn.LeakyReLU(0.2)] * 2), lm.Network((5, 4), leaky, 3)),
        (dense(torch, (3, 5, 4, 1), []), lm.Network((5, 4), lm.Identity())),
        (dense(torch, (3, 1), []), lm.Network(())),
        (nn.Sequential(nn.Flatten(), dense(torch, (3, 2, 1), [nn.ReLU()])), relu),
        (nn.Sequential(first, nn.ReLU(), nn.Dropout(0.5), last).eval(), relu),
    ]
    for module, expected in cases:
        assert plain_network(module) == expected


def frozen(net):
    net[2].weight.requires_grad_(False)
    return net


def hooked(net):
    net[1].register_forward_hook(lambda module, inputs, output: 2.0 * output)
    return net


def shared(torch):
    layer = torch.nn.Linear(3, 3, bias=False)
    return torch.nn.Sequential(layer, torch.nn.ReLU(), layer).double()


def overridden(net):
    net[1].forward = lambda z: z.relu() * 2.0
    return net


OTHER = [
    ("bias", lambda t: dense(t, (3, 4, 1), [t.nn.ReLU()], bias=True), "'0' has a bias"),
    ("mixed", lambda t: dense(t, (3, 4, 4, 1), [t.nn.ReLU(), t.nn.LeakyReLU()]), "mixes"),
    ("partly", lambda t: dense(t, (3, 4, 4, 1), [t.nn.ReLU()]), "mixes"),
    ("frozen", lambda t: frozen(dense(t, (3, 4, 1), [t.nn.ReLU()])), "frozen"),
    ("shared", shared, "frozen or shared"),
    ("hooked", lambda t: hooked(dense(t, (3, 4, 1), [t.nn.ReLU()])), "'1' has a hook"),
    ("own-forward", lambda t: overridden(dense(t, (3, 4, 1), [t.nn.ReLU()])), "method of its own"),
    ("conv", lambda t: t.nn.Sequential(t.nn.Conv1d(1, 1, 1, bias=False)), "'0' is a Conv1d"),
    ("last", lambda t: dense(t, (3, 4, 1), [t.nn.ReLU()] * 2), "end with a linear"),
    ("twice", lambda t: t.nn.Sequential(dense(t, (3, 4), [t.nn.ReLU()]), t.nn.ReLU()), "second"),
    ("slope", lambda t: dense(t, (3, 4, 1), [t.nn.LeakyReLU(-0.5)]), "has the slope"),
    ("prelu", lambda t: dense(t, (3, 4, 1), [t.nn.PReLU()]), "is a PReLU"),
    ("dropout", lambda t: t.nn.Sequential(t.nn.Dropout(0.5), t.nn.Linear(3, 1)), "is a Dropout"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "message"), [case[1:] for case in OTHER], ids=[case[0] for case in OTHER]
)
def test_other_modules_are_not_with_the_part_that_makes_them_so(torch, build, message):
    from lexmargin.judge.autodiff.torch_network import plain_network

    with pytest.raises(UnsupportedError, match=message):
        plain_network(build(torch))


def test_a_module_that_computes_something_else_is_not_believed(torch, monkeypatch):
    net = xor(torch)
    known = lm.certify(net, XOR_X, XOR_Y)
    assert known.verdict is Verdict.GLOBAL
    # The structure says ReLU, the class has been changed under it.
    monkeypatch.setattr(torch.nn.ReLU, "forward", lambda self, z: torch.nn.functional.relu(z) * 1.1)
    assert lm.certify(net, XOR_X, XOR_Y).verdict is Verdict.CLARKE_KKT
    with pytest.raises(UnsupportedError, match="other scores than its structure"):
        module_receipt(net, XOR_X, XOR_Y, known)


def test_module_and_problem_have_one_certificate(torch):
    X = np.random.default_rng(0).normal(size=(12, 2))
    with torch.no_grad():
        scores = dense(torch, (2, 4, 1), [torch.nn.ReLU()])(torch.as_tensor(X)).numpy()
    y = np.sign(scores[:, 0]).astype(int)
    assert len(set(y)) == 2
    for net, network, samples, labels in [
        (xor(torch), lm.Network((4,), lm.ReLU()), XOR_X, XOR_Y),
        (dense(torch, (2, 4, 1), [torch.nn.ReLU()]), lm.Network((4,), lm.ReLU()), X, y),
    ]:
        problem = lm.HardMargin(network, lm.Dataset(samples, labels))
        theta = np.concatenate([p.detach().numpy().reshape(-1) for p in net.parameters()])
        wanted, found = lm.certify(problem, theta), lm.certify(net, samples, labels)
        assert found.verdict is wanted.verdict
        for name in ("margin", "stationarity", "bound", "gap", "nearest_kink", "degree"):
            assert getattr(found, name) == getattr(wanted, name)
        np.testing.assert_array_equal(found.multipliers, wanted.multipliers)


def test_curves_of_a_module_are_those_of_the_problem(torch):
    net = xor(torch)
    with torch.no_grad():
        net[0].weight[0, 0] += 1e-3
    theta = np.concatenate([p.detach().numpy().reshape(-1) for p in net.parameters()])
    wanted = curves(problem(), theta)
    found = curves(net, XOR_X, y=XOR_Y)
    assert found.verdict is wanted.verdict and len(found.tau_curve) == 11
    for ours, theirs in zip(found.tau_curve, wanted.tau_curve, strict=True):
        assert ours.count == theirs.count and ours.residual == pytest.approx(theirs.residual)
    with pytest.raises(ParameterError, match="samples and labels"):
        curves(net, XOR_X)
    with pytest.raises(ParameterError, match="taus"):
        curves(net, XOR_X, (), y=XOR_Y)


@pytest.mark.parametrize("gap", [0.0, 2e-3])
def test_curves_at_a_kink_are_those_of_the_generalised_gradients(torch, gap):
    # Units at right angles to a sample: slope 0 there has an ε of 1/2, the right slopes none.
    X = XOR_X.copy()
    X[0] *= 1.0 + gap
    net = xor(torch)
    with torch.no_grad():
        for one in net.parameters():
            one *= 3.0
    theta = np.concatenate([p.detach().numpy().reshape(-1) for p in net.parameters()])
    stated = lm.HardMargin(lm.Network((4,), lm.ReLU()), lm.Dataset(X, XOR_Y))
    for found in (curves(stated, theta), curves(net, X, y=XOR_Y)):
        for point in found.tau_curve:
            all_four = point.tau >= gap
            assert point.count == (4 if all_four else 3)
            # Without the first sample its unit is out of reach: a quarter of ‖θ‖².
            assert point.residual == pytest.approx(0.0 if all_four else 0.5, abs=1e-12)
        best, last = found.trade_off[0], found.trade_off[-1]
        # Each sample gives a quarter of θ̂, the first by a gradient that is longer by the gap.
        assert best.residual < 1e-12
        assert best.complementarity == pytest.approx(gap / (1.0 + gap) / 4.0, abs=1e-15)
        assert last.residual == pytest.approx(0.5 if gap else 0.0, abs=0.05)
        assert last.complementarity <= best.complementarity


def test_curves_stay_away_where_slopes_cannot_be_chosen(torch):
    class Masked(torch.nn.Module):
        def forward(self, z):
            return z * (z.detach() > 0.0)

    plain = xor(torch)
    net = torch.nn.Sequential(plain[0], Masked(), plain[2])
    found = curves(net, XOR_X, y=XOR_Y)
    assert found.verdict is Verdict.UNDECIDED
    assert found.tau_curve is None and found.trade_off is None


# -- receipts --------------------------------------------------------------------------------------


@pytest.fixture
def written(torch) -> Receipt:
    net = xor(torch)
    return module_receipt(net, XOR_X, XOR_Y, lm.certify(net, XOR_X, XOR_Y))


def again(content: dict[str, Any]) -> Verdict:
    return verify_receipt(Receipt.from_bytes(canonical(content))).verdict


def test_a_receipt_of_a_module_is_checked_in_full(written, tmp_path):
    write_receipt(written, tmp_path / "receipt.json")
    found = verify_file(tmp_path / "receipt.json")
    assert found.verdict is Verdict.GLOBAL
    assert found.facts.certificate.margin == pytest.approx(1 / (4 * math.sqrt(2.0)), rel=1e-12)
    names = [entry[0] for entry in written.content["state"]["tensors"]]
    assert names == ["0.weight", "2.weight"]
    assert written.content["state"]["framework"].startswith("torch ")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [found for key in value for found in leaves(value[key], (*path, key))]
    if isinstance(value, list) and value:
        return [found for n, one in enumerate(value) for found in leaves(one, (*path, n))]
    return [path]


def changed(value: Any, draw: random.Random) -> Any:
    if value is None or isinstance(value, bool):
        return 0.5 if value is None else not value
    if isinstance(value, int):
        return value + draw.choice([-1, 1])
    if isinstance(value, float):
        return draw.choice([float(np.nextafter(value, np.inf)), value * 1.001 + 1e-9])
    if isinstance(value, str):
        place = draw.randrange(len(value))
        return value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :]
    return [0]


def test_every_changed_field_is_rejected(written):
    draw, content = random.Random(0), dict(written.content)
    for path in leaves(content):
        copied = copy.deepcopy(content)
        place = copied
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = changed(place[path[-1]], draw)
        with pytest.raises(ReceiptError):
            again(copied)
            pytest.fail(f"accepted with another {path}")
    assert again(content) is Verdict.GLOBAL


def rehashed(content: dict[str, Any]) -> dict[str, Any]:
    del content["digest"]
    return {**content, "digest": digest(content)}


def test_another_tensor_is_named_even_where_the_digest_is_made_anew(written):
    content = copy.deepcopy(dict(written.content))
    content["state"]["tensors"][1][2] = "0" * 64
    with pytest.raises(RejectedReceiptError, match=r"'2\.weight'") as caught:
        again(rehashed(content))
    assert caught.value.field == "state.tensors"
    content = copy.deepcopy(dict(written.content))
    content["state"]["tensors"].pop()
    with pytest.raises(ReceiptError, match="hold 8 numbers, θ 12"):
        again(rehashed(content))
    content = copy.deepcopy(dict(written.content))
    content["state"]["tensors"][0] = ["0.weight", [4, "2"], "0" * 64]
    with pytest.raises(ReceiptError, match="needs"):
        again(rehashed(content))


def test_what_cannot_be_checked_without_torch_gets_no_receipt(torch):
    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = xor(torch)

        def forward(self, x):
            return self.inner(x)

    found = lm.certify(Own(), XOR_X, XOR_Y)
    assert found.verdict is Verdict.CLARKE_KKT
    with pytest.raises(UnsupportedError, match=r"checked without torch.* is a Own"):
        module_receipt(Own(), XOR_X, XOR_Y, found)


def test_a_certificate_of_other_weights_is_not_what_the_receipt_says(torch):
    net = xor(torch)
    found = lm.certify(net, XOR_X, XOR_Y)
    with torch.no_grad():
        net[0].weight[0, 0] += 1e-3
    assert module_receipt(net, XOR_X, XOR_Y, found).verdict is not Verdict.GLOBAL


# -- weights from files ----------------------------------------------------------------------------


def problem(**options) -> lm.HardMargin:
    network = lm.Network((4,), lm.ReLU(), **options)
    return lm.HardMargin(network, lm.Dataset(XOR_X, XOR_Y))


def saved(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("last", [XOR_A, XOR_A[0]], ids=["row", "flat"])
@pytest.mark.parametrize("names", [("0.weight", "2.weight"), ("fc2.weight", "fc10.weight"),
                                   ("block_0", "block_1")])  # fmt: skip
def test_state_dicts_are_mapped_onto_blocks(tmp_path, names, last):
    path = saved(tmp_path / "net.npz", **{names[1]: last, names[0]: XOR_W.astype(np.float32)})
    first, second = network_weights(problem(), path)
    np.testing.assert_array_equal(first, XOR_W.astype(np.float32).astype(float))
    np.testing.assert_array_equal(second, XOR_A[0])


BAD = [
    ("bias", {"0.weight": XOR_W, "0.bias": XOR_A[0], "2.weight": XOR_A}, UnknownNameError, "bias"),
    ("typo", {"0.weight": XOR_W, "2.weigth": XOR_A}, UnknownNameError, r"2\.weigth"),
    ("missing", {"0.weight": XOR_W}, UnknownNameError, "holds 1 weights.*has 2 layers"),
    ("more", {f"{k}.weight": XOR_W for k in range(3)}, UnknownNameError, "holds 3 weights"),
    ("swapped", {"0.weight": XOR_A, "2.weight": XOR_W}, ShapeError, r"\(1, 4\).*needs \(4, 2\)"),
    ("turned", {"0.weight": XOR_W.T, "2.weight": XOR_A}, ShapeError, r"\(2, 4\)"),
    ("nan", {"0.weight": XOR_W * np.nan, "2.weight": XOR_A}, DataError, "NaN"),
    ("complex", {"0.weight": XOR_W * 1j, "2.weight": XOR_A}, DataError, "complex"),
]


@pytest.mark.parametrize(
    ("arrays", "error", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_wrong_state_dicts_are_named(tmp_path, arrays, error, message):
    with pytest.raises(error, match=message):
        network_weights(problem(), saved(tmp_path / "net.npz", **arrays))


def test_weights_fit_networks_only(tmp_path):
    path = saved(tmp_path / "net.npz", block_0=np.ones(2))
    linear = lm.HardMargin(lm.DiagonalNetwork(2), lm.Dataset(XOR_X[:2], XOR_Y[[0, 2]]))
    with pytest.raises(UnsupportedError, match="DiagonalNetwork"):
        network_weights(linear, path)


def test_pickles_are_refused_unread(tmp_path):
    import pickle

    for name, content in (
        ("net.pt", b"anything"),
        ("net.pth", b"anything"),
        ("net.npz", pickle.dumps({"0.weight": 1})),
        ("net", pickle.dumps([1])),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match="is a pickle"):
            read_state(path)


def test_what_torch_saves_is_refused_under_another_name(torch, tmp_path):
    path = tmp_path / "net.npz"
    torch.save(xor(torch), path)
    with pytest.raises(DataError, match="is a pickle"):
        read_state(path)


def test_safetensors_are_read_without_torch(tmp_path):
    save = pytest.importorskip(
        "safetensors.numpy", reason="safetensors is not installed: an optional extra"
    )
    path = tmp_path / "net.safetensors"
    save.save_file({"0.weight": XOR_W, "2.weight": XOR_A}, path)
    np.testing.assert_array_equal(network_weights(problem(), path)[0], XOR_W)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="not a safetensors file"):
        read_state(path)


def run(words: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return int(caught.value.code or 0)


def test_command_line(tmp_path, capsys):
    toml = tmp_path / "xor.toml"
    toml.write_text(PROBLEM)
    good = saved(tmp_path / "net.npz", **{"0.weight": XOR_W, "2.weight": XOR_A})
    receipt = tmp_path / "receipt.json"
    words = ["certify", str(toml), "--weights", str(good), "--receipt", str(receipt), "--json"]
    assert run(words) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "GLOBAL"
    assert run(["verify", str(receipt)]) == 0
    turned = saved(tmp_path / "turned.npz", **{"0.weight": XOR_W + 1e-3, "2.weight": XOR_A})
    assert run(["certify", str(toml), "--weights", str(turned)]) == 1
    capsys.readouterr()
    (tmp_path / "net.pt").write_bytes(b"anything")
    for extra, said in (
        (["--weights", str(tmp_path / "net.pt")], "error (data)"),
        (["--weights", str(saved(tmp_path / "b.npz", a=XOR_W))], "error (unknown-name)"),
        (["--weights", str(saved(tmp_path / "c.npz", **{"0.weight": XOR_A, "2.weight": XOR_A}))],
         "error (shape)"),
        (["--weights", str(good), "--theta", str(good)], "error (parameter)"),
        (["--weights", str(tmp_path / "none.npz")], "error (data)"),
    ):  # fmt: skip
        assert run(["certify", str(toml), *extra]) == 2
        assert said in capsys.readouterr().err
