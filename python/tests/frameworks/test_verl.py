"""The plug-in for verl, with the package itself on the CPU."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("verl")

from tensordict import TensorDict  # noqa: E402
from verl import DataProto  # noqa: E402
from verl.trainer.ppo.core_algos import get_adv_estimator_fn  # noqa: E402

import proxmo  # noqa: E402


def batch():
    """Two groups of two responses, of which one is a success in each."""
    rewards = torch.zeros(4, 6)
    rewards[[0, 3], 3] = 1.0
    mask = torch.ones(4, 6)
    mask[:, 4:] = 0
    tensors = {"token_level_rewards": rewards, "response_mask": mask}
    data = DataProto(batch=TensorDict(tensors, batch_size=4))
    data.non_tensor_batch["uid"] = np.array(["a", "a", "b", "b"], dtype=object)
    return data


def test_verl_loads_the_estimator_by_itself():
    assert get_adv_estimator_fn("proxmo").__module__ == "proxmo.verl"


def test_verl_computes_advantages_with_it():
    ray_trainer = pytest.importorskip("verl.trainer.ppo.ray_trainer")
    data = ray_trainer.compute_advantage(batch(), adv_estimator="proxmo", config={})
    advantages = data.batch["advantages"]
    assert advantages.shape == (4, 6) and (advantages[:, 4:] == 0).all()
    expected = proxmo.credit(
        [1, 0, 0, 1],
        range(5),
        [0, 2, 4],
        [True, False, False, True],
        estimator="grpo",
        normalize="mean",
        modulation="on",
    ).advantages
    np.testing.assert_allclose(advantages[:, 0].numpy(), expected, rtol=1e-6)
    config = {"proxmo": {"modulation": "off"}}
    data = ray_trainer.compute_advantage(batch(), adv_estimator="proxmo", config=config)
    np.testing.assert_allclose(data.batch["advantages"][:, 0].numpy(), [0.5, -0.5, -0.5, 0.5])


def test_a_response_without_a_group_is_refused():
    estimate = get_adv_estimator_fn("proxmo")
    with pytest.raises(ValueError, match="index"):
        estimate(torch.zeros(1, 2), torch.ones(1, 2))


WORDS = ["hall", "go", "study", "take", "cellar", "look"]


class Words:
    """A tokenizer whose tokens are words."""

    def decode(self, ids, **kwargs):
        return " ".join(WORDS[number] for number in ids)


# Session 0 wins, session 1 does not; outputs come in any order, and prompts hold the history.
KEYS = ["a_0_1", "a_1_0", "a_0_0"]
PROMPTS = [[0, 1, 2], [0], [0]]
RESPONSES = [[3], [1, 4, 5], [1]]
MASKS = [[1], [1, 0, 1], [1]]
SCORES = [[1.0], [0.0, 0.0, 0.0], [0.0]]


def expected(**settings):
    """The advantages of the outputs' tokens, one after the other."""
    texts = ["hall", "study", "hall", "cellar"]
    rows = proxmo.credit([0, 1, 0, 0], [0, 2, 4], [0, 2], [True, False], texts, **settings)
    won, failed = rows.advantages[:2], rows.advantages[2:]
    return [won[1], failed[0], 0.0, failed[1], won[0]]


def test_the_turns_of_a_session_are_the_steps_of_an_episode():
    from proxmo.verl import step_advantages

    config = {"proxmo": {"gamma": 0.5}}
    found, numbers = step_advantages(
        KEYS, PROMPTS, RESPONSES, MASKS, SCORES, Words().decode, config
    )
    assert numbers["rows"] == 4
    np.testing.assert_allclose(np.concatenate(found), expected(gamma=0.5), atol=1e-12)


def test_the_trainer_writes_the_advantages_of_steps(monkeypatch):
    pytest.importorskip("verl.trainer.ppo.v1.trainer_sync")
    import transfer_queue
    from omegaconf import OmegaConf
    from verl.trainer.ppo.v1.trainer_base import get_trainer_cls

    def nested(rows, dtype):
        rows = [torch.tensor(row, dtype=dtype) for row in rows]
        return torch.nested.as_nested_tensor(rows, layout=torch.jagged)

    store = {
        "uid": [key.split("_")[0] for key in KEYS],
        "prompts": nested(PROMPTS, torch.int64),
        "responses": nested(RESPONSES, torch.int64),
        "response_mask": nested(MASKS, torch.int64),
        "rm_scores": nested(SCORES, torch.float32),
    }

    class Batch:
        keys, partition_id = KEYS, "train"

        def __len__(self):
            return len(KEYS)

    def get(keys, partition_id, select_fields):
        from verl.utils import tensordict_utils

        chosen = {name: store[name] for name in select_fields if name in store}
        return tensordict_utils.get_tensordict(chosen)

    def put(keys, partition_id, fields):
        store.update(fields.items())
        return Batch()

    monkeypatch.setattr(transfer_queue, "kv_batch_get", get)
    monkeypatch.setattr(transfer_queue, "kv_batch_put", put)
    trainer = object.__new__(get_trainer_cls("proxmo_sync"))
    trainer.tokenizer = Words()
    trainer.config = OmegaConf.create(
        {
            "algorithm": {
                "adv_estimator": "proxmo",
                "use_kl_in_reward": False,
                "gamma": 1.0,
                "lam": 1.0,
                "proxmo": {"gamma": 0.5},
            },
            "actor_rollout_ref": {"rollout": {"n": 2}},
        }
    )
    metrics = {}
    trainer._compute_advantage(Batch(), metrics)
    found = torch.cat(store["advantages"].unbind()).numpy()
    np.testing.assert_allclose(found, expected(gamma=0.5), rtol=1e-5, atol=1e-7)
    assert metrics["proxmo/rows"] == 4
