//! What is suspect about a whole episode file, although each of its lines is sound.

use std::collections::HashMap;

use super::from_records::RecordBatch;
use super::record::EpisodeRecord;

impl RecordBatch {
    /// One line for each property of the whole input that is probably a mistake: no episodes or no
    /// steps at all, groups of one episode, an episode that is in its group twice, and no group with
    /// different total rewards. Empty if there is none.
    ///
    /// `place` names a record. The lines on groups are left out if `by_group` is false, for an estimator
    /// that does not compare within groups.
    pub fn warnings(
        &self,
        episodes: &[EpisodeRecord],
        by_group: bool,
        place: &dyn Fn(usize) -> String,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.batch.episodes() == 0 {
            warnings.push("there are no episodes".to_string());
            return warnings;
        }
        if self.batch.rows() == 0 {
            let all = counted(self.batch.episodes(), "episode has", "episodes have");
            warnings.push(format!("{all} no steps, so there is nothing to credit"));
            return warnings;
        }
        warnings.extend(self.repeated(episodes, place));
        if by_group {
            warnings.extend(self.uncompared(episodes));
        }
        warnings
    }

    /// Episodes with the group and the name of an earlier one.
    fn repeated(
        &self,
        episodes: &[EpisodeRecord],
        place: &dyn Fn(usize) -> String,
    ) -> Option<String> {
        let mut earlier: HashMap<(&str, &str), usize> = HashMap::new();
        let mut first = None;
        let mut count = 0;
        for (record, episode) in episodes.iter().enumerate() {
            let name = (episode.group.as_str(), episode.trajectory.as_str());
            if let Some(&before) = earlier.get(&name) {
                count += 1;
                first.get_or_insert((before, record));
            } else {
                earlier.insert(name, record);
            }
        }
        let (before, record) = first?;
        Some(format!(
            "{} the trajectory of an earlier episode of the same group and {} twice in its mean (the \
             first: '{}' of group '{}', {} and {})",
            counted(count, "episode repeats", "episodes repeat"),
            if count == 1 { "counts" } else { "count" },
            shortened(&episodes[record].trajectory),
            shortened(&episodes[record].group),
            place(before),
            place(record)
        ))
    }

    /// Groups without anything to compare.
    fn uncompared(&self, episodes: &[EpisodeRecord]) -> Option<String> {
        let batch = &self.batch;
        let groups: Vec<_> = batch.layout().group_episodes().collect();
        let alone: Vec<usize> =
            groups.iter().filter(|group| group.len() == 1).map(|group| group.start).collect();
        if alone.len() == groups.len() {
            return Some(format!(
                "{} alone in a group, so none is compared with another; episodes of the same task \
                 need the same \"group\"",
                counted(groups.len(), "episode is", "episodes are each")
            ));
        }
        let compared = (0..groups.len()).filter(|&group| groups[group].len() > 1);
        if compared.into_iter().all(|group| batch.is_zero_variance(group)) {
            let count = groups.len() - alone.len();
            return Some(format!(
                "{} zero variance: the episodes of a group have equal total rewards, so the episode \
                 part of every advantage is 0",
                counted(count, "group has", "groups all have")
            ));
        }
        let first = *alone.first()?;
        Some(format!(
            "{} of {} groups {} one episode, which is compared with no other (the first: '{}')",
            alone.len(),
            groups.len(),
            if alone.len() == 1 { "has" } else { "have" },
            shortened(&episodes[self.records[first]].group)
        ))
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A name of bounded length on one line.
fn shortened(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::{RequiredFields, StepRecord};

    fn episode(group: &str, trajectory: &str, rewards: &[f64]) -> EpisodeRecord {
        let step = |&reward: &f64| StepRecord { reward, ..StepRecord::default() };
        EpisodeRecord {
            group: group.into(),
            trajectory: trajectory.into(),
            steps: rewards.iter().map(step).collect(),
            ..EpisodeRecord::default()
        }
    }

    fn warnings(episodes: &[EpisodeRecord], by_group: bool) -> Vec<String> {
        let place = |record: usize| format!("line {}", record + 1);
        let batch = RecordBatch::new(episodes, RequiredFields::default(), &place).unwrap();
        batch.warnings(episodes, by_group, &place)
    }

    #[test]
    fn suspect_input_is_named_with_a_count() {
        let (win, loss) = (&[1.0][..], &[0.0][..]);
        let thirds = episode("b", "v", &[0.1, 0.1, 0.1]);
        let cases: [(Vec<EpisodeRecord>, &str); 7] = [
            (vec![], "there are no episodes"),
            (vec![episode("a", "t", &[]), episode("a", "u", &[])], "2 episodes have no steps"),
            (vec![episode("a", "t", win), episode("b", "u", loss)], "2 episodes are each alone"),
            (vec![episode("a", "t", win)], "1 episode is alone in a group"),
            (
                vec![episode("a", "t", win), episode("a", "u", loss), episode("b", "v", win)],
                "1 of 2 groups has one episode, which is compared with no other (the first: 'b')",
            ),
            (vec![episode("b", "t", &[0.3]), thirds], "1 group has zero variance"),
            (
                vec![episode("a", "t", win), episode("a", "u", loss), episode("a", "t", win)],
                "1 episode repeats the trajectory of an earlier episode of the same group and counts \
                 twice in its mean (the first: 't' of group 'a', line 1 and line 3)",
            ),
        ];
        for (episodes, says) in cases {
            let found = warnings(&episodes, true);
            assert!(found.iter().any(|line| line.starts_with(says)), "{says}: {found:?}");
        }
        let sound = [episode("a", "t", win), episode("a", "u", loss)];
        assert_eq!(warnings(&sound, true), [""; 0]);
        assert_eq!(warnings(&[episode("a", "t", win)], false), [""; 0]);
    }
}
