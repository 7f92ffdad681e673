import pytest
import torch

from metaskl.backbones import MLP
from metaskl.learners.products import row_product
from metaskl.learners.protonet import ProtoNet

ROWS = torch.randn(4096, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n_columns", [1, 2, 3, 8])
def test_a_row_is_rounded_alike_whatever_the_number_of_rows(n_columns):
    matrix = torch.randn(1, 6, n_columns, generator=torch.Generator().manual_seed(1))
    whole = row_product(ROWS[None], matrix)
    torch.testing.assert_close(whole, ROWS @ matrix)
    blocks = torch.cat([row_product(block[None], matrix) for block in ROWS.split(32)], dim=1)
    assert torch.equal(blocks, whole)


def test_predictions_of_a_few_prototypes_do_not_depend_on_the_number_of_rows():
    learner = ProtoNet(MLP(()).build((6,)), 2, private_labels=True)
    adapted = learner.adapt(ROWS[:2], torch.eye(2))
    blocks = torch.cat([learner.predict(adapted, block) for block in ROWS.split(32)])
    assert torch.equal(blocks, learner.predict(adapted, ROWS))
