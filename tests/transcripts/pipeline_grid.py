"""A pipeline, and a grid over rho and norm.

Pages: guides/sklearn.
"""

from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lexmargin as lm

X, kinds = load_wine(return_X_y=True, as_frame=True)
labels = kinds.map({0: "first", 1: "other", 2: "other"})
grid = GridSearchCV(
    make_pipeline(StandardScaler(), lm.MarginClassifier()),
    {"marginclassifier__rho": [1.0, 10.0], "marginclassifier__norm": [1, 2]},
    cv=3,
)
grid.fit(X, labels)
print(len(grid.cv_results_["params"]), "settings,", "best above 0.9:", grid.best_score_ > 0.9)
fitted = grid.best_estimator_[-1]
print(fitted.certificate_.verdict, fitted.coef_.shape, fitted.intercept_.shape)
print("as chosen:", fitted.rho == grid.best_params_["marginclassifier__rho"])
print(sorted(set(grid.predict(X))))
