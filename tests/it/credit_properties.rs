//! Properties of credit that hold for all episodes, and edge cases.

use crate::support::credit::{Draw, Episode, Step, batch};
use proxmo::credit::{
    Beta, Credit, CreditConfig, CreditState, Embedding, Estimator, Inclusion, Modulation,
    Normalize, Statistics, SuccessPrior, Temperature, assign, assign_with,
};
use proxmo::embed::tfidf;
use proxmo::episodes::{Batch, Embeddings, MAX_REWARD};
use rand::seq::SliceRandom;

const SEEDS: u64 = 60;

fn credit(groups: &[Vec<Episode>], config: &CreditConfig) -> Credit {
    assign(&batch(groups), config).unwrap()
}

/// An estimator with embeddings that do not depend on the rest of the batch.
fn hashed(estimator: Estimator) -> CreditConfig {
    CreditConfig { embedding: Embedding::Hashed, ..CreditConfig::of(estimator) }
}

fn only_mean(estimator: Estimator) -> CreditConfig {
    CreditConfig { normalize: Normalize::Mean, ..hashed(estimator) }
}

/// Advantages by group, episode and step.
fn nested(groups: &[Vec<Episode>], flat: &[f64]) -> Vec<Vec<Vec<f64>>> {
    let mut rest = flat.iter().copied();
    let mut episode = |episode: &Episode| rest.by_ref().take(episode.steps.len()).collect();
    groups.iter().map(|group| group.iter().map(&mut episode).collect()).collect()
}

#[track_caller]
fn near(a: &[f64], b: &[f64], place: &str) {
    assert_eq!(a.len(), b.len(), "{place}");
    for (row, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 2e-5 * b.abs().max(1.0), "{place}: row {row}: {a} and {b}");
    }
}

fn without(left_out: &[Estimator]) -> impl Iterator<Item = Estimator> {
    Estimator::ALL.iter().copied().filter(|estimator| !left_out.contains(estimator))
}

#[test]
fn the_order_of_episodes_and_groups_does_not_matter() {
    for seed in 0..SEEDS {
        let groups = Draw::of(seed).groups(seed);
        let mut rng = proxmo::stream::Stream::new(seed, proxmo::stream::Purpose::Tasks).rng();
        let mut order: Vec<(usize, Vec<usize>)> =
            groups.iter().map(|group| (0..group.len()).collect()).enumerate().collect();
        order.shuffle(&mut rng);
        order.iter_mut().for_each(|(_, episodes)| episodes.shuffle(&mut rng));
        let pick = |(group, episodes): &(usize, Vec<usize>)| -> Vec<Episode> {
            episodes.iter().map(|&episode| groups[*group][episode].clone()).collect()
        };
        let shuffled: Vec<Vec<Episode>> = order.iter().map(pick).collect();
        for &estimator in Estimator::ALL {
            for config in [CreditConfig::of(estimator), hashed(estimator)] {
                let before = nested(&groups, &credit(&groups, &config).advantages);
                let expected: Vec<f64> = order
                    .iter()
                    .flat_map(|(group, episodes)| episodes.iter().map(move |e| (*group, *e)))
                    .flat_map(|(group, episode)| before[group][episode].clone())
                    .collect();
                let after = credit(&shuffled, &config).advantages;
                near(&after, &expected, &format!("seed {seed}, {estimator}"));
            }
        }
    }
}

/// Without discount, a bonus at the end of every episode is added to each return and total reward. It
/// changes G2PO and GraphGPO, where a failure has value 0.
#[test]
fn a_constant_added_to_all_returns_changes_nothing() {
    for seed in 0..SEEDS {
        let groups = Draw::of(seed).groups(seed);
        let mut richer = groups.clone();
        for episode in richer.iter_mut().flatten() {
            episode.steps.last_mut().unwrap().reward += 4.0;
        }
        // Values do not know of the bonus.
        for estimator in without(&[Estimator::G2po, Estimator::Graphgpo, Estimator::Ppo]) {
            let config = CreditConfig { gamma: 1.0, ..CreditConfig::of(estimator) };
            let (before, after) = (credit(&groups, &config), credit(&richer, &config));
            near(&after.advantages, &before.advantages, &format!("seed {seed}, {estimator}"));
        }
    }
}

