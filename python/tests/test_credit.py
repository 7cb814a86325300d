"""Credit from NumPy arrays."""

import copy
import multiprocessing
import pickle
import threading
import tracemalloc

import numpy as np
import pytest

import proxmo

TEXTS = ["the hall", "the study, with a key", "the hall", "the cellar", "the hall"]


def arguments(**others):
    """One group of three episodes, of which one succeeds."""
    return {
        "rewards": np.array([0.0, 1.0, 0.0, 0.0, 0.0]),
        "episode_offsets": np.array([0, 2, 4, 5]),
        "group_offsets": np.array([0, 3]),
        "success": np.array([True, False, False]),
        "texts": TEXTS,
    } | others


def test_a_success_has_positive_and_a_failure_negative_advantages():
    found = proxmo.credit(**arguments())
    assert found.advantages.dtype == np.float64
    assert found.advantages.shape == (5,)
    assert (found.advantages[:2] > 0).all() and (found.advantages[2:] < 0).all()
    total = found.episode_advantages + found.step_advantages
    np.testing.assert_allclose(found.advantages, total, rtol=1e-12)
    np.testing.assert_allclose(found.returns, [0.95, 1, 0, 0, 0])
    np.testing.assert_allclose(found.returns - found.baselines, found.step_advantages, atol=1e-12)


def test_the_rare_success_of_a_group_weighs_more():
    found = proxmo.credit(**arguments())
    assert found.modulation_weights.shape == (3,)
    assert found.modulation_weights[0] > 1.0 > found.modulation_weights[1]
    group = found.diagnostics["modulation"][0]
    assert group["success_rate"] == pytest.approx(1 / 3)
    assert group["on_success"] == found.modulation_weights[0]
    plain = proxmo.credit(**arguments(success=None))
    assert (plain.modulation_weights == 1.0).all()


def test_diagnostics_are_numbers_without_absent_ones():
    numbers = proxmo.credit(**arguments()).diagnostics
    assert (numbers["rows"], numbers["states"]) == (5, 3)
    assert numbers["temperature"] == 0.1
    assert None not in numbers.values()
    assert "temperature" not in proxmo.credit(**arguments(), estimator="gigpo").diagnostics


def test_estimators_of_whole_episodes_need_no_observations():
    for estimator in ["grpo", "dr-grpo", "rloo", "reinforce-pp", "reinforce-pp-baseline"]:
        found = proxmo.credit(**arguments(texts=None), estimator=estimator)
        assert found.baselines is None
        assert not found.step_advantages.any() and found.advantages.any()
        assert "states" not in found.diagnostics
    for estimator in ["proxmo", "gigpo", "hgpo", "g2po", "graphgpo"]:
        with pytest.raises(ValueError, match=f"texts: estimator '{estimator}' needs texts"):
            proxmo.credit(**arguments(texts=None), estimator=estimator)


def test_embeddings_take_the_place_of_texts():
    # Words that do not occur together are orthogonal, so one-hot vectors give the same credit.
    words = sorted(set(TEXTS))
    vectors = np.eye(len(words), dtype=np.float32)[[words.index(text) for text in TEXTS]]
    by_vector = proxmo.credit(**arguments(texts=None, embeddings=vectors))
    numbered = [f"place{words.index(text)}" for text in TEXTS]
    by_text = proxmo.credit(**arguments(texts=numbered))
    np.testing.assert_allclose(by_vector.advantages, by_text.advantages, atol=1e-12)
    both = proxmo.credit(**arguments(embeddings=vectors))
    np.testing.assert_array_equal(both.advantages, by_vector.advantages)
    chosen = proxmo.credit(**arguments(embeddings=vectors), embedding="tfidf")
    np.testing.assert_array_equal(chosen.advantages, proxmo.credit(**arguments()).advantages)


