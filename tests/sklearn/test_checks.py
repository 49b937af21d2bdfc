"""scikit-learn's own checks of estimators."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from bpcore.sklearn import BackpropClassifier, BackpropRegressor


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([BackpropClassifier(), BackpropRegressor()])
def test_checks(estimator, check):
    check(estimator)
