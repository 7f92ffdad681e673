"""Time of a meta-gradient of second-order MAML: metaskl's engines and others, as ratios.

Protocol. Sinusoids (Finn et al. 2017), an MLP 40-40 with ReLU, 10 support and 10 query points, 25
tasks, plain MAML (fixed inner rate, no clipping). All give the same meta-gradient in float64 first
(rtol 1e-6). Then they run interleaved in float32 on one thread; times are of the CPU, so that other
work on the machine counts little, and a ratio is the median over rounds of the reference's time
over the row's. The reference is learn2learn's form: one task after
the other, a clone of the weights, `torch.autograd.grad` with a graph, one backward. `higher` and
JAX (jit and vmap; set-up not counted) are run where they are installed. Further: adapting 1,000
tasks of 5 to 50 rows, and an iteration of `fit` against a bare meta-step.
"""

import argparse
import statistics
import time
import warnings

import numpy as np
import torch
from torch.nn import functional as F

from metaskl import MAMLRegressor
from metaskl.backbones import MLP
from metaskl.learners.maml import MAML
from metaskl.tasks import Episode, SinusoidTasks, TaskEpisodes
from metaskl.training import TrainingPlan, meta_train

RATE = 0.01


def sampler(n_tasks):
    tasks = SinusoidTasks().sample(1000, 40, random_state=0).task_set()
    return TaskEpisodes(tasks, n_shot=10, n_query=10, meta_batch_size=n_tasks, random_state=0)


def learner(engine, n_steps):
    torch.manual_seed(0)
    plain = {"inner_lr_mode": "fixed", "inner_clip": None, "inner_lr": RATE}
    return MAML(MLP((40, 40)).build((1,)), 1, adaptation_steps=n_steps, engine=engine, **plain)


def gradients(module):
    return [p.grad.detach().double().numpy() for p in module.network.parameters()]


class Metaskl:
    def __init__(self, engine, n_steps, dtype):
        self.module = learner(engine, n_steps).to(dtype)

    def __call__(self, batch):
        self.module.zero_grad()
        self.module.episode_loss(batch).backward()

    def gradients(self):
        return gradients(self.module)


class CloneAndAdapt(Metaskl):
    """learn2learn's form: tasks in turn, weights cloned, steps taken with a graph."""

    def __init__(self, n_steps, dtype):
        super().__init__("loop", n_steps, dtype)

    def __call__(self, batch):
        network = self.module.network
        self.module.zero_grad()
        total = 0.0
        for X, y, _, u, v, _ in zip(*batch[:6], strict=True):
            weights = [p.clone() for p in network.parameters()]
            for _ in range(self.module.adaptation_steps):
                loss = F.mse_loss(run(weights, X), y)
                steps = torch.autograd.grad(loss, weights, create_graph=True)
                weights = [w - RATE * g for w, g in zip(weights, steps, strict=True)]
            total = total + F.mse_loss(run(weights, u), v)
        (total / len(batch[0])).backward()


def run(weights, X):
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        X = torch.relu(F.linear(X, weight, bias))
    return F.linear(X, weights[-2], weights[-1])


class Higher(Metaskl):
    def __init__(self, n_steps, dtype):
        import higher

        self.higher = higher
        super().__init__("loop", n_steps, dtype)

    def __call__(self, batch):
        network = self.module.network
        self.module.zero_grad()
        optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
        for X, y, _, u, v, _ in zip(*batch[:6], strict=True):
            context = self.higher.innerloop_ctx(network, optimizer, copy_initial_weights=False)
            with context as (inner, steps):
                for _ in range(self.module.adaptation_steps):
                    steps.step(F.mse_loss(inner(X), y))
                (F.mse_loss(inner(u), v) / len(batch[0])).backward()


class Jax(Metaskl):
    def __init__(self, n_steps, dtype):
        import jax

        super().__init__("loop", n_steps, dtype)
        jax.config.update("jax_enable_x64", dtype == torch.float64)
        self.weights = [jax.numpy.array(p.detach().numpy()) for p in self.module.parameters()]

        def predict(weights, X):
            for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
                X = jax.nn.relu(X @ weight.T + bias)
            return X @ weights[-2].T + weights[-1]

        def loss(weights, X, y):
            return ((predict(weights, X) - y) ** 2).mean()

        def task(weights, X, y, u, v):
            for _ in range(n_steps):
                steps = jax.grad(loss)(weights, X, y)
                weights = [w - RATE * g for w, g in zip(weights, steps, strict=True)]
            return loss(weights, u, v)

        def outer(weights, *rows):
            return jax.vmap(task, (None, 0, 0, 0, 0))(weights, *rows).mean()

        self.gradient = jax.jit(jax.value_and_grad(outer))

    def __call__(self, batch):
        rows = [batch[i].numpy() for i in (0, 1, 3, 4)]
        _, self.found = self.gradient(self.weights, *rows)
        self.found[0].block_until_ready()

    def gradients(self):
        return [np.asarray(g, np.float64) for g in self.found]


