"""The trainer for TRL, with a new small model on the CPU."""

import numpy as np
import pytest

pytest.importorskip("trl")
torch = pytest.importorskip("torch")

from datasets import Dataset  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers, trainers  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: E402
from trl import GRPOConfig  # noqa: E402

import proxmo  # noqa: E402
from proxmo.trl import ProxMOTrainer  # noqa: E402

HALL, STUDY, CELLAR = "You are in the hall .", "A study with a key .", "A dark cellar ."


@pytest.fixture
def tokenizer():
    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["<unk>", "<pad>", "<eos>"]
    texts = [HALL, STUDY, CELLAR, "go east west take"]
    words.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=special))
    names = dict(zip(["unk_token", "pad_token", "eos_token"], special))
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)


@pytest.fixture
def model(tokenizer):
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def rollout(prompts, trainer):
    """Two turns of two tokens each; the first turn of every other completion leads to the study."""
    tokenizer = trainer.processing_class
    prompt_ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    completions, masks, won = [], [], []
    for number in range(len(prompts)):
        seen = tokenizer(STUDY if number % 2 == 0 else CELLAR)["input_ids"]
        spoken = [torch.randint(3, len(tokenizer), (2,)).tolist() for _ in range(2)]
        completions.append(spoken[0] + seen + spoken[1])
        masks.append([1] * 2 + [0] * len(seen) + [1] * 2)
        won.append(number % 2 == 0)
    return {
        "prompt_ids": prompt_ids,
        "completion_ids": completions,
        "logprobs": None,
        "env_mask": masks,
        "won": won,
    }


def reward(completions, won, **kwargs):
    return [float(success) for success in won]


def train(tokenizer, model, folder, **settings):
    args = GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        num_generations=4,
        max_steps=3,
        learning_rate=1e-2,
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        bf16=False,
        save_strategy="no",
    )
    data = Dataset.from_dict({"prompt": [HALL] * 8})
    trainer = ProxMOTrainer(
        model=model,
        reward_funcs=reward,
        args=args,
        train_dataset=data,
        processing_class=tokenizer,
        rollout_func=rollout,
        **settings,
    )
    seen = []
    original = trainer._generate_and_score_completions

    def watched(inputs):
        output = original(inputs)
        seen.append(
            {name: value.clone() for name, value in output.items() if torch.is_tensor(value)}
        )
        return output

    trainer._generate_and_score_completions = watched
    before = [parameter.detach().clone() for parameter in model.parameters()]
    trainer.train()
    changed = any(not torch.equal(a, b) for a, b in zip(before, model.parameters()))
    return trainer, seen, changed


def test_three_steps_train_with_an_advantage_for_each_step(tokenizer, model, tmp_path):
    trainer, seen, changed = train(tokenizer, model, tmp_path)
    assert changed and trainer.state.global_step == 3
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert len(losses) == 3 and np.isfinite(losses).all() and any(losses)
    assert any("credit/explained_variance" in row for row in trainer.state.log_history)
    for output in seen:
        advantages = output["advantages"]
        assert advantages.shape == output["completion_ids"].shape
        written = (output["completion_mask"] * output["tool_mask"]).bool()
        assert (advantages[~written] == 0).all() and (advantages[written] != 0).all()
        # One advantage for the two tokens of a turn, another for the next turn.
        first, last = (
            advantages[:, :2],
            torch.stack([row[m][-2:] for row, m in zip(advantages, written)]),
        )
        assert (first[:, 0] == first[:, 1]).all() and (last[:, 0] == last[:, 1]).all()
        assert (first[:, 0] != last[:, 0]).all()


def test_the_advantages_are_those_of_the_library(tokenizer, model, tmp_path):
    _, seen, _ = train(tokenizer, model, tmp_path, credit={"gamma": 0.5})
    rewards = np.tile([0, 1, 0, 0], 4)
    expected = proxmo.credit(
        rewards,
        np.arange(0, 17, 2),
        [0, 4, 8],
        [True, False] * 4,
        [HALL, STUDY, HALL, CELLAR] * 4,
        gamma=0.5,
    ).advantages
    for output in seen:
        written = (output["completion_mask"] * output["tool_mask"]).bool()
        found = torch.cat([row[mask][[0, -1]] for row, mask in zip(output["advantages"], written)])
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_single_turns_are_credited_by_their_outcome(tokenizer, model, tmp_path):
    args = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_generations=4,
        max_steps=1,
        max_completion_length=4,
        report_to="none",
        use_cpu=True,
        bf16=False,
        save_strategy="no",
    )
    scores = iter([1.0, 0.0, None, 0.0])
    trainer = ProxMOTrainer(
        model=model,
        reward_funcs=lambda completions, **kwargs: [next(scores) for _ in completions],
        args=args,
        train_dataset=Dataset.from_dict({"prompt": [HALL] * 4}),
        processing_class=tokenizer,
    )
    trainer.train()
    advantages = list(trainer._logs["advantages"])
    assert advantages[0] > 0 > advantages[1] and advantages[2] == 0.0