#[test]
fn advantages_scale_with_rewards() {
    for seed in 0..SEEDS {
        let groups = Draw::of(seed).groups(seed);
        let mut richer = groups.clone();
        let steps = richer.iter_mut().flatten().flat_map(|episode| &mut episode.steps);
        steps.for_each(|step| step.reward *= 8.0);
        // Values do not scale by themselves.
        for estimator in without(&[Estimator::Ppo]) {
            let config = CreditConfig { invalid_action_penalty: 0.0, ..only_mean(estimator) };
            let before = credit(&groups, &config).advantages;
            let expected: Vec<f64> = before.iter().map(|advantage| 8.0 * advantage).collect();
            let after = credit(&richer, &config).advantages;
            near(&after, &expected, &format!("seed {seed}, {estimator}"));
        }
    }
}

/// RLOO alone depends on the number of other episodes.
#[test]
fn duplicating_every_episode_changes_nothing() {
    for seed in 0..SEEDS {
        let groups = Draw::of(seed).groups(seed);
        let twice: Vec<Vec<Episode>> =
            groups.iter().map(|group| [group.clone(), group.clone()].concat()).collect();
        for estimator in without(&[Estimator::Rloo]) {
            let before = nested(&groups, &credit(&groups, &only_mean(estimator)).advantages);
            let expected: Vec<f64> =
                before.iter().flat_map(|group| [group.concat(), group.concat()].concat()).collect();
            let after = credit(&twice, &only_mean(estimator)).advantages;
            near(&after, &expected, &format!("seed {seed}, {estimator}"));
        }
    }
}

/// REINFORCE++ and PPO normalise over the batch, so their groups influence each other.
#[test]
fn groups_do_not_influence_each_other() {
    for seed in 0..SEEDS {
        let groups = Draw::of(seed).groups(seed);
        let over_batch = [Estimator::ReinforcePp, Estimator::ReinforcePpBaseline, Estimator::Ppo];
        for estimator in without(&over_batch) {
            let together = credit(&groups, &hashed(estimator)).advantages;
            let separate: Vec<f64> = groups
                .iter()
                .flat_map(|group| {
                    credit(std::slice::from_ref(group), &hashed(estimator)).advantages
                })
                .collect();
            assert_eq!(together, separate, "seed {seed}, {estimator}");
        }
    }
}

/// Episodes in numbered rooms with distinct embeddings.
fn rooms(seed: u64) -> Vec<Vec<Episode>> {
    let mut groups = Draw::of(seed).groups(seed);
    let mut room = seed;
    for step in groups.iter_mut().flatten().flat_map(|episode| &mut episode.steps) {
        room = (room * 7 + 3) % 11;
        step.observation = format!("you are in room {room} of the house");
    }
    groups
}

#[test]
fn a_low_temperature_is_exact_matching() {
    for seed in 0..SEEDS {
        let groups = rooms(seed);
        let cold =
            CreditConfig { temperature: Temperature::Fixed(1e-4), ..only_mean(Estimator::Proxmo) };
        let (soft, hard) = (credit(&groups, &cold), credit(&groups, &only_mean(Estimator::Gigpo)));
        near(&soft.step_advantages, &hard.step_advantages, &format!("seed {seed}"));
        near(&soft.baselines, &hard.baselines, &format!("seed {seed}"));
        let (soft, hard) = (soft.diagnostics, hard.diagnostics);
        assert!((soft.neighbours.unwrap() - hard.neighbours.unwrap()).abs() < 1e-6);
    }
}

