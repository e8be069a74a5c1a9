"""Solutions of scikit-learn's SVC and LogisticRegression, certified as they are.

Pages: guides/sklearn.
"""

import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

import lexmargin as lm

X, kinds = load_iris(return_X_y=True)
labels = np.where(kinds == 0, "setosa", "other")

svm = SVC(kernel="linear", C=1e8, tol=1e-9).fit(X, labels)
widest = lm.certify_linear(X, labels, svm.coef_[0], svm.intercept_[0])
print("SVC:", widest.verdict)
soft = SVC(kernel="linear", C=1e-2, tol=1e-9).fit(X, labels)
print("a soft one:", lm.certify_linear(X, labels, soft.coef_[0], soft.intercept_[0]).verdict)

logistic = LogisticRegression(C=10.0, fit_intercept=False, solver="newton-cholesky", tol=1e-12)
logistic.fit(X, labels)
print("LogisticRegression:", lm.certify_linear(X, labels, logistic.coef_[0], 0.0).verdict)
data = lm.Dataset(X, labels)
asked = lm.RegularizationPath(lm.Linear(), data, loss="logistic", strength=1 / (2 * 10.0))
print("by what it minimises:", lm.certify(asked, logistic.coef_[0]).verdict)
other = lm.RegularizationPath(lm.Linear(), data, loss="logistic", strength=1 / 10.0)
print("by another penalty:", lm.certify(other, logistic.coef_[0]).verdict)
