//! What a kind of policy provides: settings, and a specification that builds the policy.

use std::fmt::Debug;

use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::interface::{Encoder, Policy};
use crate::env::Environment;
use crate::error::Result;

/// The encoder of a policy.
pub type EncoderOf<P> = <P as Policy>::Encoder;

/// The encoded steps that a policy reads.
pub type InputsOf<P> = <EncoderOf<P> as Encoder>::Inputs;

/// The settings of a kind of policy: its part of a configuration.
pub trait PolicyKind {
    /// What these settings become for an environment.
    type Spec: PolicySpec<Config = Self>;

    /// The specification of a new policy for the tasks of `environment`.
    ///
    /// # Errors
    /// Fails if the environment fails.
    fn spec(&self, environment: &dyn Environment, seed: u64) -> Result<Self::Spec>;
}

/// Everything that defines a policy except its weights. A checkpoint keeps it as `policy.json`.
pub trait PolicySpec:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The name of the kind, as in `policy.kind`.
    const KIND: &'static str;

    /// The settings of this kind.
    type Config;
    /// The policy itself.
    type Policy: Policy;

    /// Builds the policy, with initial weights drawn from `seed`, and its encoder. The policy is
    /// trainable if `device` has autodiff.
    ///
    /// # Errors
    /// Fails if the policy cannot be built on the device.
    fn build(&self, seed: u64, device: &Device) -> Result<(Self::Policy, EncoderOf<Self::Policy>)>;

    /// Checks the values of a specification that was read from a file.
    ///
    /// # Errors
    /// Names the first value that is out of range.
    fn validate(&self) -> Result<(), String>;

    /// A lower bound of the size of the policy's weights in bytes. It is compared with the size of
    /// the weights file before any memory is allocated for the policy.
    fn min_weight_bytes(&self) -> u64;

    /// This specification with the settings of a run that continues from it.
    ///
    /// # Errors
    /// Says which setting differs that cannot change.
    fn with_settings(&self, config: &Self::Config) -> Result<Self, String> {
        self.expect_settings(config)?;
        Ok(self.clone())
    }

    /// Whether the policy has a value head.
    fn estimates_values(&self) -> bool {
        false
    }

    /// The specification of the same policy with a value head. Its other initial weights are the same.
    ///
    /// # Errors
    /// Says so if this kind of policy has none.
    fn with_value_head(&self) -> Result<Self, String> {
        Err(no_value_head(Self::KIND))
    }

    /// Checks that this specification fits settings.
    ///
    /// # Errors
    /// Says which setting differs.
    fn expect_settings(&self, config: &Self::Config) -> Result<(), String>;

    /// The size of the policy in a few words, such as "2064 words".
    fn summary(&self) -> String;
}

/// The message that a kind of policy has no value head.
pub(crate) fn no_value_head(kind: &str) -> String {
    format!(
        "a policy of kind '{kind}' has no value head; take policy.kind 'scorer', or an estimator that \
         compares episodes"
    )
}

/// An operation on the specification of a policy of any kind.
pub trait SpecVisitor {
    /// The result of the operation.
    type Output;

    /// Runs the operation.
    fn visit<S: PolicySpec>(self, spec: &S) -> Self::Output;
}
