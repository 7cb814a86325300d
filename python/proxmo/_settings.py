"""The settings of credit assignment for type checkers."""

from typing import Literal, Optional, TypedDict, Union

Estimator = Literal[
    "proxmo",
    "gigpo",
    "hgpo",
    "g2po",
    "graphgpo",
    "grpo",
    "dr-grpo",
    "rloo",
    "reinforce-pp",
    "reinforce-pp-baseline",
    "ppo",
]
Inclusion = Literal["include", "exclude"]


class Curve(TypedDict, total=False):
    """The shape of the modulation."""

    steepness: float
    range: float


class Beta(TypedDict):
    """A Beta distribution, as numbers of pseudo-episodes."""

    successes: float
    failures: float


class Settings(TypedDict, total=False):
    """The settings of credit assignment. `Config.schema()` describes them."""

    estimator: Estimator
    gamma: float
    step_weight: float
    episode_weight: float
    normalize: Literal["auto", "mean", "mean-std"]
    statistics: Literal["episode", "step"]
    modulation: Union[bool, Literal["auto", "off", "on"], Curve]
    success_prior: Union[Literal["none", "fitted"], Beta]
    engine: Literal["auto", "host", "device"]
    embedding: Literal["tfidf", "hashed", "given", "policy"]
    max_features: int
    hash_features: int
    temperature: Union[float, Literal["auto"]]
    self_weight: Inclusion
    same_episode: Inclusion
    similarity: Optional[float]
    history: int
    length_weight: float
    base_group: bool
    success_value: Optional[float]
    invalid_action_penalty: float
    distance: Literal["absolute", "delta"]
    value_weight: float
    gae_lambda: float
