//! The credit step of an iteration: on the host, or on the policy's device.

use burn::tensor::{Tensor, TensorData};

use super::locate::describe_row;
use crate::credit::{self, Credit, CreditConfig, CreditState, Embedding, Engine, Estimator};
use crate::device::read_async;
use crate::episodes::{Batch, Embeddings, MAX_REWARD};
use crate::error::{Error, Result};
use crate::kernels;
use crate::policy::{InputsOf, Policy, read_parts};
use crate::ranks::Ranks;
use crate::rollout::RolloutBatch;

/// How the credit step runs.
pub(super) struct CreditStep<'a> {
    /// The settings of credit assignment.
    pub config: &'a CreditConfig,
    /// Subtracted from the reward of a step whose action was not admissible.
    pub invalid_action_penalty: f32,
    /// How many rows the policy embeds at once.
    pub minibatch: usize,
}

impl CreditStep<'_> {
    /// Assigns credit to the rows of a batch, whose embeddings are those of [`CreditStep::embed`]. `policy`
    /// has no autodiff.
    ///
    /// Embeddings stay on their device with the device engine, and are read back for the host engine.
    ///
    /// # Errors
    /// Fails if the settings do not fit training or each other, if an embedding is NaN or infinite, and
    /// if the device fails.
    pub async fn assign<P: Policy>(
        &self,
        policy: &P,
        batch: &RolloutBatch<InputsOf<P>>,
        embeddings: Option<Tensor<2>>,
        state: &mut CreditState,
    ) -> Result<Credit> {
        let penalized = penalized(&batch.data, self.invalid_action_penalty)?;
        let device = policy.devices().into_iter().next();
        let engine = match &device {
            Some(device) => kernels::choose_engine(self.config, device)?,
            None => Engine::Host,
        };
        match (engine, device, embeddings) {
            (Engine::Device, Some(device), embeddings) => {
                let embedded = embeddings.clone();
                match kernels::assign_async(&penalized, embedded, &device, self.config, state).await
                {
                    Ok(credit) => Ok(credit),
                    Err(error) => match embeddings {
                        // An embedding that is not finite is the better explanation.
                        Some(embeddings) => {
                            Err(finite(batch, embeddings).await.err().unwrap_or(error))
                        }
                        None => Err(error),
                    },
                }
            }
            (_, _, Some(embeddings)) => {
                let [_, width] = embeddings.dims();
                let values = finite(batch, embeddings).await?;
                let penalized = penalized.with_embeddings(Embeddings::Steps { values, width })?;
                credit::assign_with(&penalized, self.config, state)
            }
            _ => credit::assign_with(&penalized, self.config, state),
        }
    }

    /// The policy's own embedding of every row, on its device, if the settings ask for it: `[rows,
    /// width]`. Each rank embeds some of the rows, and the leader gets those of all.
    ///
    /// # Errors
    /// Fails if the device or another rank does.
    pub async fn embed<P: Policy>(
        &self,
        policy: &P,
        batch: &RolloutBatch<InputsOf<P>>,
        ranks: &Ranks,
    ) -> Result<Option<Tensor<2>>> {
        let embeds = self.config.estimator == Estimator::Proxmo
            && self.config.embedding == Embedding::Policy;
        if !embeds || batch.rows() == 0 {
            return Ok(None);
        }
        let rows: Vec<usize> = (0..batch.rows()).collect();
        let parts: Vec<&[usize]> = rows.chunks(self.minibatch).collect();
        let embed = |part: usize| policy.embed(&batch.inputs, parts[part]);
        if ranks.is_alone() {
            return Ok(Some(Tensor::cat((0..parts.len()).map(embed).collect(), 0)));
        }
        let device = policy.devices().into_iter().next().unwrap_or_default();
        let own = ranks.own(parts.len());
        let embedded = read_parts(&device, own.len(), |place| embed(own[place])).await;
        let values = ranks.gather_values(parts.len(), embedded)?.concat();
        let shape = [rows.len(), values.len() / rows.len()];
        let tensor =
            || Tensor::from_data(TensorData::new(values, shape), &device.without_autodiff());
        Ok(ranks.is_leader().then(tensor))
    }
}

/// A batch in which `penalty` is subtracted from the reward of each step whose action was not admissible.
pub(crate) fn penalized(batch: &Batch, penalty: f32) -> Result<Batch> {
    let rewards = batch.rewards().iter().zip(batch.valid());
    let reward = |(&reward, &valid): (&f64, &bool)| {
        if valid { reward } else { (reward - f64::from(penalty)).max(-MAX_REWARD) }
    };
    batch.with_rewards(rewards.map(reward).collect())
}

/// Reads embeddings back.
///
/// # Errors
/// Fails if the device does, and if a number is NaN or infinite: the error names its row.
async fn finite<I>(batch: &RolloutBatch<I>, embeddings: Tensor<2>) -> Result<Vec<f32>> {
    let [_, width] = embeddings.dims();
    let values = read_async(embeddings).await?;
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(at) => Err(Error::Run(format!(
            "{}: the policy's embedding of it holds {}; its weights have diverged, resume from an \
             earlier checkpoint with a lower update.learning_rate",
            describe_row(batch, at / width.max(1)),
            values[at]
        ))),
    }
}
