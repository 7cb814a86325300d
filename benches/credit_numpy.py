"""ProxMO's credit assignment in NumPy and scikit-learn, timed on batches like those of credit.rs.

    python benches/credit_numpy.py [groups] [steps] [things] [repeated]

Needs numpy and scikit-learn. Prints the median of 20 runs: embedding, soft baselines, and both.
"""

import random
import statistics
import sys
import time

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

EPISODES = 8
GAMMA, TEMPERATURE, STEEPNESS, RANGE = 0.95, 0.1, 4.0, 0.05


def make_batch(groups, steps, things, repeated, seed=1):
    """Texts of all rows in order, and each episode's success."""
    rng = random.Random(seed)

    def thing():
        return f"thing{rng.randrange(things)} {rng.randrange(1, 6)}"

    def sentence():
        listed = "".join(f" a {thing()}," for _ in range(rng.randrange(8)))
        return f"You come to the {thing()}. On it there is{listed} and nothing else."

    texts, success = [], []
    for _ in range(groups):
        seen = []
        for episode in range(EPISODES):
            for _ in range(steps):
                if not seen or rng.random() >= repeated:
                    seen.append(sentence())
                    texts.append(seen[-1])
                else:
                    texts.append(rng.choice(seen))
            success.append(episode % 2 == 0)
    return texts, np.array(success).reshape(groups, EPISODES)


def discounted(success, steps):
    """Returns, [groups, episodes, steps]: the only reward is 1 after a success's last step."""
    discount = GAMMA ** np.arange(steps - 1, -1, -1, dtype=np.float32)
    return success[:, :, None].astype(np.float32) * discount


def modulation(success):
    """The weight of each episode, [groups, episodes]."""
    rate = success.mean(axis=1, keepdims=True)
    logistic = lambda x: 1.0 / (1.0 + np.exp(-x))
    signal = np.where(success, logistic((1.0 - rate) ** STEEPNESS), logistic(-(rate**STEEPNESS)))
    return 1.0 + RANGE / (logistic(1.0) - 0.5) * (signal - 0.5)


def embed(texts):
    """One dense row of unit length for every step."""
    return TfidfVectorizer(max_features=1024).fit_transform(texts).toarray().astype(np.float32)


def baselines(embeddings, returns):
    """The soft baseline of every row, group by group."""
    groups, rows = returns.shape[0], returns[0].size
    result = np.empty((groups, rows), dtype=np.float32)
    for group in range(groups):
        own = embeddings[group * rows : (group + 1) * rows]
        logits = own @ own.T / TEMPERATURE
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        result[group] = weights @ returns[group].ravel() / weights.sum(axis=1)
    return result.reshape(returns.shape)


def assign(texts, success, steps, clock):
    """The advantages of all rows."""
    returns = discounted(success, steps)
    episode = (success - success.mean(axis=1, keepdims=True)) * modulation(success)
    start = time.perf_counter()
    embeddings = embed(texts)
    middle = time.perf_counter()
    step = returns - baselines(embeddings, returns)
    clock.append((middle - start, time.perf_counter() - middle))
    return episode[:, :, None] + step


def main():
    defaults = [16, 50, 100, 0.5]
    given = [type(default)(word) for default, word in zip(defaults, sys.argv[1:])]
    groups, steps, things, repeated = given + defaults[len(given) :]
    texts, success = make_batch(groups, steps, things, repeated)
    clock, whole = [], []
    for _ in range(20):
        start = time.perf_counter()
        advantages = assign(texts, success, steps, clock)
        whole.append(time.perf_counter() - start)
    assert np.isfinite(advantages).all()
    median = lambda seconds: 1e3 * statistics.median(seconds)
    print(f"{len(texts)} rows, {len(set(texts))} texts, {groups} groups")
    print(f"embedding {median(part[0] for part in clock):8.2f} ms")
    print(f"baselines {median(part[1] for part in clock):8.2f} ms")
    print(f"together  {median(whole):8.2f} ms")


if __name__ == "__main__":
    main()
