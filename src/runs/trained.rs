//! A trained policy, loaded from a checkpoint.

use std::path::Path;

use burn::tensor::Device;

use super::checkpoint;
use crate::env::Environment;
use crate::error::Result;
use crate::policy::{EncoderOf, PolicySpec, SpecVisitor};
use crate::train::{Evaluation, EvaluationPlan, evaluate};

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
        let iteration = checkpoint::read_state(checkpoint)?.iteration;
        let description = checkpoint::read_description(checkpoint)?;
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

    /// Plays every task of the plan once. `progress` receives the number of tasks done.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn evaluate(
        &self,
        environment: &dyn Environment,
        plan: &EvaluationPlan,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Evaluation> {
        self.player.evaluate(environment, plan, progress)
    }
}

/// [`evaluate`] without the type of the policy.
trait Player {
    fn evaluate(
        &self,
        environment: &dyn Environment,
        plan: &EvaluationPlan,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Evaluation>;
}

struct SpecPlayer<S: PolicySpec> {
    policy: S::Policy,
    encoder: EncoderOf<S::Policy>,
}

impl<S: PolicySpec> Player for SpecPlayer<S> {
    fn evaluate(
        &self,
        environment: &dyn Environment,
        plan: &EvaluationPlan,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Evaluation> {
        evaluate(environment, &self.policy, &self.encoder, plan, progress)
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
