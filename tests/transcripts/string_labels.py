"""Labels in words, from a CSV file and from a frame.

Pages: guides/sklearn.
"""

from pathlib import Path

import pandas as pd

import lexmargin as lm

Path("flowers.csv").write_text(
    "length,width,kind\n1.4,0.2,setosa\n1.3,0.3,setosa\n4.7,1.4,versicolor\n4.5,1.5,versicolor\n"
)
read = lm.load_csv("flowers.csv", label="kind")
print("file ", read.classes, read.y)

frame = pd.read_csv("flowers.csv")
features = frame[["length", "width"]]
data = lm.Dataset(features, frame["kind"])
print("frame", data.classes, data.y, (data.X == read.X).all())
print(lm.separability(data, bias=True).kind)

model = lm.MarginClassifier(formulation="w-set").fit(features, frame["kind"])
print(model.solution_.certificate.verdict, list(model.feature_names_in_), list(model.classes_))
new = pd.DataFrame({"length": [1.5, 5.0], "width": [0.1, 1.9]})
print(list(model.predict(new)))

try:
    lm.Dataset(frame, frame["kind"])
except ValueError as error:
    print(error)
