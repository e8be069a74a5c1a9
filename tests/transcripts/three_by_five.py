"""Three problems of one's own, an answer of each by five solvers.

Pages: guides/engineer.
"""

import lexmargin as lm

points = lm.Dataset([[3, 0], [0, 4], [-1, -2]], ["in", "in", "out"], name="points")
lm.save(
    lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), points),
    "free-bias.toml",
    title="A bias that costs nothing",
    source="eq. 13",
)
table = lm.compare(
    [
        lm.HardMargin(lm.Linear(), points),
        lm.HardMargin(lm.Sum([lm.Linear(), lm.Bias("plain")]), points),
        "free-bias.toml",
    ],
    ["clarabel", "highs", "daqp", "osqp", "scs"],
    grades="mid",
)
for name in ("points", "points-2", "free-bias.toml"):
    rows = [row for row in table.rows if row.problem == name]
    print(name, *(f"{row.profile} {row.verdict} {row.honesty}" for row in rows), sep="\n  ")
frame = table.to_frame()
print(len(frame), "rows,", frame["verdict"].value_counts().to_dict())
