//! NaN and infinite values: they are detected, counted and traced to their row.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use proxmo::credit::Embedding;
use proxmo::policy::scorer::Scorer;
use proxmo::runs::checkpoint;
use proxmo::stream::{Purpose, Stream};
use proxmo::train::{Trainer, UpdateBatch};

use super::poisoned::{Poison, Poisoned};
use super::runs::{BALLS, config, player, spec, trainer};

/// Makes every weight NaN.
struct MakeNan;

impl ModuleMapper for MakeNan {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.mul_scalar(f32::NAN))
    }
}

#[test]
fn nan_weights_end_the_run_and_are_not_saved() {
    let mut trainer = trainer(config());
    trainer.learner.policy = trainer.learner.policy.clone().map(&mut MakeNan);
    let error = trainer.iterate(&BALLS, 0.0).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("not finite"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = checkpoint::save(folder.path(), &trainer, &spec(), 0.0, None).unwrap_err();
    assert!(error.to_string().contains("holds a NaN or infinite value"), "{error}");
    assert_eq!(checkpoint::list(folder.path()).unwrap(), Vec::<u64>::new());
}

#[test]
fn a_non_finite_update_is_skipped_counted_and_traced() {
    let mut trainer = trainer(config());
    let (_, batch) = trainer.iterate(&BALLS, 0.0).unwrap();
    let rows = batch.rows();
    let before = trainer.learner.policy.clone();
    let learn = |trainer: &mut Trainer<Scorer>, advantages: &[f32], max_skipped_updates: usize| {
        let mut update = trainer.config.update.clone();
        update.max_skipped_updates = max_skipped_updates;
        update.minibatch = 1_000_000;
        trainer.learner.learn(&UpdateBatch {
            batch: &batch,
            advantages,
            returns: &[],
            temperature: 1.0,
            config: &update,
            learning_rate: 0.01,
            shuffle: Stream::new(0, Purpose::Minibatches),
        })
    };
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut advantages = vec![0.5; rows];
        advantages[7] = bad;
        // Two epochs of one minibatch each.
        let stats = learn(&mut trainer, &advantages, 3).unwrap();
        assert_eq!((stats.skipped, stats.updates), (2, 0));
        assert_eq!(trainer.learner.consecutive_skips, 2);
        let error = learn(&mut trainer, &advantages, 3).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("3 consecutive updates"), "{said}");
        assert!(said.contains("row 7 (group 0, episode"), "{said}");
        assert!(said.contains(&format!("its advantage is {bad}")), "{said}");
        assert_eq!(error.exit_code(), 1);
        assert!(bytes(&before) == bytes(&trainer.learner.policy), "the weights changed");
        // A finite update resets the count.
        let stats = learn(&mut trainer, &vec![0.0; rows], 3).unwrap();
        assert_eq!((stats.skipped, trainer.learner.consecutive_skips), (0, 0));
        trainer.learner.policy = before.clone();
    }
}

/// A policy's weights as bytes.
fn bytes(policy: &Scorer) -> Vec<u8> {
    use burn::store::{ModuleSnapshot, SafetensorsStore};
    let mut store = SafetensorsStore::from_bytes(None).clear_metadata();
    policy.valid().save_into(&mut store).unwrap();
    store.get_bytes().unwrap().to_vec()
}

/// A trainer of a poisoned policy, one minibatch per epoch.
fn poisoned(poison: Poison, embedding: Embedding) -> Trainer<Poisoned> {
    let (scorer, encoder) = player(&Device::flex().autodiff());
    let mut config = config();
    config.update.minibatch = 1_000_000;
    config.update.epochs = 2;
    config.update.max_skipped_updates = 3;
    config.credit.embedding = embedding;
    Trainer::new(config, Poisoned { scorer, poison }, encoder)
}

#[test]
fn a_poisoned_response_or_embedding_ends_the_run_and_names_the_step() {
    let mut trainer = poisoned(Poison::Sampled, Embedding::Tfidf);
    let error = trainer.iterate(&BALLS, 0.0).unwrap_err();
    let said = error.to_string();
    assert_eq!(error.exit_code(), 1);
    for part in ["log-probabilities are not finite", "task '", "(group 1, episode 1), step 1"] {
        assert!(said.contains(part), "{said}");
    }
    let mut trainer = poisoned(Poison::Embedding, Embedding::Policy);
    let error = trainer.iterate(&BALLS, 0.0).unwrap_err();
    let said = error.to_string();
    assert_eq!(error.exit_code(), 1);
    assert!(said.contains("row 7 (group 0, episode") && said.contains("holds inf"), "{said}");
}

#[test]
fn poisoned_updates_are_skipped_until_the_limit() {
    for (poison, says) in [
        (Poison::Scored, "its log-probability under the policy is NaN"),
        (Poison::Gradient, "so the gradient overflows"),
    ] {
        let mut trainer = poisoned(poison, Embedding::Tfidf);
        let before = bytes(&trainer.learner.policy.scorer);
        let (line, _) = trainer.iterate(&BALLS, 0.0).unwrap();
        assert_eq!(line.skipped_updates, 2, "{poison:?}");
        let error = trainer.iterate(&BALLS, 0.0).unwrap_err();
        let said = error.to_string();
        assert_eq!(error.exit_code(), 1);
        assert!(said.contains("3 consecutive updates") && said.contains(says), "{said}");
        assert!(poison == Poison::Gradient || said.contains("row 7 (group 0"), "{said}");
        assert!(bytes(&trainer.learner.policy.scorer) == before, "the weights changed");
    }
}
