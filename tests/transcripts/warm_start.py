"""A solve that starts from an answer: of the same problem, and of one like it.

Pages: guides/researcher, quickstart.
"""

import lexmargin as lm

data = lm.load_dataset("iris", positive=0, standardize=True)
network = lm.Network([3], lm.ReLU(power=2))
problem = lm.HardMargin(network, data)
first = lm.solve(problem)
print(first.certificate.certified)

# There are better and worse local optima; a solution brings its multipliers, and is stayed at.
again = lm.solve(problem, start=first)
print(again.certificate.certified, f"the same margin: {again.margin / first.margin:.6f}")

# Samples grow by 1.001 and enter squared.
moved = lm.HardMargin(network, lm.Dataset(data.X * 1.001, data.y))
near = lm.solve(moved, start=first)
print(near.certificate.certified, f"ratio {near.margin / first.margin:.6f}")

# What was kept in a file is a start as well, and so is θ, block by block.
first.save("first.json")
print(lm.solve(moved, start=lm.Solution.load("first.json")).certificate.certified)
print(lm.solve(problem, start=first.theta).certificate.certified)
