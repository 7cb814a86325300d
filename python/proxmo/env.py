"""Text environments: household tasks, ALFWorld and WebShop.

`make` opens one, whose `reset` and `step` play many episodes at a time. `GymEnv` plays one episode at a
time through Gymnasium's interface; it needs the package gymnasium, this module does not.
"""

from ._proxmo import Beginnings, Environment, Steps, make

# Without GymEnv: `from proxmo.env import *` needs no gymnasium.
__all__ = ["Beginnings", "Environment", "Steps", "make"]


def __getattr__(name):
    if name == "GymEnv":
        from ._gymnasium import GymEnv

        return GymEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
