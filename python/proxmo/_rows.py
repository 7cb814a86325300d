"""Credit for rows that name their group and episode, in any order."""

from typing import NamedTuple

import numpy as np

from ._proxmo import credit


class RowCredit(NamedTuple):
    """Credit for rows, in the order of the rows. All arrays are float64."""

    advantages: np.ndarray
    """episode_weight · episode part + step_weight · step part: `[rows]`."""
    episode_advantages: np.ndarray
    """The episode part of each row's advantage: `[rows]`."""
    step_advantages: np.ndarray
    """The step part of each row's advantage: `[rows]`."""
    returns: np.ndarray
    """The return of each row: `[rows]`."""
    diagnostics: dict
    """Statistics for monitoring."""


def credit_rows(
    rewards,
    groups,
    episodes,
    *,
    times=None,
    success=None,
    texts=None,
    embeddings=None,
    valid=None,
    config=None,
    state=None,
    **settings,
):
    """Assigns credit to rows that name their group and episode.

    Args:
        rewards: The reward of each row: `[rows]`.
        groups: The group of each row: `[rows]`, hashable values.
        episodes: The episode of each row, unique within its group: `[rows]`, hashable values.
        times: What orders the rows of an episode: `[rows]`, numbers. The order of the rows by default.
        success: Whether the row's episode reached its goal: `[rows]`, booleans. An episode succeeded
            if one of its rows says so. None if that is not known.
        texts: The observation before each row's action: `[rows]`, a list of str.
        embeddings: Vectors of the observations: `[rows, dimension]`, float32.
        valid: Whether each action was admissible: `[rows]`, booleans.
        config, state, **settings: As for `credit`.

    Returns:
        Arrays in the order of the rows.

    Raises:
        ValueError: As `credit`. Indices in messages count sorted rows.
    """
    count = len(rewards)
    given = {"groups": groups, "episodes": episodes, "times": times, "success": success}
    given |= {"texts": texts, "embeddings": embeddings, "valid": valid}
    for name, values in given.items():
        if values is not None and len(values) != count:
            raise ValueError(f"{name}: expected {count}, one for each row, found {len(values)}")
    group_numbers = _numbers(groups)
    episode_numbers = _numbers(zip(groups, episodes))
    by_time = np.arange(count) if times is None else np.asarray(times)
    order = np.lexsort((by_time, episode_numbers, group_numbers))

    def sorted_rows(values):
        return None if values is None else np.asarray(values)[order]

    first_rows = _starts(episode_numbers[order])
    group_of_episode = group_numbers[order][first_rows[:-1]]
    succeeded = None
    if success is not None:
        succeeded = np.logical_or.reduceat(sorted_rows(success), first_rows[:-1]) if count else []
    assigned = credit(
        sorted_rows(rewards),
        first_rows,
        _starts(group_of_episode),
        succeeded,
        None if texts is None else [texts[row] for row in order],
        sorted_rows(embeddings),
        valid=sorted_rows(valid),
        config=config,
        state=state,
        **settings,
    )

    def in_given_order(values):
        result = np.empty_like(values)
        result[order] = values
        return result

    return RowCredit(
        in_given_order(assigned.advantages),
        in_given_order(assigned.episode_advantages),
        in_given_order(assigned.step_advantages),
        in_given_order(assigned.returns),
        assigned.diagnostics,
    )


def _numbers(values):
    """Numbers for values, in the order in which they first appear."""
    known = {}
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)


def _starts(numbers):
    """The index of the first of each run of equal numbers, and their count."""
    changes = np.flatnonzero(np.diff(numbers)) + 1
    return np.concatenate([[0], changes, [len(numbers)]]) if len(numbers) else np.array([0])


def outcome_credit(scores, groups, success_reward, settings):
    """The advantage of each response in a group of single-turn responses: ProxMO's episode part.

    Args:
        scores: The reward of each response: `[responses]`.
        groups: The group of each response: `[responses]`, hashable values.
        success_reward: The reward from which a response counts as a success; None to modulate nothing.
        settings: Settings of credit assignment.

    Returns:
        `[responses]`, float64.
    """
    scores = np.asarray(scores, dtype=np.float64)
    defaults = {"estimator": "grpo", "normalize": "mean", "modulation": "on"}
    success = None if success_reward is None else scores >= success_reward
    settings = defaults | dict(settings)
    return credit_rows(scores, groups, range(len(scores)), success=success, **settings).advantages
