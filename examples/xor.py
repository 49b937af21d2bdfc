"""The smallest complete program: a network learns exclusive or."""

import bpcore as bp
from bpcore import nn, optim

x = [[0, 0], [0, 1], [1, 0], [1, 1]]
y = [0, 1, 1, 0]
model = nn.Sequential(nn.Dense(8, activation="tanh"), nn.Dense(1))
trainer = bp.Trainer(model, loss="binary_cross_entropy", optimizer=optim.Adam(0.05), metrics=["accuracy"])
trainer.fit(x, y, epochs=300, batch_size=4)
print(bp.ops.sigmoid(trainer.predict(x)).round(3).ravel(), "should be", y)
