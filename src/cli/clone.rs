//! `proxmo clone`.

use clap::Args;

use super::train;
use crate::error::Result;
use crate::train::Config;

/// Fit a policy to demonstrations, for `proxmo train --init` to go on from.
///
/// Without --from it imitates the expert, which plays by what it has seen and wins nearly every task;
/// `walkthroughs` are the shortest solutions that games ship, by somebody who knows where everything
/// is; a file is one of `proxmo eval --episodes`. An iteration is one pass over all demonstrations.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
// Its one part has a group of the same name, which clap refuses where debug assertions are on.
#[group(skip)]
pub struct Arguments {
    #[command(flatten)]
    pub(super) train: train::Arguments,
}

const EXAMPLES: &str = "\
Examples:
  proxmo clone --run runs/cloned
  proxmo clone --env alfworld --games json_2.1.1 --run runs/cloned
  proxmo clone --env alfworld --games json_2.1.1 --from walkthroughs --clone-tasks 500
  proxmo train --preset alfworld --games json_2.1.1 --init runs/cloned --kl-weight 0.01";

pub fn run(arguments: &Arguments) -> Result<()> {
    train::run_from(&arguments.train, defaults())
}

/// What differs from the defaults of a training.
pub(super) fn defaults() -> Config {
    let mut config = Config::default();
    config.clone.from = "expert".into();
    config.run.iterations = 20;
    config.run.checkpoint_every = 5;
    config.eval.every = 5;
    config.update.epochs = 1;
    config.update.minibatch = 256;
    // There is nothing to be held to.
    config.update.kl_weight = 0.0;
    config
}
