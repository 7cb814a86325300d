//! A batch as groups of episodes of steps.

use crate::episodes::Batch;

/// One episode.
pub(super) struct OracleEpisode<'a> {
    pub rewards: Vec<f64>,
    pub texts: Vec<&'a str>,
    pub success: bool,
    /// The observation after the last step.
    pub last: Option<&'a str>,
}

impl OracleEpisode<'_> {
    pub(super) fn total(&self) -> f64 {
        self.rewards.iter().sum()
    }
}

/// One step.
pub(super) struct Row<'a> {
    pub group: usize,
    /// The episode within its group.
    pub episode: usize,
    /// The step within its episode.
    pub time: usize,
    pub text: &'a str,
    pub valid: bool,
    /// The return.
    pub value: f64,
}

/// The episodes of each group.
pub(super) fn groups(batch: &Batch) -> Vec<Vec<OracleEpisode<'_>>> {
    let rows: Vec<_> = batch.layout().episode_rows().collect();
    let text = |number: u32| &*batch.texts()[number as usize];
    let episode = |episode: usize| OracleEpisode {
        rewards: batch.rewards()[rows[episode].clone()].to_vec(),
        texts: batch.observations()[rows[episode].clone()].iter().copied().map(text).collect(),
        success: batch.success()[episode],
        last: batch.final_observations()[episode].map(text),
    };
    batch.layout().group_episodes().map(|episodes| episodes.map(episode).collect()).collect()
}

/// All steps, with a return of 0.
pub(super) fn rows<'a>(batch: &Batch, groups: &[Vec<OracleEpisode<'a>>]) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for (group, episodes) in groups.iter().enumerate() {
        for (episode, played) in episodes.iter().enumerate() {
            for (time, &text) in played.texts.iter().enumerate() {
                let valid = batch.valid()[rows.len()];
                rows.push(Row { group, episode, time, text, valid, value: 0.0 });
            }
        }
    }
    rows
}
