//! `proxmo clone`.

use clap::Args;

use super::train;
use crate::error::Result;

/// Train a policy to imitate demonstrations (behaviour cloning).
///
/// `proxmo train --init` continues from the result. By default the demonstrations are those of the
/// expert, which acts on its observations and solves nearly every task. --imitate walkthroughs takes the
/// shortest solutions, which come with the games and use knowledge of the whole world. --imitate FILE
/// takes an episode file, as proxmo eval --episode-file and proxmo import write. Its actions are
/// replayed: thoughts and actions without effect are left out, other spellings are put right, and what
/// is left out is counted. An iteration is one pass over all demonstrations.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
// The flattened part has a group of the same name, which clap refuses with debug assertions.
#[group(skip)]
pub struct Arguments {
    #[command(flatten)]
    pub(super) train: train::Arguments,
}

const EXAMPLES: &str = "\
Examples:
  proxmo clone --run runs/cloned
  proxmo clone --env alfworld --games json_2.1.1 --run runs/cloned
  proxmo clone --env alfworld --games json_2.1.1 --imitate episodes.jsonl
  proxmo clone --env alfworld --games json_2.1.1 --imitate walkthroughs --imitation-tasks 500
  proxmo train --preset alfworld --games json_2.1.1 --init runs/cloned --kl-weight 0.01";

pub fn run(arguments: &Arguments) -> Result<()> {
    train::run_or_clone(&arguments.train, true)
}
