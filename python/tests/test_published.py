"""Agreement with the numbers of the published codes."""

import json

import numpy as np

import proxmo


def read(path):
    """The arguments of `proxmo.credit` for an episode file. Groups are contiguous."""
    episodes = [json.loads(line) for line in path.read_text().splitlines()]
    steps = [step for episode in episodes for step in episode["steps"]]
    lengths = [len(episode["steps"]) for episode in episodes]
    groups = [episode["group"] for episode in episodes]
    starts = [at for at in range(len(groups)) if at == 0 or groups[at] != groups[at - 1]]
    return {
        "rewards": np.array([step["reward"] for step in steps]),
        "episode_offsets": np.concatenate([[0], np.cumsum(lengths)]),
        "group_offsets": starts + [len(groups)],
        "success": np.array([episode["success"] for episode in episodes]),
        "texts": [step["observation"] for step in steps],
        "valid": np.array([step.get("valid", True) for step in steps]),
        "final_observations": [episode.get("final_observation") for episode in episodes],
    }


NAMES = {
    "returns": "returns",
    "graph_returns": "returns",
    "node_values": "baselines",
    "episode": "episode_advantages",
    "episode_advantages": "episode_advantages",
    "step": "step_advantages",
    "step_advantages": "step_advantages",
    "advantages": "advantages",
}


def test_credit_agrees_with_the_published_codes(shared):
    folder = shared("credit")
    compared = 0
    for episodes in sorted(folder.glob("*.episodes.jsonl")):
        arguments = read(episodes)
        prefix = episodes.name.removesuffix("episodes.jsonl")
        for path in sorted(folder.glob(f"{prefix}*.json")):
            file = json.loads(path.read_text())
            settings = file["settings"]
            # The published files write null for `off`.
            if settings.get("modulation", 0) is None:
                settings["modulation"] = "off"
            found = proxmo.credit(**arguments, **settings)
            for key, name in NAMES.items():
                if key in file["expected"][0]:
                    expected = np.concatenate([episode[key] for episode in file["expected"]])
                    tolerance = 1e-5 * np.maximum(1.0, np.abs(expected))
                    off = np.abs(getattr(found, name) - expected)
                    assert (off <= tolerance).all(), f"{path}: {key} is off by {off.max()}"
            compared += 1
    assert compared > 0, f"{folder} holds no numbers"
    print(f"{compared} files of numbers agree")
