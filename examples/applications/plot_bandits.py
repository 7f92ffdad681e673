"""
A policy that learns in twenty plays
====================================

Slot machines with five arms each: a task is one machine, its arms pay with chances of their own.
A policy meta-trained by the plugin metaskl-rl plays twenty times and takes one step of its policy
gradient, with learned rates (Z. Li et al. Meta-SGD. arXiv 1707.09835, 2017). Exact optima are
known, and so is the plain way, which is hard to beat: count what each arm paid, and take the
best.
"""

# %%
# Meta-train on machines
# ----------------------

import matplotlib.pyplot as plt
import torch

from metaskl_rl import BanditTasks, MAMLPolicyGradient

family = BanditTasks(5)
new = family.sample(300, torch.Generator().manual_seed(99))
share = {}
for name, mode in {"MAML": "fixed", "Meta-SGD": "per_parameter"}.items():
    meta = MAMLPolicyGradient(
        family, hidden_layer_sizes=(), inner_lr=5.0, inner_lr_mode=mode, random_state=0
    ).fit(60)
    share[name] = meta.returns(new) / family.optimum(new)[:, None]
    before, after = share[name].mean(0)
    print(f"{name}: {before:.3f} of the optimum before one update, {after:.3f} after it")

# %%
# The plain way
# -------------

chance = torch.Generator().manual_seed(0)
arms = torch.randint(5, (len(new), 20), generator=chance)
paid = torch.bernoulli(new.gather(1, arms), generator=chance)
counted = torch.nn.functional.one_hot(arms, 5).float()
mean = ((counted * paid[..., None]).sum(1) + 1) / (counted.sum(1) + 2)
best = new.gather(1, mean.argmax(1, keepdim=True))[:, 0] / family.optimum(new)
print(f"the arm that paid best in twenty plays at random: {best.mean():.3f}")

# %%
# Machine by machine
# ------------------

figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
for name, values in (*((n, s[:, 1]) for n, s in share.items()), ("best arm, counted", best)):
    ax.plot(values.sort().values, torch.linspace(0, 1, len(new)), label=name)
ax.set(xlabel="share of the machine's optimum, as played", ylabel="share of machines below")
ax.legend()
