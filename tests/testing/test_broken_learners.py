import inspect

import numpy as np
import pytest
import torch
from torch import nn

from metaskl.learners import MetaLearner
from metaskl.learners.space import Choice
from metaskl.testing import LearnerLaws, check_learner, laws_of, trials_of

HOARD = []


class Good(MetaLearner):
    """Ridge regression on the features, of each task by itself.

    Parameters
    ----------
    backbone, n_outputs, kind, private_labels, n_pool_classes
        As always.
    """

    def __init__(
        self, backbone, n_outputs, *, kind="regression", private_labels=False, n_pool_classes=0
    ):
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        self.backbone = backbone
        self.log_ridge = nn.Parameter(torch.zeros(()))

    def adapt(self, X_support, y_support, weight=None):
        features = self.features(X_support)
        if weight is not None:
            features, y_support = features * weight[:, None], y_support * weight[:, None]
        eye = torch.eye(features.shape[1], dtype=features.dtype, device=features.device)
        gram = features.mT @ features + self.log_ridge.exp() * eye
        return {"weight": torch.linalg.solve(gram, features.mT @ y_support)}

    def predict(self, adapted, X_query):
        return self.features(X_query) @ adapted["weight"]

    def features(self, X):
        return self.backbone(X)


class KeepsWhatItAdapted(Good):
    def adapt(self, X_support, y_support, weight=None):
        self.last = super().adapt(X_support, y_support, weight)
        return self.last


class ChangesItsBuffer(Good):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_buffer("n_calls", torch.zeros(()))

    def predict(self, adapted, X_query):
        self.n_calls += 1
        return super().predict(adapted, X_query)


class ReturnsATuple(Good):
    def adapt(self, X_support, y_support, weight=None):
        return {"weight": (super().adapt(X_support, y_support, weight)["weight"],)}

    def predict(self, adapted, X_query):
        return self.features(X_query) @ adapted["weight"][0]


class HoldsAGraph(Good):
    def adapt(self, X_support, y_support, weight=None):
        with torch.enable_grad():
            return super().adapt(X_support, y_support, weight)


class IgnoresWeights(Good):
    def adapt(self, X_support, y_support, weight=None):
        return super().adapt(X_support, y_support)


class LooksAtTheFirstRow(Good):
    def adapt(self, X_support, y_support, weight=None):
        adapted = super().adapt(X_support, y_support, weight)
        return {"weight": adapted["weight"] + y_support[:1].mean()}


class LooksAtTheFirstRowForNoReason(LooksAtTheFirstRow):
    support_order_matters = "yes"


class CentresTheQuery(Good):
    def predict(self, adapted, X_query):
        output = super().predict(adapted, X_query)
        return output - output.mean(0)


class KnowsSomethingElseBefore(Good):
    def initial(self):
        return {"prior": torch.zeros(())}

    def predict(self, adapted, X_query):
        if "prior" in adapted:
            return X_query.new_zeros(len(X_query), self.n_outputs)
        return super().predict(adapted, X_query)


class Hoards(Good):
    def adapt(self, X_support, y_support, weight=None):
        adapted = super().adapt(X_support, y_support, weight)
        HOARD.append(adapted["weight"])
        return adapted


class MakesTensorsAnywhere(Good):
    def predict(self, adapted, X_query):
        return super().predict(adapted, X_query) + torch.zeros(self.n_outputs, dtype=X_query.dtype)


class CutsTheGradient(Good):
    def features(self, X):
        return super().features(X).detach()


class MapsGradients(Good):
    """One step of MAML by vmap over grad, which is wrong with norm layers."""

    def adapt(self, X_support, y_support, weight=None):
        weight = X_support.new_ones(len(X_support)) if weight is None else weight
        own = dict(self.backbone.named_parameters())

        def loss(parameters):
            output = torch.func.functional_call(self.backbone, parameters, (X_support,))
            error = (output[:, : self.n_outputs] - y_support) ** 2
            return (error.mean(-1) * weight).sum() / weight.sum()

        gradients = torch.func.grad(loss)(own)
        return {name: p - 0.5 * gradients[name] for name, p in own.items()}

    def predict(self, adapted, X_query):
        output = torch.func.functional_call(self.backbone, adapted, (X_query,))
        return output[:, : self.n_outputs]


class Climbs(Good):
    def episode_loss(self, episode):
        loss = super().episode_loss(episode)
        return 2 * loss.detach() - loss


class ValidatesByTask(Good):
    def validation_loss(self, episode):
        return super().validation_loss(episode).expand(3)


