"""A torch network while it is trained: how near is it to a stationary direction of the margin?

Two-layer networks without biases, 32 units, digits 3 against 8, full batch, loss-normalised steps
`θ ← θ - η_t ∇L/L` (eq. 4) on the exponential loss. At every log-loss listed, ε and δ are measured
with the best multipliers and with those gradient descent carries itself, `λ_n ∝ e^{-f_n}`. For
power 1 the iterates hop across kinks of the loss, where the carried multipliers are off for a step.

Needs torch. Writes ``out/train_digits.{png,svg,json}``.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import lexmargin as lm
from lexmargin.judge import TrainedMargins
from lexmargin.plots import BLUE, GREY, VERMILION, save, style

LEVELS = (-1.0, -2.0, -5.0, -10.0, -15.0, -25.0, -35.0, -50.0)
WIDTH = 32
STEPS = 20_000
SUFFICIENT = 0.7
# Every sample up to 1.9 γ may carry weight: δ says how far from the margin it does.
SUPPORT = 0.9


def network(power: int, features: int) -> Any:
    """Return `a·relu(W x)^power` with small random weights."""
    import torch

    class Power(torch.nn.Module):
        def forward(self, z: Any) -> Any:
            return z**power

    torch.manual_seed(0)
    layers = [
        torch.nn.Linear(features, WIDTH, bias=False, dtype=torch.float64),
        torch.nn.ReLU(),
        *([Power()] if power > 1 else []),
        torch.nn.Linear(WIDTH, 1, bias=False, dtype=torch.float64),
    ]
    return torch.nn.Sequential(*layers)


def descend(net: Any, X: Any, y: Any) -> Any:
    """Yield ``(step, log L)`` after every loss-normalised step, down to the last level.

    For degree α the gradient of log L grows as ‖θ‖^{α-1}, so that no fixed η serves: η_t follows
    Armijo's rule, with a share of the slope above ½ so that steps do not zigzag.
    """
    import torch

    parameters = list(net.parameters())

    def log_loss() -> Any:
        return torch.logsumexp(-y * net(X)[:, 0], dim=0)

    eta, value = 1e-3, log_loss()
    gradient = torch.autograd.grad(value, parameters)
    for step in range(1, STEPS + 1):
        before = [p.detach().clone() for p in parameters]
        slope = sum(float((g * g).sum()) for g in gradient)
        while True:
            with torch.no_grad():
                for p, b, g in zip(parameters, before, gradient, strict=True):
                    p.copy_(b - eta * g)
            trial = log_loss()
            if trial.item() <= value.item() - SUFFICIENT * eta * slope:
                break
            eta *= 0.5
        value, gradient = trial, torch.autograd.grad(trial, parameters)
        eta *= 1.05
        yield step, value.item()
        if value.item() <= LEVELS[-1]:
            return


def measured(net: Any, X: Any, y: Any, step: int, log_loss: float) -> dict[str, Any]:
    """Certify the network as it is, and measure the multipliers it carries."""
    margins: TrainedMargins = lm.trained_margins(net, X, y)
    carried = margins.carried()
    limits = lm.Tolerances(support=SUPPORT)
    found = lm.certify(net, X, y, tolerances=limits)
    return {
        "step": step,
        "log_loss": log_loss,
        "verdict": found.verdict.value,
        "margin": found.margin,
        "best": [found.stationarity, found.complementarity],
        # θ̂·Jᵀλ = α Σ λ_n f_n turns the share of Σ λ_n f_n into δ.
        "carried": [carried.residual, carried.complementarity * math.cos(carried.angle)],
        "at_least": found.stationarity_bound,
        "support": int(np.count_nonzero(found.multipliers)),
        "nearest_kink": found.nearest_kink,
        "degree": found.degree,
    }


def train(power: int, data: lm.Dataset) -> list[dict[str, Any]]:
    """Train one network and return what was measured at every level."""
    import torch

    net = network(power, data.n_features)
    X, y = torch.as_tensor(data.X.copy()), torch.as_tensor(data.y.copy()).to(torch.float64)
    found: list[dict[str, Any]] = []
    ahead = list(LEVELS)
    began = time.monotonic()
    for step, log_loss in descend(net, X, y):
        if ahead and log_loss <= ahead[0]:
            ahead.pop(0)
            found.append(measured(net, data.X, data.y, step, log_loss))
            one = found[-1]
            print(
                f"relu^{power} {step:>6} {log_loss:>9.2f} {one['margin']:>11.5g}"
                f" {one['best'][0]:>10.3e} {one['best'][1]:>9.2e}"
                f" {one['carried'][0]:>10.3e} {one['carried'][1]:>9.2e}"
                f" {one['support']:>5} {one['nearest_kink']:>9.1e}  {one['verdict']}",
                flush=True,
            )
    print(f"relu^{power} ended at log L = {log_loss:.2f} after {time.monotonic() - began:.1f} s")
    return found


def figure(runs: dict[str, list[dict[str, Any]]]) -> Any:
    """Draw ε and δ against the log-loss, for both kinds of multipliers."""
    with style() as plt:
        drawn, axes = plt.subplots(
            1, len(runs), figsize=(7.2, 3.4), sharey=True, layout="constrained"
        )
        for panel, (name, run) in zip(axes, runs.items(), strict=True):
            nats = [-one["log_loss"] for one in run]
            for key, colour in (("best", BLUE), ("carried", VERMILION)):
                for index, (symbol, line) in enumerate((("ε", "o-"), ("δ", "s:"))):
                    values = [one[key][index] for one in run]
                    panel.plot(nats, values, line, color=colour, ms=4, label=f"{symbol}, {key} λ")
            kinks = [one for one in run if one["verdict"] == "UNDECIDED"]
            panel.plot(
                [-one["log_loss"] for one in kinks],
                [one["best"][0] for one in kinks],
                "o",
                color="white",
                mec=GREY,
                ms=7,
                zorder=0,
                label="on a kink: undecided" if kinks else None,
            )
            panel.set_xscale("log")
            panel.set_yscale("log")
            panel.set_title(name)
            panel.set_xlabel("-log L (nats)")
        axes[0].set_ylabel("ε, δ")
        axes[0].legend(frameon=False, loc="lower left")
        return drawn


def main() -> int:
    """Train both networks; return 0 where each reached -50 nats with a smaller ε than at first."""
    try:
        import torch
    except ModuleNotFoundError:
        print("This example needs torch: pip install 'lexmargin[torch]'.", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    raw = lm.load_dataset("digits", positive=3, negative=8)
    data = lm.Dataset(raw.X / 16.0, raw.y, "digits 3 against 8")
    print(f"{data}\n")
    print(
        f"{'':6} {'step':>6} {'log L':>9} {'margin':>11} {'ε best':>10} {'δ best':>9}"
        f" {'ε carried':>10} {'δ carried':>9} {'λ > 0':>5} {'kink':>9}  verdict"
    )
    runs = {f"relu^{power}": train(power, data) for power in (1, 2)}
    out = Path("out")
    out.mkdir(exist_ok=True)
    content = {"data": data.fingerprint, "width": WIDTH, "support": SUPPORT, "runs": runs}
    (out / "train_digits.json").write_text(
        json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )
    titles = {
        f"a·relu(Wx){'²' if k == 'relu^2' else ''}, digits 3 vs 8": r for k, r in runs.items()
    }
    written = save(figure(titles), out, "train_digits")
    print(f"\nwrote {', '.join(map(str, written))}, {out / 'train_digits.json'}")
    reached = [
        min((one["best"][0] for one in run if one["log_loss"] <= -50.0), default=math.inf)
        < run[0]["best"][0]
        for run in runs.values()
    ]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
