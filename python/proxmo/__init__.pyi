from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from . import env as env
from ._settings import Settings as Settings

__version__: str

@final
class Config:
    """The settings of credit assignment, checked. Immutable."""

    def __new__(cls, **settings: Unpack[Settings]) -> Config: ...
    def replace(self, **settings: Unpack[Settings]) -> Config: ...
    def to_dict(self) -> dict[str, Any]: ...
    @staticmethod
    def schema() -> dict[str, Any]: ...

@final
class State:
    """What `temperature="auto"` learns from one iteration to the next."""

    def __new__(cls, prediction_errors: Sequence[float] = ...) -> State: ...
    @property
    def prediction_errors(self) -> list[float]: ...

@final
class Credit:
    """The advantage of each step, and the quantities that it was computed from."""

    @property
    def advantages(self) -> NDArray[np.float64]: ...
    @property
    def episode_advantages(self) -> NDArray[np.float64]: ...
    @property
    def step_advantages(self) -> NDArray[np.float64]: ...
    @property
    def returns(self) -> NDArray[np.float64]: ...
    @property
    def baselines(self) -> NDArray[np.float64] | None: ...
    @property
    def modulation_weights(self) -> NDArray[np.float64]: ...
    @property
    def diagnostics(self) -> dict[str, Any]: ...

class RowCredit(NamedTuple):
    """Credit for rows, in the order of the rows."""

    advantages: NDArray[np.float64]
    episode_advantages: NDArray[np.float64]
    step_advantages: NDArray[np.float64]
    returns: NDArray[np.float64]
    diagnostics: dict[str, Any]

def credit(
    rewards: ArrayLike,
    episode_offsets: ArrayLike,
    group_offsets: ArrayLike,
    success: ArrayLike | None = None,
    texts: Sequence[str] | None = None,
    embeddings: ArrayLike | None = None,
    *,
    valid: ArrayLike | None = None,
    final_observations: Sequence[str | None] | None = None,
    values: ArrayLike | None = None,
    final_values: ArrayLike | None = None,
    config: Config | None = None,
    state: State | None = None,
    **settings: Unpack[Settings],
) -> Credit:
    """Assigns credit to the steps of a batch of episodes."""

def credit_rows(
    rewards: ArrayLike,
    groups: Sequence[Hashable],
    episodes: Sequence[Hashable],
    *,
    times: ArrayLike | None = None,
    success: ArrayLike | None = None,
    texts: Sequence[str] | None = None,
    embeddings: ArrayLike | None = None,
    valid: ArrayLike | None = None,
    config: Config | None = None,
    state: State | None = None,
    **settings: Unpack[Settings],
) -> RowCredit:
    """Assigns credit to rows that name their group and episode."""
