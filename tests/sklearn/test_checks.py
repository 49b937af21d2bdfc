"""scikit-learn's own checks of estimators: all of them, none expected to fail.

Those that are skipped, scikit-learn skips itself: of `decision_function`, which a network with probabilities
has none of (nor has MLPClassifier), and of array API inputs, unless SCIPY_ARRAY_API=1 is set before scipy is
loaded. With it they pass, too.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.utils.estimator_checks import parametrize_with_checks

from bpcore.sklearn import BackpropClassifier, BackpropRegressor

CHECKS = parametrize_with_checks(
    [
        BackpropClassifier(),
        BackpropClassifier(solver="sgd"),
        BackpropRegressor(),
        BackpropRegressor(solver="lbfgs"),
    ]
).mark


# Older scikit-learns give pytest a generator, which it warns of.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_an_estimator_is_as_scikit_learn_wants_it(estimator: Any, check: Any) -> None:
    check(estimator)