#[test]
fn a_high_temperature_gives_the_groups_mean() {
    for seed in 0..SEEDS {
        let groups = Draw::of(seed).groups(seed);
        for embedding in [Embedding::Tfidf, Embedding::Hashed] {
            let hot = Temperature::Fixed(1e6);
            let config = CreditConfig { embedding, temperature: hot, ..CreditConfig::default() };
            let found = credit(&groups, &config);
            let returns = nested(&groups, &found.returns);
            let mean = |group: &Vec<Vec<f64>>| -> Vec<f64> {
                let returns = group.concat();
                let mean = returns.iter().sum::<f64>() / returns.len() as f64;
                vec![mean; returns.len()]
            };
            let means: Vec<f64> = returns.iter().flat_map(mean).collect();
            near(&found.baselines, &means, &format!("seed {seed}"));
        }
    }
}

#[test]
fn an_excluded_row_does_not_influence_its_baseline() {
    let alone =
        CreditConfig { gamma: 0.0, self_weight: Inclusion::Exclude, ..CreditConfig::default() };
    let others = CreditConfig { same_episode: Inclusion::Exclude, ..CreditConfig::default() };
    for seed in 0..SEEDS {
        let groups = Draw::of(seed).groups(seed);
        let mut changed = groups.clone();
        changed[0][0].steps[0].reward += 100.0;
        let (before, after) = (credit(&groups, &alone), credit(&changed, &alone));
        let lone = groups[0].iter().map(|episode| episode.steps.len()).sum::<usize>() == 1;
        if !lone {
            near(&after.baselines[..1], &before.baselines[..1], &format!("seed {seed}"));
        }
        let (before, after) = (credit(&groups, &others), credit(&changed, &others));
        let own = groups[0][0].steps.len();
        if groups[0].len() > 1 {
            near(&after.baselines[..own], &before.baselines[..own], &format!("seed {seed}"));
        } else {
            assert!(after.step_advantages[..own].iter().all(|&advantage| advantage == 0.0));
        }
    }
}

/// The paper's ablations are settings.
#[test]
fn episode_part_and_step_part_combine_freely() {
    for seed in 0..SEEDS {
        let groups = Draw::of(seed).groups(seed);
        let both = credit(&groups, &CreditConfig::default());
        let off = CreditConfig { modulation: Modulation::Off, ..CreditConfig::default() };
        let soft_alone = credit(&groups, &off);
        let gigpo =
            CreditConfig { normalize: Normalize::Mean, ..CreditConfig::of(Estimator::Gigpo) };
        let neither = credit(&groups, &gigpo);
        let on = Modulation::On(Default::default());
        let modulation_alone = credit(&groups, &CreditConfig { modulation: on, ..gigpo.clone() });
        assert_eq!(both.step_advantages, soft_alone.step_advantages);
        assert_eq!(both.episode_advantages, modulation_alone.episode_advantages);
        assert_eq!(neither.step_advantages, modulation_alone.step_advantages);
        assert_eq!(neither.episode_advantages, soft_alone.episode_advantages);
        let episodes = CreditConfig { step_weight: 0.0, ..gigpo };
        let dr_grpo = CreditConfig::of(Estimator::DrGrpo);
        assert_eq!(credit(&groups, &episodes).advantages, credit(&groups, &dr_grpo).advantages);
    }
}

#[test]
fn given_embeddings_are_used() {
    for seed in 0..SEEDS {
        let batch = batch(&Draw::of(seed).groups(seed));
        let mut copies = vec![0; batch.texts().len()];
        batch.observations().iter().for_each(|&text| copies[text as usize] += 1);
        let rows = tfidf(batch.texts(), &copies, 1024).rows;
        // Not of unit length, as those of an encoder.
        let by_text: Vec<f32> = rows.to_dense().iter().map(|value| 3.0 * value).collect();
        let width = rows.width();
        if width == 0 {
            continue;
        }
        let of_text = |&text: &u32| &by_text[text as usize * width..(text as usize + 1) * width];
        let by_step: Vec<f32> = batch.observations().iter().flat_map(of_text).copied().collect();
        let expected = assign(&batch, &CreditConfig::default()).unwrap().advantages;
        let given = CreditConfig { embedding: Embedding::Given, ..CreditConfig::default() };
        for embeddings in [
            Embeddings::Texts { values: by_text.clone(), width },
            Embeddings::Steps { values: by_step, width },
        ] {
            let batch = batch.with_embeddings(embeddings).unwrap();
            near(&assign(&batch, &given).unwrap().advantages, &expected, &format!("seed {seed}"));
        }
        let error = assign(&batch, &given).unwrap_err().to_string();
        assert!(error.contains("the batch has no embeddings"), "{error}");
    }
}

