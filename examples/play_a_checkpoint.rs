//! Train into a run folder, load the policy of a checkpoint, play a task and print the transcript.
//!
//! ```text
//! cargo run --release --example play_a_checkpoint
//! ```

use std::path::Path;

use proxmo::device::{Backend, open};
use proxmo::env::household::HouseholdConfig;
use proxmo::episodes::EpisodeRecord;
use proxmo::runs::checkpoint::{self, CheckpointSelector};
use proxmo::runs::{Recorder, Run, TrainedPolicy};
use proxmo::train::{Config, EvaluationPlan, IterationMetrics};

/// Receives a run's events. The metrics file is such a recorder, too.
struct Print;

impl Recorder for Print {
    fn iteration(&mut self, metrics: &IterationMetrics) -> proxmo::Result<()> {
        println!("iteration {}: success {:.2}", metrics.iteration, metrics.success);
        Ok(())
    }
}

/// Trains in `folder`, then plays a held-out task with the policy of the newest checkpoint.
pub fn run(folder: &Path) -> proxmo::Result<EpisodeRecord> {
    let mut config = Config::default();
    config.run.iterations = 3;
    config.env = HouseholdConfig { tasks: 20, held_out: 4, ..HouseholdConfig::default() }.into();
    config.rollout.groups = 4;
    config.eval.split = "valid".into();
    let training = config.env.open("train")?;
    let held_out = config.env.open("valid")?;
    let opened = open(Backend::Flex, 0)?;
    let run = Run::create(folder, config, &opened, &*training, &*held_out)?;
    run.record(Print).train(&|| false)?;

    let checkpoint = checkpoint::find(folder, CheckpointSelector::Latest)?;
    let policy = TrainedPolicy::load(&checkpoint, &opened.device)?;
    let plan = EvaluationPlan { keep_episodes: true, ..EvaluationPlan::new(&[0]) };
    let mut evaluation = policy.evaluate(&*held_out, &plan, &mut |_| {})?;
    Ok(evaluation.episodes.remove(0))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let episode = run(folder.path())?;
    println!("\n{}", episode.task.unwrap_or_default());
    for step in &episode.steps {
        println!("\n{}\n> {}", step.observation, step.action);
    }
    println!("\n{}", episode.final_observation.unwrap_or_default());
    println!("success: {}", episode.success == Some(true));
    Ok(())
}