def test_other_types_and_layouts_give_the_same_credit():
    expected = proxmo.credit(**arguments()).advantages
    for others in [
        {"rewards": [0, 1, 0, 0, 0]},
        {"rewards": np.array([0, 1, 0, 0, 0], dtype=np.float32)},
        {"rewards": np.array([[0, 9], [1, 9], [0, 9], [0, 9], [0, 9]])[:, 0]},
        {"episode_offsets": [0, 2, 4, 5]},
        {"episode_offsets": np.array([0, 2, 4, 5], dtype=np.int32)},
        {"group_offsets": (0, 3)},
        {"success": [True, False, False]},
        {"texts": tuple(TEXTS)},
        {"texts": np.array(TEXTS, dtype=object)},
    ]:
        np.testing.assert_array_equal(proxmo.credit(**arguments(**others)).advantages, expected)
    vectors = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    rowwise = proxmo.credit(**arguments(texts=None, embeddings=vectors)).advantages
    for other in [np.asfortranarray(vectors), vectors.astype(np.float64)]:
        found = proxmo.credit(**arguments(texts=None, embeddings=other)).advantages
        np.testing.assert_array_equal(found, rowwise)


def test_an_empty_batch_has_no_advantages():
    found = proxmo.credit([], [0], [0], [], [])
    assert found.advantages.shape == (0,)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"rewards": np.zeros(4)}, "rewards: expected 5, one for each step, found 4"),
        ({"rewards": [0, np.nan, 0, 0, 0]}, r"rewards\[1\]: expected a number .* found NaN"),
        ({"rewards": [0, 1e31, 0, 0, 0]}, r"rewards\[1\]: expected a number from -1e30 to 1e30"),
        ({"rewards": ["a"] * 5}, "rewards: expected numbers, found an array of <U1"),
        ({"rewards": np.zeros((5, 1))}, r"rewards: expected 1 dimension.* shape \(5, 1\)"),
        ({"episode_offsets": [0, 3, 2, 5]}, "episode_offsets"),
        ({"episode_offsets": [1, 2, 4, 5]}, "episode_offsets"),
        ({"episode_offsets": [0, -2, 4, 5]}, r"episode_offsets\[1\]: is -2, below 0"),
        ({"episode_offsets": [0, 2.5, 4, 5]}, "episode_offsets: expected whole numbers"),
        ({"episode_offsets": []}, "episode_offsets"),
        ({"group_offsets": [0, 2]}, "group_offsets: .*end at 3"),
        ({"success": [True, False]}, "success: expected 3, one for each episode, found 2"),
        ({"success": [1.0, 0.0, 0.0]}, "success: expected booleans, found an array of float64"),
        ({"texts": TEXTS[:4]}, "texts: expected 5, one for each step, found 4"),
        ({"texts": [*TEXTS[:4], 7]}, r"texts\[4\]: expected a str, found int"),
        ({"texts": [*TEXTS[:4], None]}, r"texts\[4\]: expected a str, found None"),
        ({"texts": [*TEXTS[:4], "\ud800"]}, r"texts\[4\]: expected text without surrogates"),
        ({"texts": "the hall"}, "texts: expected a list of str, found one str"),
        ({"texts": 7}, "texts: expected a list of str, found int"),
        ({"valid": [True]}, "valid: expected 5, one for each step, found 1"),
        (
            {"final_observations": ["x"]},
            "final_observations: expected 3, one for each episode, found 1",
        ),
        ({"embeddings": np.zeros((4, 2), np.float32)}, "embeddings: expected 5, one for each step"),
        ({"embeddings": np.zeros((5, 0), np.float32)}, "embeddings: expected vectors"),
        ({"embeddings": np.zeros(5, np.float32)}, "embeddings: expected 2 dimension"),
        ({"embeddings": np.full((5, 2), np.inf, np.float32)}, r"embeddings\[0, 0\]: .* found inf"),
        ({"gama": 0.9}, "setting 'credit.gama': is an unknown key, expected one of `estimator`"),
        ({"gamma": 1.5}, "setting 'credit.gamma': is 1.5, expected a number from 0 to 1"),
        ({"gamma": "high"}, "setting 'credit.gamma': is 'high', expected a number"),
        ({"gamma": float("nan")}, "setting 'gamma': is nan, expected a finite number"),
        ({"gamma": object()}, "setting 'gamma': cannot be read"),
        ({"estimator": "magic"}, "setting 'credit.estimator': is 'magic', expected .*proxmo"),
        ({"estimator": "ppo"}, "'credit.estimator': is 'ppo', which needs the value of every state"),
        ({"values": [0.0] * 4}, "values: expected 5 numbers, one for each row, found 4"),
        ({"values": [0.0, 0.0, np.inf, 0.0, 0.0]}, r"values\[2\]: expected a number .* found inf"),
        ({"final_values": [0.0] * 3}, "final_values: expected values of all steps with them"),
        (
            {"values": [0.0] * 5, "final_values": [0.0]},
            "final_values: expected 3 numbers, one for each episode, found 1",
        ),
        ({"modulation": {"steepness": -1}}, "setting 'credit.modulation"),
        ({"engine": "device"}, "setting 'credit.engine'"),
    ],
)
def test_wrong_arguments_are_refused_by_name(others, message):
    with pytest.raises(ValueError, match=message):
        proxmo.credit(**arguments(**others))


