"""scikit-learn estimators: networks with `fit` and `predict`, for pipelines, searches and cross-validation.

They have the parameters and attributes of scikit-learn's MLPClassifier and MLPRegressor; docs/sklearn.md says
where they differ. `import bpcore` does not load this module. ImportError without
scikit-learn (the extra ``sklearn``).
"""

try:
    import sklearn as _sklearn  # noqa: F401 - only to say what is missing
except ImportError:
    raise ImportError("bpcore.sklearn needs scikit-learn: pip install scikit-learn") from None

from bpcore.sklearn.classifier import BackpropClassifier
from bpcore.sklearn.regressor import BackpropRegressor

__all__ = ["BackpropClassifier", "BackpropRegressor"]
