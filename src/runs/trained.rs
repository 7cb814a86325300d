//! A trained policy, loaded from a checkpoint.

use std::path::Path;

use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;

use super::checkpoint;
use crate::env::{Environment, Texts};
use crate::error::{Error, Result};
use crate::policy::{EncoderOf, Policy, PolicyConfig, PolicySpec, Sampling, SpecVisitor};
use crate::ranks::Ranks;
use crate::rollout::{Act, ActedEpisode};
use crate::train::{Evaluation, EvaluationPlan, EvaluationProgress, evaluate_on_ranks_async};

/// A trained policy of any kind that a checkpoint can hold.
pub struct TrainedPolicy {
    kind: &'static str,
    iteration: u64,
    player: Box<dyn Player>,
}

impl TrainedPolicy {
    /// Loads the policy of a checkpoint, such as one that [`checkpoint::find`] returns. `device` has no
    /// autodiff.
    ///
    /// # Errors
    /// Fails if the checkpoint is corrupt, or of another version or kind.
    pub fn load(checkpoint: &Path, device: &Device) -> Result<Self> {
        Self::load_as(checkpoint, None, device)
    }

    /// [`TrainedPolicy::load`] with other settings of the policy, of which some may change, such as how a
    /// language model answers.
    ///
    /// # Errors
    /// Fails as [`TrainedPolicy::load`], and if a setting differs that may not change.
    pub fn load_as(
        checkpoint: &Path,
        settings: Option<&PolicyConfig>,
        device: &Device,
    ) -> Result<Self> {
        let iteration = checkpoint::read_state(checkpoint)?.iteration;
        let mut description = checkpoint::read_description(checkpoint)?;
        if let Some(settings) = settings {
            let changed = description.with_settings(settings);
            description = changed.map_err(|message| Error::file(checkpoint, message))?;
        }
        let player = description.visit(LoadPlayer { checkpoint, device })?;
        Ok(Self { kind: description.kind(), iteration, player })
    }

    /// The kind of policy, as in `policy.kind`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Iterations that the policy was trained for.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// Plays every task of the plan once. `progress` receives how far it is.
    ///
    /// # Errors
    /// As [`evaluate`](crate::train::evaluate).
    pub fn evaluate(
        &self,
        environment: &dyn Environment,
        plan: &EvaluationPlan,
        progress: &mut dyn FnMut(EvaluationProgress),
    ) -> Result<Evaluation> {
        self.evaluate_on(&Ranks::alone(), environment, plan, progress)
    }

    /// [`TrainedPolicy::evaluate`] on several ranks, all of which have loaded the same checkpoint. Each
    /// plays some of the tasks and gets the outcomes of all.
    ///
    /// # Errors
    /// As [`evaluate`](crate::train::evaluate), also if another rank fails.
    pub fn evaluate_on(
        &self,
        ranks: &Ranks,
        environment: &dyn Environment,
        plan: &EvaluationPlan,
        progress: &mut dyn FnMut(EvaluationProgress),
    ) -> Result<Evaluation> {
        self.player.evaluate(ranks, environment, plan, progress)
    }

    /// Begins an episode of an environment that the caller plays. Actions are drawn from `draws`.
    pub fn begin(
        &self,
        goal: &str,
        sampling: Sampling,
        draws: ChaCha8Rng,
    ) -> Box<dyn PlayedEpisode + '_> {
        self.player.begin(goal, sampling, draws)
    }
}

/// [`ActedEpisode`] without the type of the policy.
pub trait PlayedEpisode {
    /// As [`ActedEpisode::act`].
    ///
    /// # Errors
    /// As [`ActedEpisode::act`].
    fn act(&mut self, observation: &str, admissible: &Texts) -> Result<Act>;
}

impl<P: Policy> PlayedEpisode for ActedEpisode<'_, P> {
    fn act(&mut self, observation: &str, admissible: &Texts) -> Result<Act> {
        ActedEpisode::act(self, observation, admissible)
    }
}

/// What a policy does, without its type.
trait Player {
    fn evaluate(
        &self,
        ranks: &Ranks,
        environment: &dyn Environment,
        plan: &EvaluationPlan,
        progress: &mut dyn FnMut(EvaluationProgress),
    ) -> Result<Evaluation>;

    fn begin(
        &self,
        goal: &str,
        sampling: Sampling,
        draws: ChaCha8Rng,
    ) -> Box<dyn PlayedEpisode + '_>;
}

struct SpecPlayer<S: PolicySpec> {
    policy: S::Policy,
    encoder: EncoderOf<S::Policy>,
}

impl<S: PolicySpec> Player for SpecPlayer<S> {
    fn evaluate(
        &self,
        ranks: &Ranks,
        environment: &dyn Environment,
        plan: &EvaluationPlan,
        progress: &mut dyn FnMut(EvaluationProgress),
    ) -> Result<Evaluation> {
        let Self { policy, encoder } = self;
        let evaluation =
            evaluate_on_ranks_async(environment, policy, encoder, plan, ranks, progress);
        pollster::block_on(evaluation)
    }

    fn begin(
        &self,
        goal: &str,
        sampling: Sampling,
        draws: ChaCha8Rng,
    ) -> Box<dyn PlayedEpisode + '_> {
        Box::new(ActedEpisode::begin(&self.policy, &self.encoder, goal, sampling, draws))
    }
}

struct LoadPlayer<'a> {
    checkpoint: &'a Path,
    device: &'a Device,
}

impl SpecVisitor for LoadPlayer<'_> {
    type Output = Result<Box<dyn Player>>;

    fn visit<S: PolicySpec>(self, spec: &S) -> Self::Output {
        // The initial weights are replaced.
        let (policy, encoder) = spec.build(0, self.device)?;
        let policy = checkpoint::load_weights(policy, self.checkpoint)?;
        Ok(Box::new(SpecPlayer::<S> { policy, encoder }))
    }
}
