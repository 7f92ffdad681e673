import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.exceptions import NotFittedError

from metaskl.evaluation.scaling import DenseScaler

DENSE = np.array([[0.0, 2.0], [4.0, 2.0], [8.0, 5.0]])


def test_dense_columns_are_standardised_and_sparse_ones_left():
    np.testing.assert_allclose(DenseScaler().fit_transform(DENSE).mean(0), 0, atol=1e-12)
    sparse = csr_matrix(DENSE)
    np.testing.assert_array_equal(DenseScaler().fit_transform(sparse).toarray(), DENSE)
    assert DenseScaler().__sklearn_tags__().input_tags.sparse


def test_sparse_rows_are_checked_as_dense_ones_are():
    with pytest.raises(NotFittedError):
        DenseScaler().transform(csr_matrix(DENSE))
    scaler = DenseScaler().fit(csr_matrix(DENSE))
    with pytest.raises(ValueError, match="has 1 features, but DenseScaler is expecting 2"):
        scaler.transform(csr_matrix(DENSE[:, :1]))


def test_one_kind_is_not_scaled_by_what_was_fitted_to_the_other():
    scaler = DenseScaler().fit(DENSE)
    with pytest.raises(ValueError, match="X must be dense as in fit, got sparse features"):
        scaler.transform(csr_matrix(DENSE))
    with pytest.raises(ValueError, match="X must be sparse as in fit, got dense features"):
        scaler.fit(csr_matrix(DENSE)).transform(DENSE)  # fitted before, to dense columns
