"""A problem, an answer, a path and a comparison are kept and read again.

Pages: quickstart, extend/problem, certify, guides/engineer, guides/researcher.
"""

import lexmargin as lm

data = lm.load_dataset("iris", positive=0, standardize=True)
problem = lm.HardMargin(lm.Linear(), data)
lm.save(problem, "iris.toml", title="Iris", source="scikit-learn")
print("problem:", lm.load("iris.toml") == problem)

solution = lm.solve(problem)
solution.save("answer.json")
again = lm.Solution.load("answer.json")
print("answer:", again.word)
try:
    print(again.certificate)
except lm.UnjudgedError as error:
    print(error.code)
print(lm.certify(problem, again).verdict, (again.direction == solution.direction).all())

stated = lm.ConstrainedPath(lm.Linear(), data)
path = lm.trace(stated, [1, 10])
path.save("path.json")
read = lm.TracedPath.load("path.json", stated)
print("path:", len(read.points), "points,", read.certified)

table = lm.compare([problem], ["clarabel"])
table.save("table.json")
print("comparison:", lm.Table.load("table.json").rows == table.rows)
