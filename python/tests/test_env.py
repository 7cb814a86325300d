"""Environments."""

import numpy as np
import pytest

import proxmo
from proxmo.env import make


@pytest.fixture(scope="module")
def household():
    return make("household", tasks=20, held_out=2)


def test_walkthroughs_solve_their_tasks_together(household):
    assert (household.name, len(household), household.max_steps) == ("household", 20, 50)
    assert len(household.tasks) == len(household.kinds) == 20
    tasks = list(range(20))
    plans = [household.walkthrough(task) for task in tasks]
    begun = household.reset(tasks)
    assert begun.tasks == household.tasks
    assert all(begun.goals) and all(begun.observations)
    won = np.zeros(20, dtype=bool)
    total = np.zeros(20)
    admissible = begun.admissible
    for at in range(max(map(len, plans))):
        actions = [plan[at] if at < len(plan) else None for plan in plans]
        for action, offered in zip(actions, admissible):
            assert action is None or action in offered
        done = household.step(actions)
        assert done.rewards.dtype == np.float64 and done.terminated.dtype == np.bool_
        assert done.valid.all() and not done.truncated.any()
        admissible = done.admissible
        total += done.rewards
        won |= done.success
    assert won.all() and done.terminated.all()
    assert (total == 1.0).all(), "an episode that has ended is not rewarded again"
    assert done.admissible == [[]] * 20


def test_a_wrong_action_is_not_valid_and_the_step_limit_truncates():
    env = make("household", tasks=2, max_steps=2)
    env.reset([0, env.tasks[1]])
    done = env.step(["dance", "look"])
    assert done.valid.tolist() == [False, True]
    done = env.step(["dance", "look"])
    assert done.truncated.all() and not done.terminated.any() and not done.success.any()
    assert done.scores is None


def test_seeds_pick_tasks(household):
    again = [household.reset(seeds=[7, 8, 9]).tasks for _ in range(2)]
    assert again[0] == again[1]
    assert len(set(household.reset(seeds=range(30)).tasks)) > 1


def test_episodes_are_credited(household):
    tasks = [0, 0, 1, 1]
    begun = household.reset(tasks)
    plans = [household.walkthrough(task) for task in tasks]
    rows = {"rewards": [], "groups": [], "episodes": [], "success": [], "texts": []}
    texts, ended = begun.observations, [False] * 4
    for at in range(50):
        # The first episode of each task follows the plan, the second one waits.
        actions = [p[at] if n % 2 == 0 and at < len(p) else "look" for n, p in enumerate(plans)]
        done = household.step(actions)
        for n in range(4):
            if not ended[n]:
                rows["rewards"].append(done.rewards[n])
                rows["groups"].append(tasks[n])
                rows["episodes"].append(n)
                rows["success"].append(bool(done.success[n]))
                rows["texts"].append(texts[n])
        texts, ended = done.observations, (done.terminated | done.truncated).tolist()
    found = proxmo.credit_rows(**rows)
    episodes = np.array(rows["episodes"])
    assert found.advantages[episodes == 0].mean() > found.advantages[episodes == 1].mean()
    assert found.diagnostics["rows"] == len(episodes)


def test_webshop_has_scores():
    env = make("webshop", generated=50, max_steps=3)
    env.reset([0])
    done = env.step(["search[shoes]"])
    assert done.valid.all() and done.scores is not None
    assert any(action.startswith("click[") for action in done.admissible[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make("mars"), "'mars' is unknown, expected 'household'"),
        (lambda: make("household", taks=3), "setting 'env.taks': is an unknown key"),
        (lambda: make("household", tasks="many"), "setting 'env.tasks': is 'many', expected"),
        (lambda: make("household", max_steps=1.5), "setting 'env.max_steps': is 1.5, expected"),
        (lambda: make("household", tasks=0), "env.tasks"),
        (lambda: make("household", split="test"), "'test' is unknown"),
        (lambda: make("household", games="x"), "setting 'env.games': is a setting of"),
    ],
)
def test_wrong_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_file_that_does_not_exist_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="nothing"):
        make("alfworld", games=tmp_path / "nothing")


def test_wrong_arguments_are_refused_by_name(household):
    for arguments, message in [
        (([99],), r"tasks\[0\]: is 99, but there are 20 tasks"),
        (([-1],), r"tasks\[0\]: is -1"),
        ((["nowhere"],), r"tasks\[0\]: there is no task 'nowhere'"),
        (([0.5],), r"tasks\[0\]: expected a number or a name"),
        (("nowhere",), "tasks: expected a list"),
        (([0], [1, 2]), "seeds: expected 1, one for each task, found 2"),
        (([0], [-1]), "seeds"),
        ((), "tasks: expected tasks or seeds"),
    ]:
        with pytest.raises(ValueError, match=message):
            household.reset(*arguments)
    household.reset([0, 1])
    with pytest.raises(ValueError, match="actions: expected 2, one for each episode, found 1"):
        household.step(["look"])
    with pytest.raises(ValueError, match=r"actions\[1\]: .*the episode has not ended"):
        household.step(["look", None])


def test_alfworld_is_played(shared):
    env = make("alfworld", games=shared("alfworld"), split="valid_seen")
    plan = env.walkthrough(0)
    env.reset([0])
    for action in plan:
        done = env.step([action])
    assert done.success.all() and done.terminated.all()


def test_gymnasium_accepts_the_environment():
    pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    env = proxmo.env.GymEnv("household", tasks=[3], render_mode="ansi")
    check_env(env, skip_render_check=True)
    observation, info = env.reset(seed=1)
    assert env.render() == observation and info["goal"] in observation
    for action in env.environment.walkthrough(3):
        observation, reward, terminated, truncated, info = env.step(action)
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    _, info = env.reset(seed=1, options={"task": env.environment.tasks[3]})
    assert info["task"] == env.environment.tasks[3]
