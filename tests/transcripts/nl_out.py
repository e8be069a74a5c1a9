"""A problem as an .nl file, solved elsewhere, certified here.

Pages: guides/engineer, choose, certify.

Elsewhere is CasADi's reader of such files and its Ipopt, called without this toolkit: no program
that reads .nl by itself comes with a plain install.
"""

from pathlib import Path

import casadi
import numpy as np

import lexmargin as lm

data = lm.Dataset([[1.0, 0.6], [0.6, 1.0]], [1, 1], one_class=True)
problem = lm.MarginPath(lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)]), data, rho=2.0)
print(problem.program())
problem.program().to_nl("path.nl")
names = Path("path.col").read_text().split()
print(names)

reader = casadi.NlpBuilder()
reader.import_nl("path.nl")
ipopt = casadi.nlpsol(
    "ipopt", "ipopt", reader, {"ipopt.sb": "yes", "ipopt.print_level": 0, "print_time": False}
)
found = ipopt(x0=1.0, lbx=reader.x_lb, ubx=reader.x_ub, lbg=reader.g_lb, ubg=reader.g_ub)

value = dict(zip(names, np.array(found["x"]).ravel(), strict=True))
w = np.array([value[f"w{block}[{i}]"] for block in (1, 2, 3) for i in range(2)])
certificate = lm.certify(problem, w / 2.0)  # w = ρθ
print(certificate.certified, f"its t is the margin: {certificate.margin / value['t[0]']:.6f}")
in_the_order_of_the_file = np.array(found["x"]).ravel()[:6]
print("without the names:", lm.certify(problem, in_the_order_of_the_file / 2.0).certified)
