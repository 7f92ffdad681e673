import pytest

from metaskl.testing import LearnerLaws, registered_learners

# What each learner is built with, so that a law is quick, and its variants.
VARIANTS = {
    "adkf_ift": {"": {}, "rbf kernel": {"kernel": "rbf"}, "cosine kernel": {"kernel": "cosine"}},
    "attentive_cnp": {"": {"hidden_size": 8}},
    "cnp": {"": {"hidden_size": 8}},
    "dkt": {
        "": {},
        "marginal likelihood": {"objective": "marginal"},
        "matern kernel, constant mean": {"kernel": "matern", "mean": "constant"},
        "linear kernel, zero mean": {"kernel": "linear", "mean": "zero"},
        "cosine kernel": {"kernel": "cosine"},
        "tanimoto kernel": {"kernel": "tanimoto"},
    },
    "linear_probe": {"": {}, "new head": {"new_head": True}},
    "lora": {"": {"adaptation_steps": 4}},
    "cavia": {
        "": {"adaptation_steps": 2},
        "first order": {"adaptation_steps": 2, "first_order": True},
    },
    "imaml": {
        "": {"adaptation_steps": 5, "cg_steps": 3},
        "a head of zeros": {"adaptation_steps": 5, "cg_steps": 3, "zero_head": True},
    },
    "maml": {
        "": {"adaptation_steps": 2},
        "first order": {"adaptation_steps": 2, "first_order": True},
        "head only": {"adaptation_steps": 2, "adapt_part": "head"},
        "body only": {"adaptation_steps": 2, "adapt_part": "body"},
        "fixed rate": {"adaptation_steps": 2, "inner_lr_mode": "fixed", "inner_clip": None},
        "rate a parameter": {"adaptation_steps": 2, "inner_lr_mode": "per_parameter"},
        "a head of zeros": {"adaptation_steps": 2, "zero_head": True},
        "zeros, rate a parameter": {"inner_lr_mode": "per_parameter", "zero_head": True},
        "zeros, one step": {"adaptation_steps": 1, "test_adaptation_steps": 3, "zero_head": True},
        "multi-step loss": {"adaptation_steps": 2, "multi_step_loss": True},
        "more steps on new tasks": {"adaptation_steps": 1, "test_adaptation_steps": 3},
    },
    "reptile": {
        "": {"adaptation_steps": 3, "batch_size": 4},
        "a head of zeros": {"adaptation_steps": 3, "batch_size": 4, "zero_head": True},
    },
    "in_context": {"": {"width": 8, "n_layers": 2, "n_heads": 2}},
    "matching": {
        "": {},
        "cosine": {"distance": "cosine"},
        "Euclidean": {"distance": "euclidean"},
        "squared error": {"likelihood": False},
    },
    "protonet": {"": {}, "Mahalanobis": {"distance": "mahalanobis"}},
    "relation": {"": {"relation_size": 8}},
    "ridge_head": {"": {}, "squared error": {"likelihood": False}},
    "transfer": {
        "": {"adaptation_steps": 4},
        "new head": {"adaptation_steps": 4, "strategy": "freeze"},
        "whole network": {"adaptation_steps": 4, "strategy": "all"},
        "gradual": {"adaptation_steps": 4, "strategy": "gradual"},
        "scheduled": {
            "adaptation_steps": 4,
            "strategy": "gradual",
            "unfreeze_every": 1,
            "layer_decay": 2.6,
        },
        "body left": {"adaptation_steps": 4, "train_body": False},
    },
}
LEARNERS = registered_learners()  # once: it reads the metadata of every installed package
CASES = [(name, variant) for name in LEARNERS for variant in VARIANTS.get(name, {"": {}})]


@pytest.mark.parametrize(
    ("learner_name", "variant"), CASES, ids=[f"{name} {variant}".strip() for name, variant in CASES]
)
class TestRegisteredLearners(LearnerLaws):
    @pytest.fixture
    def learner_class(self, learner_name):
        return LEARNERS[learner_name]

    @pytest.fixture
    def learner_arguments(self, learner_name, variant):
        return VARIANTS.get(learner_name, {"": {}})[variant]

    @pytest.fixture
    def without_gradient(self, learner_name):
        # A norm of single channels takes this bias out again: its gradient is 0, which rounding
        # hides elsewhere, while θ − φ is 0 exactly.
        return frozenset({"network.body.blocks.0.0.bias"} if learner_name == "reptile" else ())

    def test_samples_of_the_search_space_can_be_fitted(self, trials, variant):
        if not variant:  # the space is the class's, whatever the variant
            super().test_samples_of_the_search_space_can_be_fitted(trials)