fn step(observation: &str, reward: f64) -> Step {
    Step { observation: observation.to_string(), reward, valid: true }
}

fn episode(steps: &[(&str, f64)], success: bool) -> Episode {
    Episode {
        steps: steps.iter().map(|&(observation, reward)| step(observation, reward)).collect(),
        success,
        final_observation: Some("the end".to_string()),
    }
}

/// All combinations of the settings that select a code path.
fn all_paths() -> Vec<CreditConfig> {
    let mut configs = Vec::new();
    for &estimator in Estimator::ALL {
        for statistics in [Statistics::Episode, Statistics::Step] {
            for (self_weight, same_episode) in [
                (Inclusion::Include, Inclusion::Include),
                (Inclusion::Exclude, Inclusion::Include),
                (Inclusion::Include, Inclusion::Exclude),
            ] {
                for temperature in
                    [Temperature::Fixed(1e-6), Temperature::Fixed(0.1), Temperature::Auto]
                {
                    let config = CreditConfig {
                        statistics,
                        self_weight,
                        same_episode,
                        temperature,
                        base_group: true,
                        similarity: Some(0.9),
                        success_prior: SuccessPrior::Fitted,
                        modulation: Modulation::On(Default::default()),
                        ..CreditConfig::of(estimator)
                    };
                    configs.push(CreditConfig { embedding: Embedding::Hashed, ..config.clone() });
                    configs.push(config);
                }
            }
        }
    }
    let scaled: Vec<CreditConfig> = configs
        .iter()
        .filter(|config| config.estimator == Estimator::Proxmo)
        .map(|config| CreditConfig { normalize: Normalize::MeanStd, ..config.clone() })
        .collect();
    let mixed: Vec<CreditConfig> = configs
        .iter()
        .filter(|config| matches!(config.estimator, Estimator::Proxmo | Estimator::Gigpo))
        .map(|config| CreditConfig {
            normalize: Normalize::Mean,
            value_weight: 0.5,
            ..config.clone()
        })
        .collect();
    configs.extend(scaled);
    configs.extend(mixed);
    configs
}

#[test]
fn edge_cases_have_finite_credit() {
    let won = episode(&[("hall", 0.0), ("kitchen", 1.0)], true);
    let lost = episode(&[("hall", 0.0), ("cellar", 0.0)], false);
    let blank = episode(&[("", 0.0), ("!?", 0.0), ("", 1.0)], true);
    let cases: [(&str, Vec<Vec<Episode>>); 9] = [
        ("nothing", vec![]),
        ("an empty group", vec![vec![], vec![won.clone()]]),
        ("an empty episode", vec![vec![episode(&[], false), won.clone()]]),
        ("one episode", vec![vec![won.clone()]]),
        ("one step", vec![vec![episode(&[("hall", 1.0)], true)]]),
        ("all succeed", vec![vec![won.clone(); 4]]),
        ("all fail", vec![vec![lost.clone(); 4]]),
        ("empty observations", vec![vec![blank.clone(), blank.clone(), lost.clone()]]),
        ("a mixture", vec![vec![won, lost, blank]]),
    ];
    for (case, groups) in &cases {
        let rows: usize = groups.iter().flatten().map(|episode| episode.steps.len()).sum();
        for config in all_paths() {
            let credit = credit(groups, &config);
            for numbers in [&credit.returns, &credit.advantages, &credit.step_advantages] {
                assert_eq!(numbers.len(), rows, "{case}, {config:?}");
                assert!(numbers.iter().all(|x| x.is_finite()), "{case}, {config:?}: {credit:?}");
            }
            // A value of n differs from their mean by less than √n deviations.
            let bound = if config.normalize == Normalize::Mean { 20.0 } else { 4.0 };
            let most = credit.advantages.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            assert!(most <= bound, "{case}, {config:?}: an advantage of {most}");
        }
    }
}

