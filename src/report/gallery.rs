//! Some episodes of a run with the credit of their steps.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::credit::{Embedding, assign};
use crate::episodes::{EpisodeRecord, RecordBatch, read_episodes};
use crate::error::{Error, Result};
use crate::train::{Config, penalized};

/// Maximum number of groups from which episodes are shown.
const GROUPS: usize = 4;

/// Episodes of the last iteration whose episodes a run has saved.
#[derive(Debug, Clone, PartialEq)]
pub struct Gallery {
    /// The iteration.
    pub iteration: u64,
    /// The episodes: of some groups, if possible with successes and failures, one success and one failure.
    pub episodes: Vec<ShownEpisode>,
}

/// An episode with its credit.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownEpisode {
    /// The episode.
    pub record: EpisodeRecord,
    /// Number of successful episodes of its group, and number of all.
    pub group: (usize, usize),
    /// The advantage of each step, if credit can be assigned to saved episodes: the policy's own embeddings
    /// are not saved.
    pub advantages: Option<Vec<f64>>,
}

impl Gallery {
    /// Reads the episodes of a run's folder; `None` if the run has saved none. Credit is assigned anew, with
    /// the settings of the run and without what it carries over from earlier iterations.
    ///
    /// # Errors
    /// Fails if the files cannot be read or are invalid; the error names file and line.
    pub fn read(run: &Path, config: &Config) -> Result<Option<Self>> {
        let Some((iteration, path)) = newest(&run.join("episodes"))? else { return Ok(None) };
        let file = File::open(&path).map_err(Error::io("read", &path))?;
        let name = path.display().to_string();
        let records = read_episodes(&mut BufReader::new(file), &name)?;
        let by_policy = config.credit.embedding == Embedding::Policy;
        let required = if by_policy { Default::default() } else { config.credit.required_fields() };
        let place = |record: usize| format!("{name}:{}", record + 1);
        let rows = RecordBatch::new(&records, required, &place)?;
        let advantages = match by_policy {
            true => None,
            false => {
                let batch = penalized(&rows.batch, config.update.invalid_action_penalty)?;
                Some(assign(&batch, &config.credit)?.advantages)
            }
        };
        let episodes = select(&rows).into_iter().map(|(episode, group)| ShownEpisode {
            record: records[rows.records[episode]].clone(),
            group,
            advantages: advantages
                .as_ref()
                .map(|all| all[rows.batch.rows_of_episode(episode)].to_vec()),
        });
        Ok(Some(Self { iteration, episodes: episodes.collect() }))
    }
}

/// The episode file of the last iteration.
fn newest(folder: &Path) -> Result<Option<(u64, PathBuf)>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut found = None;
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let iteration = name.and_then(|name| name.strip_suffix(".jsonl")?.parse().ok());
        found = found.max(iteration.map(|iteration: u64| (iteration, path)));
    }
    Ok(found)
}

/// An episode of the batch, and the successes and the size of its group.
type Selected = (usize, (usize, usize));

/// A success and a failure of each of some groups; groups that have both come first.
fn select(rows: &RecordBatch) -> Vec<Selected> {
    let batch = &rows.batch;
    let success = batch.success();
    let mut groups: Vec<Vec<Selected>> = (0..batch.groups())
        .map(|group| {
            let episodes = batch.episodes_of_group(group);
            let won = episodes.clone().filter(|&episode| success[episode]).count();
            let of = |wanted: bool| episodes.clone().find(|&episode| success[episode] == wanted);
            let size = (won, episodes.len());
            [of(true), of(false)].into_iter().flatten().map(|episode| (episode, size)).collect()
        })
        .collect();
    // A stable sort keeps the order of groups of one kind.
    groups.sort_by_key(|shown| shown.len() < 2);
    groups.into_iter().take(GROUPS).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::{StepRecord, write_episodes};

    fn episode(group: &str, success: bool) -> EpisodeRecord {
        let step = |observation: &str, reward, valid| StepRecord {
            observation: observation.into(),
            action: "go".into(),
            reward,
            valid,
            ..StepRecord::default()
        };
        let reward = f64::from(u8::from(success));
        EpisodeRecord {
            group: group.into(),
            success: Some(success),
            steps: vec![step("hall", 0.0, success), step("study", reward, true)],
            ..EpisodeRecord::default()
        }
    }

    fn write(run: &Path, iteration: u64, episodes: &[EpisodeRecord]) {
        let folder = run.join("episodes");
        fs::create_dir_all(&folder).unwrap();
        let mut file = File::create(folder.join(format!("{iteration:06}.jsonl"))).unwrap();
        write_episodes(&mut file, episodes).unwrap();
    }

    #[test]
    fn the_last_iteration_shows_mixed_groups_first_with_the_credit_of_training() {
        let run = tempfile::tempdir().unwrap();
        let config = Config::default();
        assert_eq!(Gallery::read(run.path(), &config).unwrap(), None);
        write(run.path(), 3, &[episode("old", true)]);
        let episodes = [("a", true), ("a", true), ("b", false), ("b", true), ("b", false)]
            .map(|(group, won)| episode(group, won));
        write(run.path(), 12, &episodes);
        let gallery = Gallery::read(run.path(), &config).unwrap().unwrap();
        assert_eq!(gallery.iteration, 12);
        let shown: Vec<_> = gallery
            .episodes
            .iter()
            .map(|one| (&*one.record.group, one.record.success, one.group))
            .collect();
        assert_eq!(
            shown,
            [("b", Some(true), (1, 3)), ("b", Some(false), (1, 3)), ("a", Some(true), (2, 2))]
        );
        let of = |episode: usize| gallery.episodes[episode].advantages.as_ref().unwrap();
        assert!(of(0).iter().all(|&one| one > 0.0) && of(1).iter().all(|&one| one < 0.0));
        assert!(of(1)[0] < of(1)[1], "the action that was not admissible costs more: {:?}", of(1));
    }

    #[test]
    fn credit_that_needs_the_policy_is_left_out() {
        let run = tempfile::tempdir().unwrap();
        write(run.path(), 1, &[episode("a", true)]);
        let mut config = Config::default();
        config.credit.embedding = Embedding::Policy;
        let gallery = Gallery::read(run.path(), &config).unwrap().unwrap();
        assert_eq!(gallery.episodes[0].advantages, None);
    }
}