class IsRandom(Good):
    def adapt(self, X_support, y_support, weight=None):
        adapted = super().adapt(X_support, y_support, weight)
        return {"weight": adapted["weight"] + 1e-3 * np.random.default_rng().random()}


class DrawsRandomNumbers(Good):
    def predict(self, adapted, X_query):
        return super().predict(adapted, X_query) + 0.0 * torch.rand(()).to(X_query)

    def predict_tasks(self, adapted, X_query):
        each = zip(adapted["weight"], X_query, strict=True)
        return torch.stack([self.predict({"weight": weight}, X) for weight, X in each])


class CannotBePickled(Good):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.activation = lambda X: X

    def features(self, X):
        return self.activation(super().features(X))


class ForgetsInPickle(Good):
    def __getstate__(self):
        return {**self.__dict__, "_parameters": {"log_ridge": nn.Parameter(torch.ones(()))}}


class LosesTheOutputAxis(Good):
    def predict(self, adapted, X_query):
        return super().predict(adapted, X_query).sum(-1)


class ReturnsDoubles(Good):
    def predict(self, adapted, X_query):
        return super().predict(adapted, X_query).double()


class TakesEveryKind(Good):
    kinds = frozenset({"regression"})

    def __init__(self, *args, kind="regression", **kwargs):
        super().__init__(*args, kind="regression", **kwargs)


class HasFixedWays(Good):
    def predict(self, adapted, X_query):
        output = super().predict(adapted, X_query)
        return output if output.shape[-1] == self.n_outputs else output[:, : self.n_outputs]


class SaysNothing(Good):
    """A learner."""


class NamesInPassing(Good):
    """Each task is solved separately.

    Parameters
    ----------
    backbone, n_outputs, kind, private_labels, n_pool_classes
        As always.
    """

    def __init__(self, backbone, n_outputs, *, rate=1.0, **others):
        super().__init__(backbone, n_outputs, **others)

    __init__.__signature__ = inspect.signature(Good.__init__).replace(
        parameters=[
            *inspect.signature(Good.__init__).parameters.values(),
            inspect.Parameter("rate", inspect.Parameter.KEYWORD_ONLY, default=1.0),
        ]
    )


class FavoursTheFirstClass(Good):
    def predict(self, adapted, X_query):
        output = super().predict(adapted, X_query)
        return output + 0.1 * torch.eye(output.shape[-1])[0].to(output)


