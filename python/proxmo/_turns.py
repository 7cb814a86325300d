"""Credit for the turns of a model, from the tokens that it read and wrote."""

from typing import NamedTuple

import numpy as np

from ._rows import credit_rows


class Output(NamedTuple):
    """One prompt with its response, in which the model may have written several turns."""

    group: object
    """The group: any hashable value."""
    episode: object
    """The episode, unique within its group: any hashable value."""
    time: int
    """What orders the outputs of an episode."""
    prompt: list
    """The tokens of the prompt. It may repeat the outputs before."""
    response: list
    """The tokens of the response: `[tokens]`."""
    written: list
    """Whether the model wrote each token of the response: `[tokens]`."""
    rewards: list
    """The reward of each token of the response: `[tokens]`."""


def runs(mask):
    """The runs of true values in a list, as pairs of start and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask, dtype=np.int8), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def added(before, now):
    """What a sequence has beyond one that it continues; all of it if it does not continue it."""
    return now[len(before) :] if now[: len(before)] == before and len(now) > len(before) else now


def credit_outputs(outputs, decode, success_reward, settings):
    """The advantage of each token that a model wrote.

    A step is one turn: a run of tokens that the model wrote. Its observation is the text that was added
    since the turn before, its reward that of its tokens and of those up to the next turn.

    Args:
        outputs: `[outputs]`.
        decode: Turns a list of tokens into text.
        success_reward: The total reward from which an episode counts as a success. None if rewards do
            not say so; nothing is then modulated by success.
        settings: Settings of credit assignment, as for `proxmo.credit`.

    Returns:
        The advantages of the tokens of each output, an array of `[tokens]` each, 0 where the model did
        not write; and statistics for monitoring.
    """
    places, texts, rewards, totals, histories = [], [], [], {}, {}
    for number in sorted(range(len(outputs)), key=lambda number: outputs[number].time):
        output = outputs[number]
        episode = (output.group, output.episode)
        read = added(histories.get(episode, []), output.prompt)
        histories[episode] = output.prompt + output.response
        totals[episode] = totals.get(episode, 0.0) + float(np.sum(output.rewards))
        # An output without a token of the model still has its reward.
        turns = runs(output.written) or [(0, 0)]
        bounds = [0, *(start for start, _ in turns[1:]), len(output.response)]
        before = 0
        for (start, end), first, last in zip(turns, bounds, bounds[1:]):
            places.append((number, start, end))
            texts.append(decode((read if before == 0 else []) + output.response[before:start]))
            rewards.append(float(np.sum(output.rewards[first:last])))
            before = end
    episodes = [(outputs[number].group, outputs[number].episode) for number, _, _ in places]
    success = None
    if success_reward is not None:
        success = [totals[episode] >= success_reward for episode in episodes]
    groups = [group for group, _ in episodes]
    names = [episode for _, episode in episodes]
    found = credit_rows(rewards, groups, names, success=success, texts=texts, **settings)
    advantages = [np.zeros(len(output.response)) for output in outputs]
    for (number, start, end), advantage in zip(places, found.advantages):
        advantages[number][start:end] = advantage
    return advantages, found.diagnostics
