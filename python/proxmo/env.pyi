from collections.abc import Sequence
from os import PathLike
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

@final
class Beginnings:
    """The beginnings of episodes."""

    @property
    def tasks(self) -> list[str]: ...
    @property
    def goals(self) -> list[str]: ...
    @property
    def observations(self) -> list[str]: ...
    @property
    def admissible(self) -> list[list[str]]: ...

@final
class Steps:
    """The results of one step of each episode."""

    @property
    def observations(self) -> list[str]: ...
    @property
    def admissible(self) -> list[list[str]]: ...
    @property
    def rewards(self) -> NDArray[np.float64]: ...
    @property
    def terminated(self) -> NDArray[np.bool_]: ...
    @property
    def truncated(self) -> NDArray[np.bool_]: ...
    @property
    def success(self) -> NDArray[np.bool_] | None: ...
    @property
    def valid(self) -> NDArray[np.bool_]: ...
    @property
    def scores(self) -> NDArray[np.float64] | None: ...

@final
class Environment:
    """An environment whose episodes are played together."""

    @property
    def name(self) -> str: ...
    @property
    def tasks(self) -> list[str]: ...
    @property
    def kinds(self) -> list[str]: ...
    @property
    def max_steps(self) -> int: ...
    def __len__(self) -> int: ...
    def walkthrough(self, task: int | str) -> list[str] | None: ...
    def reset(
        self,
        tasks: Sequence[int | str] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Beginnings: ...
    def step(self, actions: Sequence[str | None]) -> Steps: ...

def make(name: str, **settings: str | float | bool | PathLike[str] | dict[str, Any]) -> Environment:
    """Opens an environment."""

class GymEnv:
    """One episode at a time, with Gymnasium's interface."""

    environment: Environment
    observation_space: Any
    action_space: Any
    render_mode: str | None

    def __init__(
        self,
        name: str = "household",
        *,
        tasks: Sequence[int | str] | None = None,
        render_mode: str | None = None,
        **settings: str | float | bool | PathLike[str] | dict[str, Any],
    ) -> None: ...
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]: ...
    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]: ...
    def render(self) -> str | None: ...
    def close(self) -> None: ...