class IsLoose(Good):
    """A learner of args and kwargs."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class SearchesWhatItLacks(Good):
    @classmethod
    def search_space(cls):
        return {"depth": Choice((1, 2))}


class SearchesTooFar(Good):
    def __init__(self, *args, scale=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = scale

    def task_loss(self, output, y, weight):
        return super().task_loss(output, y, weight) * self.scale

    @classmethod
    def search_space(cls):
        return {"scale": Choice((1.0, float("inf")))}


# Which law catches whom, and with what words.
OFFENDERS = {
    "adapting_leaves_the_learner_as_it_was": {
        KeepsWhatItAdapted: r"regression: adapt or predict changed \['.last'\]",
        ChangesItsBuffer: r"regression: adapt or predict changed \['.n_calls'\]",
    },
    "what_is_adapted_is_a_flat_dict_of_tensors": {
        ReturnsATuple: "regression: adapt returned .*tuple",
        HoldsAGraph: r"adapted \['weight'\] hold a graph under no_grad",
    },
    "a_stack_of_tasks_equals_its_tasks_one_by_one": {IgnoresWeights: "task 0 of the stack"},
    "the_order_of_the_support_does_not_matter": {
        LooksAtTheFirstRow: "regression, support in another order",
        LooksAtTheFirstRowForNoReason: "support_order_matters must say why: 'yes'",
    },
    "a_prediction_does_not_depend_on_the_other_query_rows": {
        CentresTheQuery: "regression, train mode, rows one by one"
    },
    "what_is_known_before_a_support_looks_like_what_is_adapted": {
        KnowsSomethingElseBefore: "regression"
    },
    "hundreds_of_adaptations_keep_nothing": {Hoards: "tensors alive after 5 and 205 adaptations"},
    "the_outer_gradient_reaches_the_parameters": {
        CutsTheGradient: r"does not reach \['backbone.layers.0.bias'"
    },
    "the_meta_gradient_of_a_stack_is_the_mean_of_its_tasks": {
        MapsGradients: "regression with a norm layer, meta-gradient of",
        IgnoresWeights: "regression, meta-gradient of 'log_ridge'",
    },
    "meta_training_lowers_the_outer_loss": {Climbs: "regression: .* rose to"},
    "the_validation_loss_is_a_number": {ValidatesByTask: "regression"},
    "the_same_seed_gives_the_same_result": {
        IsRandom: "regression: the same seed gave another result",
        DrawsRandomNumbers: "regression: draws random numbers",
    },
    "pickle_and_deepcopy_round_trips": {
        CannotBePickled: "Can't pickle",
        ForgetsInPickle: "regression: adapts otherwise",
    },
    "every_way_of_building_works": {
        LosesTheOutputAxis: "regression, 1 support rows",
        ReturnsDoubles: "regression, 1 support rows",
        TakesEveryKind: "DID NOT RAISE",
    },
    "other_numbers_of_private_classes": {HasFixedWays: "private classes, 5 classes"},
    "private_classes_are_what_their_rows_say": {
        FavoursTheFirstClass: "private classes, classes numbered otherwise"
    },
    "hyper_parameters_are_explicit_and_documented": {
        SaysNothing: "the documentation of SaysNothing lacks",
        NamesInPassing: r"the documentation of NamesInPassing lacks \['rate'\]",
        IsLoose: r"must be explicit, got \['args', 'kwargs'\]",
    },
    "samples_of_the_search_space_can_be_fitted": {
        SearchesWhatItLacks: "unexpected keyword argument 'depth'",
        SearchesTooFar: "regression, .*inf}: the outer loss is inf",
    },
    "tensors_are_made_on_the_device_of_the_rows": {
        MakesTensorsAnywhere: "regression: adapt or predict makes a tensor without device=X.device",
    },
}
# It takes a GPU to break this one.
OFFENDERS_ON_A_GPU = {"cpu_and_gpu_agree": MakesTensorsAnywhere}
LAWS = {name.removeprefix("test_"): law for name, law in laws_of(LearnerLaws).items()}


def given(law, learner_class):
    trials = trials_of(learner_class)
    return (trials, frozenset()) if "reaches" in law else (trials,)


@pytest.mark.parametrize(
    ("law", "offender"), [(law, one) for law, some in OFFENDERS.items() for one in some]
)
def test_each_law_catches_its_offenders(law, offender):
    with pytest.raises((Exception, pytest.fail.Exception), match=OFFENDERS[law][offender]):
        LAWS[law](*given(law, offender))
    HOARD.clear()


@pytest.mark.parametrize("law", OFFENDERS)
def test_each_law_lets_a_good_learner_pass(law):
    LAWS[law](*given(law, Good))


def test_every_law_has_an_offender():
    assert set(LAWS) == {*OFFENDERS, *OFFENDERS_ON_A_GPU}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("law", OFFENDERS_ON_A_GPU)
def test_each_law_catches_its_offenders_on_a_gpu(law):
    with pytest.raises(RuntimeError, match="same device"):
        LAWS[law](trials_of(OFFENDERS_ON_A_GPU[law]))
    LAWS[law](trials_of(Good))


def test_a_reason_lets_the_order_matter():
    class Remembers(LooksAtTheFirstRow):
        support_order_matters = "a memory reads the support row by row"

    LAWS["the_order_of_the_support_does_not_matter"](trials_of(Remembers))


def test_parameters_that_no_gradient_reaches_can_be_listed():
    class Idle(Good):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.idle = nn.Parameter(torch.zeros(()))

    law = LAWS["the_outer_gradient_reaches_the_parameters"]
    with pytest.raises(AssertionError, match=r"does not reach \['idle'\]"):
        law(trials_of(Idle), frozenset())
    law(trials_of(Idle), frozenset({"idle"}))


def test_a_parameter_that_serves_one_kind_only_is_told_from_a_graph_that_is_cut():
    class OneKind(Good):
        def predict(self, adapted, X_query):
            output = super().predict(adapted, X_query)
            return output * (1 + self.scale) if self.kind == "regression" else output

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.scale = nn.Parameter(torch.zeros(()))

    class Detached(Good):
        def predict(self, adapted, X_query):
            return super().predict(adapted, X_query).detach()

    law = LAWS["the_outer_gradient_reaches_the_parameters"]
    trials = trials_of(OneKind)
    one_kind = (
        r"^classes: .*\['scale'\]\. It does for 'regression', .*if kind == .*without_gradient"
    )
    with pytest.raises(AssertionError, match=one_kind):
        law(trials, frozenset())
    law(trials, frozenset({"scale"}))
    with pytest.raises(AssertionError, match=r"reaches no parameter\. Look for .*\.detach\(\)"):
        law(trials_of(Detached), frozenset())


def test_one_call_checks_all_laws_and_names_the_broken_one():
    check_learner(Good)
    with pytest.raises(AssertionError, match="the order of the support does not matter: regress"):
        check_learner(LooksAtTheFirstRow)