#[test]
fn zero_variance_groups_have_no_episode_part() {
    for reward in [0.0, 1.0] {
        let one = episode(&[("hall", 0.0), ("kitchen", reward)], reward > 0.0);
        for &estimator in Estimator::ALL {
            let credit = credit(&[vec![one.clone(); 3]], &CreditConfig::of(estimator));
            assert!(credit.episode_advantages.iter().all(|&x| x == 0.0), "{estimator}");
        }
    }
}

/// One-step episodes in numbered rooms. The reward is the room's number if `predictable`, else random.
fn numbered_rooms(predictable: bool) -> Vec<Vec<Episode>> {
    let mut state = 1u64;
    let mut next = |below: u64| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        (state >> 16) % below
    };
    let mut one = || {
        let room = next(4);
        let value = if predictable { room } else { next(4) };
        episode(&[(&format!("you are in room {room} of the house"), value as f64)], value > 1)
    };
    (0..8).map(|_| (0..40).map(|_| one()).collect()).collect()
}

#[test]
fn the_automatic_temperature_predicts_returns_best() {
    let auto = CreditConfig { temperature: Temperature::Auto, ..hashed(Estimator::Proxmo) };
    let predictable = credit(&numbered_rooms(true), &auto).diagnostics;
    let noise = credit(&numbered_rooms(false), &auto).diagnostics;
    assert!(predictable.temperature.unwrap() < 0.05, "{:?}", predictable.temperature);
    assert!(noise.temperature.unwrap() > 0.5, "{:?}", noise.temperature);
    assert!(
        predictable.leave_one_out_error.unwrap() < 0.01,
        "{:?}",
        predictable.leave_one_out_error
    );
    assert!(
        predictable.explained_variance.unwrap() > 0.99 && noise.explained_variance.unwrap() < 0.2
    );
    let fixed = Temperature::Fixed(1.0);
    let warm = credit(&numbered_rooms(true), &CreditConfig { temperature: fixed, ..auto });
    assert!(warm.diagnostics.leave_one_out_error > predictable.leave_one_out_error);
}

#[test]
fn the_automatic_temperature_averages_over_iterations() {
    let auto = CreditConfig { temperature: Temperature::Auto, ..hashed(Estimator::Proxmo) };
    let (predictable, noise) = (batch(&numbered_rooms(true)), batch(&numbered_rooms(false)));
    let mut state = CreditState::default();
    let play = |batch: &Batch, state: &mut CreditState| {
        let credit = assign_with(batch, &auto, state).unwrap();
        credit.diagnostics.temperature.unwrap()
    };
    let cold = play(&predictable, &mut state);
    let still = play(&noise, &mut state);
    assert!(still < 0.1, "one batch of noise turned {cold} into {still}");
    let kept = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<CreditState>(&kept).unwrap(), state);
    let all_equal = batch(&[vec![episode(&[("hall", 0.0)], false); 4]]);
    assert_eq!(play(&all_equal, &mut state), still);
    assert_eq!(
        serde_json::to_string(&state).unwrap(),
        kept,
        "equal returns leave the state unchanged"
    );
    assert_eq!(
        play(&all_equal, &mut CreditState::default()),
        0.1,
        "the paper's temperature before the first batch"
    );
}