def test_ppo_and_mixed_baselines_read_values():
    values = np.array([0.5, 0.75, 0.25, 0.125, 0.0])
    settings = {"estimator": "ppo", "normalize": "mean", "gamma": 0.5, "gae_lambda": 0.5}
    given = arguments(values=values, final_values=[0.0, 1.0, 0.0])
    found = proxmo.credit(**given, **settings)
    offsets, rewards = given["episode_offsets"], np.asarray(given["rewards"], float)
    expected = np.zeros(5)
    for first, end, last in zip(offsets, offsets[1:], [0.0, 1.0, 0.0]):
        following, following_value = 0.0, last
        for step in reversed(range(first, end)):
            error = rewards[step] + 0.5 * following_value - values[step]
            expected[step] = following = error + 0.25 * following
            following_value = values[step]
    np.testing.assert_allclose(found.returns, expected + values, atol=1e-12)
    np.testing.assert_allclose(found.advantages, expected - expected.mean(), atol=1e-12)
    np.testing.assert_array_equal(found.baselines, values)

    plain = proxmo.credit(**arguments())
    mixed = proxmo.credit(**arguments(values=values), value_weight=0.25)
    np.testing.assert_allclose(mixed.baselines, 0.75 * plain.baselines + 0.25 * values, atol=1e-12)
    step = plain.step_advantages + plain.baselines - mixed.baselines
    np.testing.assert_allclose(mixed.step_advantages, step, atol=1e-12)


def test_settings_may_come_as_numpy_scalars():
    expected = proxmo.credit(**arguments(), gamma=0.5, history=3).returns
    found = proxmo.credit(**arguments(), gamma=np.float32(0.5), history=np.int64(3)).returns
    np.testing.assert_array_equal(found, expected)


def test_a_config_is_checked_compared_copied_and_replaced():
    config = proxmo.Config(estimator="gigpo", gamma=0.9, modulation={"range": 0.1})
    assert config == proxmo.Config(modulation={"range": 0.1}, estimator="gigpo", gamma=0.9)
    assert config != proxmo.Config()
    assert config.to_dict()["gamma"] == 0.9
    assert config.replace(gamma=0.95).to_dict()["estimator"] == "gigpo"
    assert pickle.loads(pickle.dumps(config)) == config == copy.deepcopy(config)
    assert repr(proxmo.Config(gamma=0.5)) == "Config(gamma=0.5)"
    with pytest.raises(ValueError, match="credit.gamma"):
        proxmo.Config(gamma=2)
    with pytest.raises(ValueError, match="credit.gamma"):
        config.replace(gamma=2)
    by_config = proxmo.credit(**arguments(), config=config)
    by_name = proxmo.credit(**arguments(), **config.to_dict())
    np.testing.assert_array_equal(by_config.advantages, by_name.advantages)
    changed = proxmo.credit(**arguments(), config=config, gamma=0.5)
    np.testing.assert_allclose(changed.returns[0], 0.5)


