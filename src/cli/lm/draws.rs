//! The options of drawing tokens.

use clap::Args;

use crate::error::{Error, Result};
use crate::lm::Sampling;
use crate::stream::{Purpose, Stream};

/// How tokens are drawn.
#[derive(Debug, Args)]
pub struct DrawFlags {
    /// Tokens of a continuation at most. It also ends where prompt and continuation fill the model's
    /// context. A choice is always completed.
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_tokens: u32,
    /// Temperature; 0 takes the most probable token.
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f64,
    /// Draw from the K most probable tokens only; 0 draws from all.
    #[arg(long, value_name = "K", default_value_t = 0)]
    top_k: u32,
    /// Draw from the fewest most probable tokens whose probabilities reach P together.
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    top_p: f64,
    /// Seed of the draws.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

impl DrawFlags {
    /// The settings.
    ///
    /// # Errors
    /// Returns an error that names the option that is out of range.
    pub fn sampling(&self) -> Result<Sampling> {
        let sampling = Sampling {
            temperature: self.temperature,
            top_k: self.top_k as usize,
            top_p: self.top_p,
        };
        sampling.validate().map_err(|error| match error {
            Error::Setting { key, message } => {
                Error::setting(format!("--{}", key.replace('_', "-")), message)
            }
            other => other,
        })?;
        Ok(sampling)
    }

    /// The random numbers of one continuation.
    pub fn stream(&self, index: usize) -> Stream {
        Stream::new(self.seed, Purpose::Tokens).of(index, 0)
    }
}