#[test]
fn a_prior_shrinks_success_rates() {
    let (won, lost) = (episode(&[("a", 1.0)], true), episode(&[("a", 0.0)], false));
    let groups =
        [vec![won.clone(); 4], [vec![won; 2], vec![lost.clone(); 2]].concat(), vec![lost; 4]];
    let rates = |success_prior| -> Vec<f64> {
        let config = CreditConfig { success_prior, ..CreditConfig::default() };
        let modulation = credit(&groups, &config).diagnostics.modulation;
        modulation.iter().map(|group| group.success_rate).collect()
    };
    assert_eq!(rates(SuccessPrior::None), [1.0, 0.5, 0.0]);
    let beta = Beta { successes: 1.0, failures: 1.0 };
    assert_eq!(rates(SuccessPrior::Beta(beta)), [5.0 / 6.0, 0.5, 1.0 / 6.0]);
    let fitted = rates(SuccessPrior::Fitted);
    assert!(0.5 < fitted[0] && fitted[0] < 1.0 && 0.0 < fitted[2] && fitted[2] < 0.5);
    assert!((fitted[1] - 0.5).abs() < 1e-12);
}

#[test]
fn diagnostics_count_the_rows_that_exact_matching_cannot_compare() {
    let groups = [
        vec![episode(&[("a", 0.0), ("b", 0.0), ("a", 1.0)], true)],
        vec![episode(&[("a", 0.0), ("c", 0.0)], false)],
    ];
    let found = credit(&groups, &CreditConfig::of(Estimator::Gigpo)).diagnostics;
    assert_eq!((found.rows, found.states, found.lone_rows), (5, 4, 0.6));
    assert_eq!(found.neighbours, Some((2.0 + 1.0 + 2.0 + 1.0 + 1.0) / 5.0));
    assert!(found.modulation.is_empty() && found.temperature.is_none());
    let grpo = credit(&groups, &CreditConfig::of(Estimator::Grpo)).diagnostics;
    assert_eq!(
        (grpo.neighbours, grpo.explained_variance, grpo.leave_one_out_error),
        (None, None, None)
    );
}

#[cfg(feature = "parallel")]
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let draw = Draw {
        groups: 12,
        episodes: 8,
        steps: 30,
        observations: 60,
        success_value: 1.0,
        step_rewards: true,
    };
    let groups = draw.groups(3);
    for config in all_paths() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| credit(&groups, &config))
        };
        assert_eq!(with(1), with(3), "{config:?}");
    }
}

#[test]
fn the_largest_rewards_have_finite_credit() {
    let max = MAX_REWARD;
    let mut rich = episode(&[("hall", max), ("kitchen", -max)], true);
    let mut poor = episode(&[("hall", -max), ("cellar", -max)], false);
    let steps = rich.steps.iter_mut().chain(&mut poor.steps);
    steps.for_each(|step| step.valid = false);
    let mut silent = poor.clone();
    silent.steps.iter_mut().for_each(|step| step.observation.clear());
    let cases = [
        vec![vec![rich.clone(); 3]],
        vec![vec![poor.clone(); 3]],
        vec![vec![rich.clone()]],
        vec![vec![silent.clone()]],
        vec![vec![silent.clone(), rich.clone(), silent.clone()]],
        vec![vec![rich.clone(), poor.clone(), poor]],
    ];
    // With the largest weights, too.
    let weighted =
        |config: CreditConfig| CreditConfig { step_weight: 1e6, episode_weight: 1e6, ..config };
    for groups in &cases {
        for config in all_paths().into_iter().flat_map(|config| [weighted(config.clone()), config])
        {
            let credit = credit(groups, &config);
            for numbers in [
                &credit.returns,
                &credit.advantages,
                &credit.step_advantages,
                &credit.episode_advantages,
                &credit.baselines,
            ] {
                assert!(numbers.iter().all(|x| x.is_finite()), "{config:?}: {credit:?}");
            }
            let found = &credit.diagnostics;
            let mut numbers =
                [found.explained_variance, found.leave_one_out_error].into_iter().flatten();
            assert!(numbers.all(f64::is_finite), "{config:?}: {found:?}");
        }
    }
    // Larger rewards are refused.
    let step = proxmo::episodes::Step::new("hall", 2e30);
    let groups = Batch::builder().group([proxmo::episodes::Episode::new().steps([step])]);
    let message = groups.build().unwrap_err().to_string();
    assert!(message.starts_with("groups[0].episodes[0].steps[0].reward: expected a number from"));
}