ROWS = {
    "clone and adapt (learn2learn's form)": CloneAndAdapt,
    "higher": Higher,
    "JAX, jit and vmap": Jax,
    "metaskl, engine='loop'": lambda *a: Metaskl("loop", *a),
    "metaskl, engine='vmap'": lambda *a: Metaskl("vmap", *a),
    "metaskl, engine='auto'": lambda *a: Metaskl("auto", *a),
    "metaskl, engine='compiled'": lambda *a: Metaskl("compiled", *a),
}


def made(n_steps, dtype):
    found = {}
    for name, row in ROWS.items():
        try:
            found[name] = row(n_steps, dtype)
        except ImportError:
            print(f"{name}: not installed")
    return found


def meta_gradients(n_tasks, n_steps, n_rounds):
    batch = sampler(n_tasks).sample()
    double = Episode(*(part.double() for part in batch[:6]))
    exact = made(n_steps, torch.float64)
    for row in exact.values():
        row(double)
    reference = next(iter(exact.values())).gradients()
    for name, row in exact.items():
        for found, expected in zip(row.gradients(), reference, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9, err_msg=name)
    times = interleaved(
        {n: lambda r=r: r(batch) for n, r in made(n_steps, torch.float32).items()}, n_rounds
    )
    report(f"{n_tasks} tasks, {n_steps} inner step(s)", times)


def interleaved(calls, n_rounds):
    for call in calls.values():
        call()
        call()
    times = {name: [] for name in calls}
    for _ in range(n_rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append(time.process_time() - start)
    return times


def report(title, times):
    reference = next(iter(times.values()))
    print(f"\n{title}\n\n| | times as fast | median CPU ms |\n|---|---|---|")
    for name, own in times.items():
        ratio = statistics.median(a / b for a, b in zip(reference, own, strict=True))
        print(f"| {name} | {ratio:.1f} | {1e3 * statistics.median(own):.2f} |", flush=True)


def adapting(n_rounds):
    draw = np.random.default_rng(0)
    sizes = draw.integers(5, 51, 1000)
    groups = np.repeat(np.arange(1000), sizes)
    X = draw.normal(size=(len(groups), 8))
    y = X[:, 0] * draw.normal(size=1000)[groups]
    few = {"max_epochs": 1, "steps_per_epoch": 3, "random_state": 0}
    plain = MAMLRegressor(engine="loop", **few).fit(X, y, groups=groups)
    meta = MAMLRegressor(**few).fit(X, y, groups=groups)
    rows = [np.flatnonzero(groups == task) for task in range(1000)]
    calls = {
        "one by one, engine='loop'": lambda: [plain.adapt(X[r], y[r]) for r in rows],
        "one by one": lambda: [meta.adapt(X[r], y[r]) for r in rows],
        "adapt_groups": lambda: meta.adapt_groups(X, y, groups),
    }
    report("Adapting 1,000 tasks of 5 to 50 rows, MLP 64-64, 5 steps", interleaved(calls, n_rounds))


def iterations(n_steps, n_rounds):
    module = learner("auto", n_steps)
    batch = sampler(25).sample()
    optimizer = torch.optim.Adam(module.parameters(), fused=True)

    def bare():
        for _ in range(100):
            optimizer.zero_grad()
            module.episode_loss(batch).backward()
            optimizer.step()

    plan = TrainingPlan(max_epochs=1, steps_per_epoch=100)
    calls = {"fit": lambda: meta_train(module, sampler_, plan), "bare meta-step": bare}
    sampler_ = sampler(25)
    report(f"100 iterations of fit, {n_steps} inner step(s)", interleaved(calls, n_rounds))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 5])
    parser.add_argument("--tasks", type=int, nargs="*", default=[25])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for n_tasks in arguments.tasks:
        for n_steps in arguments.steps:
            meta_gradients(n_tasks, n_steps, arguments.rounds)
    adapting(max(arguments.rounds // 10, 1))
    for n_steps in arguments.steps:
        iterations(n_steps, max(arguments.rounds // 4, 1))


if __name__ == "__main__":
    main()
