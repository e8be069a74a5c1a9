"""Margins and multipliers of an answer, and the points of a path, as frames.

Pages: guides/researcher, choose, quickstart.
"""

import lexmargin as lm

# θ̂ = (0.8, 0.6) = λ₁ (3, 0) + λ₂ (0, 4): λ = (4/15, 3/20, 0), and the third margin is 7.
data = lm.Dataset([[3, 0], [0, 4], [5, 5]], [1, 1, 1], one_class=True)
solution = lm.solve(lm.HardMargin(lm.Linear(), data))
frame = solution.to_frame()
print(frame.round(6).to_string())
print("held by", list(frame.index[frame["support"]]))

# The margin of this path is ρ/3 - ln(2)/3 at every ρ.
two = lm.Dataset([[1, 0], [0, 0.5]], [1, 1], one_class=True)
path = lm.trace(lm.ConstrainedPath(lm.Linear(), two, norm=1), [1, 10, 100])
print(path.to_frame()[["rho", "margin", "verdict"]].round(5).to_string(index=False))
