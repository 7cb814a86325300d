"""Times `proxmo.credit` beside NumPy and scikit-learn on the same rows, in one process.

    python python/benches/credit.py [groups] [steps] [things] [repeated]

Needs the package, numpy and scikit-learn. The other side is `benches/credit_numpy.py`. Both compute ProxMO
as published from texts: tf-idf, soft baselines, modulation. Prints medians of 20 runs in turn, their
ratio, and the largest difference of the advantages.
"""

import importlib.util
import statistics
import sys
import time
from pathlib import Path

import numpy as np

import proxmo


def load_numpy_side():
    path = Path(__file__).resolve().parents[2] / "benches" / "credit_numpy.py"
    spec = importlib.util.spec_from_file_location("credit_numpy", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    other = load_numpy_side()
    defaults = [16, 50, 100, 0.5]
    given = [type(default)(word) for default, word in zip(defaults, sys.argv[1:])]
    groups, steps, things, repeated = given + defaults[len(given) :]
    texts, success = other.make_batch(groups, steps, things, repeated)
    episodes = success.size
    rewards = np.zeros((episodes, steps))
    rewards[:, -1] = success.ravel()
    arguments = {
        "rewards": rewards.ravel(),
        "episode_offsets": np.arange(0, len(texts) + 1, steps),
        "group_offsets": np.arange(0, episodes + 1, other.EPISODES),
        "success": success.ravel(),
        "texts": texts,
    }
    times = {"proxmo": [], "numpy": []}
    for _ in range(20):
        start = time.perf_counter()
        ours = proxmo.credit(**arguments).advantages
        middle = time.perf_counter()
        theirs = other.assign(texts, success, steps, [])
        times["numpy"].append(time.perf_counter() - middle)
        times["proxmo"].append(middle - start)
    median = {name: 1e3 * statistics.median(all) for name, all in times.items()}
    difference = np.abs(ours - theirs.ravel()).max()
    print(f"{len(texts)} rows, {len(set(texts))} texts, {groups} groups")
    print(f"numpy  {median['numpy']:8.2f} ms")
    print(
        f"proxmo {median['proxmo']:8.2f} ms, {median['numpy'] / median['proxmo']:.1f} times as fast"
    )
    print(f"largest difference of the advantages {difference:.1e}")


if __name__ == "__main__":
    main()