def test_an_automatic_temperature_learns_in_its_state():
    state = proxmo.State()
    assert state.prediction_errors == []
    found = proxmo.credit(**arguments(), temperature="auto", state=state)
    assert len(state.prediction_errors) == 16
    assert found.diagnostics["temperature"] > 0
    again = pickle.loads(pickle.dumps(state))
    assert again.prediction_errors == state.prediction_errors


def test_graphgpo_reads_the_last_observations():
    last = ["the study, with a key", "the cellar", "the hall"]
    found = proxmo.credit(**arguments(final_observations=last), estimator="graphgpo", gamma=0.5)
    assert np.isfinite(found.advantages).all() and found.advantages[1] > 0


def test_g2po_reads_whether_actions_were_valid():
    valid = np.array([True, True, False, True, True])
    given = arguments(valid=valid, rewards=np.array([0, 10, 0, 0, 0]))
    found = proxmo.credit(**given, estimator="g2po", success_value=10)
    other = proxmo.credit(**given, estimator="g2po", success_value=10, invalid_action_penalty=0)
    assert not np.array_equal(found.advantages, other.advantages)


def test_credit_rows_takes_rows_in_any_order():
    expected = proxmo.credit(**arguments())
    order = np.array([4, 1, 3, 0, 2])
    episodes = np.array([0, 0, 1, 1, 2])
    success = np.array([False, True, False, False, False])
    found = proxmo.credit_rows(
        arguments()["rewards"][order],
        ["task"] * 5,
        episodes[order].tolist(),
        times=np.array([0, 1, 0, 1, 0])[order],
        success=success[order],
        texts=[TEXTS[row] for row in order],
    )
    # Episodes and groups are numbered as they first appear, which changes sums by rounding alone.
    np.testing.assert_allclose(found.advantages, expected.advantages[order], atol=1e-12)
    np.testing.assert_allclose(found.returns, expected.returns[order], atol=1e-12)
    with pytest.raises(ValueError, match="episodes: expected 1, one for each row, found 2"):
        proxmo.credit_rows([1.0], ["task"], [0, 1], estimator="grpo")
    assert len(proxmo.credit_rows([], [], [], success=[], texts=[]).advantages) == 0


def large(rows=4000, dimension=64):
    """One large group."""
    rng = np.random.default_rng(1)
    return {
        "rewards": rng.normal(size=rows),
        "episode_offsets": np.arange(0, rows + 1, 10),
        "group_offsets": [0, rows // 10],
        "embeddings": rng.normal(size=(rows, dimension)).astype(np.float32),
    }


def test_other_threads_run_while_credit_is_assigned():
    given = large()
    counts = []

    def assign():
        counts.append(counted)
        proxmo.credit(**given)
        counts.append(counted)

    counted = 0
    worker = threading.Thread(target=assign)
    worker.start()
    while worker.is_alive():
        counted += 1
    # With the GIL held, this thread would stand still from the first count to the second.
    assert counts[1] > counts[0]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_a_forked_process_assigns_credit_too():
    given = arguments()
    expected = proxmo.credit(**given).advantages
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply_async(assign_in_another_process, (given,)).get(timeout=60)
    np.testing.assert_array_equal(found, expected)


def assign_in_another_process(given):
    return proxmo.credit(**given).advantages


def test_embeddings_of_float32_are_not_converted_in_python():
    given = large()
    size = given["embeddings"].nbytes
    tracemalloc.start()
    proxmo.credit(**given)
    _, peak = tracemalloc.get_traced_memory()
    assert peak < size / 2, "NumPy made no array of the size of the embeddings"
    tracemalloc.reset_peak()
    proxmo.credit(**given | {"embeddings": given["embeddings"].astype(np.float64)})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak > size, "the measurement sees a conversion"
