"""Control as a family of tasks: dynamics models and policies that adapt to a new task."""

from metaskl_rl.bandits import BanditTasks
from metaskl_rl.families import TaskFamily
from metaskl_rl.maml_policy import MAMLPolicyGradient
from metaskl_rl.navigation import NavigationEnv, NavigationTasks
from metaskl_rl.physics import CartPoleTasks, PendulumTasks, PhysicsTasks
from metaskl_rl.planning import ModelPredictiveControl, TrueDynamics, control_returns
from metaskl_rl.policies import Policy
from metaskl_rl.rollouts import Rollouts, roll_out
from metaskl_rl.tabular import TabularTasks
from metaskl_rl.transitions import collect, transition_table

__all__ = [
    "BanditTasks",
    "CartPoleTasks",
    "MAMLPolicyGradient",
    "ModelPredictiveControl",
    "NavigationEnv",
    "NavigationTasks",
    "PendulumTasks",
    "PhysicsTasks",
    "Policy",
    "Rollouts",
    "TabularTasks",
    "TaskFamily",
    "TrueDynamics",
    "collect",
    "control_returns",
    "roll_out",
    "transition_table",
]
