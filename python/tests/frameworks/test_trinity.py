"""The advantage function for Trinity-RFT, with the package itself on the CPU."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trinity.algorithm.advantage_fn")

from trinity.algorithm.advantage_fn import ADVANTAGE_FN  # noqa: E402
from trinity.common.experience import EID, Experience  # noqa: E402

import proxmo  # noqa: E402

TEXTS = ["hall", "study", "hall", "cellar"]


def experiences():
    """Two runs of two steps of one task, of which the first succeeds; in reverse."""
    rows = []
    for number, text in enumerate(TEXTS):
        run, step = divmod(number, 2)
        rows.append(
            Experience(
                eid=EID(batch=0, task=7, run=run, step=step),
                tokens=torch.arange(5),
                prompt_length=2,
                reward=1.0 if run == 0 else 0.0,
                action_mask=torch.tensor([True, True, False]),
                info={"observation": text},
            )
        )
    return rows[::-1]


def expected(**settings):
    return proxmo.credit(
        [0, 1, 0, 0], [0, 2, 4], [0, 2], [True, False], TEXTS, **settings
    ).advantages


def test_the_registry_finds_it_and_it_credits_experiences():
    function = ADVANTAGE_FN.get("proxmo.trinity.ProxMO")
    assert function.compute_in_trainer() is False
    exps, metrics = function(**function.default_args() | {"gamma": 0.5})(experiences())
    found = torch.stack([exp.advantages for exp in exps]).numpy()
    np.testing.assert_allclose(found[::-1, 0], expected(gamma=0.5), rtol=1e-6)
    assert (found[:, 2] == 0).all()
    assert metrics["experience_count"] == 4 and "proxmo/explained_variance" in metrics
    assert function()([]) == ([], {})


def test_rewards_and_success_of_steps_come_from_info():
    from proxmo.trinity import ProxMO

    rows = experiences()
    for row in rows:
        row.info |= {"step_reward": 0.25, "success": row.eid.run == 1}
    exps, _ = ProxMO()(rows)
    wanted = proxmo.credit([0.25] * 4, [0, 2, 4], [0, 2], [False, True], TEXTS).advantages
    np.testing.assert_allclose([float(e.advantages[0]) for e in exps][::-1], wanted, rtol=1e-5)
    rows[0].info.pop("observation")
    with pytest.raises(ValueError, match="observation"):
        ProxMO()(rows)
