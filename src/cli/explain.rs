//! `proxmo credit --explain`: the credit of one episode, step by step.

use super::terminal::printable;
use crate::credit::{
    Credit, CreditConfig, CreditDiagnostics, GroupModulation, Neighbour, neighbours,
};
use crate::episodes::{EpisodeRecord, RecordBatch};
use crate::error::{Error, Result};

/// The number of other states shown at a step.
const MAX_NEIGHBOURS: usize = 3;

/// Length limit, in characters, of a text that is shown.
const MAX_SHOWN: usize = 72;

/// The episode with a name: its trajectory, or group/trajectory.
///
/// # Errors
/// Returns an error if no episode or several have this name.
pub fn find(
    episodes: &[EpisodeRecord],
    wanted: &str,
    place: &dyn Fn(usize) -> String,
) -> Result<usize> {
    let refuse = |message: String| Err(Error::input("--explain", message));
    let full = |episode: &EpisodeRecord| format!("{}/{}", episode.group, episode.trajectory);
    let named = |by: &dyn Fn(&EpisodeRecord) -> bool| -> Vec<usize> {
        (0..episodes.len()).filter(|&record| by(&episodes[record])).collect()
    };
    let mut found = named(&|episode| full(episode) == wanted);
    if found.is_empty() {
        found = named(&|episode| episode.trajectory == wanted);
    }
    match found[..] {
        [record] => Ok(record),
        [] => {
            let known = episodes.first().map_or("the file has no episodes".to_string(), |first| {
                format!("the first is '{}'", shortened(&first.trajectory))
            });
            refuse(format!("no episode has the trajectory '{}'; {known}", shortened(wanted)))
        }
        [first, second, ..] => refuse(format!(
            "{} episodes have the trajectory '{}', the first at {} and {}; select one by \
             group/trajectory, such as '{}'",
            found.len(),
            shortened(wanted),
            place(first),
            place(second),
            shortened(&full(&episodes[first]))
        )),
    }
}

/// Episodes with their credit.
pub struct Explanation<'a> {
    /// The records of `rows`.
    pub episodes: &'a [EpisodeRecord],
    pub rows: &'a RecordBatch,
    /// Without any `auto` that depends on the estimator.
    pub config: &'a CreditConfig,
    pub credit: &'a Credit,
}

impl Explanation<'_> {
    /// Explains one record: the episode, its steps and the batch.
    ///
    /// # Errors
    /// Returns an error if the credit is not that of these rows.
    pub fn of(&self, record: usize) -> Result<String> {
        let episode = self.rows.records.iter().position(|&one| one == record);
        let episode = episode.ok_or_else(|| Error::Run("the batch lacks the episode".into()))?;
        let batch = &self.rows.batch;
        let lists = neighbours(batch, self.config, self.credit, episode)?;
        let mut lines = self.heading(record, episode);
        let rows = batch.rows_of_episode(episode);
        let steps = self.episodes[record].steps.iter().zip(&lists);
        for ((number, row), (step, neighbours)) in (1..).zip(rows).zip(steps) {
            let invalid = if step.valid { "" } else { "   (not admissible)" };
            lines.push(String::new());
            lines.push(format!("step {number}   {}{invalid}", shortened(&step.action)));
            lines.extend(self.step(row, &step.observation, neighbours));
        }
        lines.push(String::new());
        lines.extend(diagnostics(&self.credit.diagnostics));
        Ok(lines.join("\n") + "\n")
    }

    fn heading(&self, record: usize, episode: usize) -> Vec<String> {
        let batch = &self.rows.batch;
        let described = &self.episodes[record];
        let others = batch.episodes_of_group(batch.layout().group_of_episode(episode));
        let won = others.clone().filter(|&episode| batch.success()[episode]).count();
        let outcome = match described.success {
            Some(true) => "success",
            Some(false) => "failure",
            None => "an episode without success",
        };
        let mut lines = vec![format!(
            "{}: {outcome} after {} steps, total reward {}",
            shortened(&described.trajectory),
            described.steps.len(),
            batch.total_reward(episode),
        )];
        if let Some(task) = &described.task {
            lines.push(format!("task       {}", shortened(task)));
        }
        lines.push(format!(
            "group      {}: {won} of {} episodes succeeded",
            shortened(&described.group),
            others.len()
        ));
        lines.push(format!(
            "estimator  {}: advantage = {} * episode part + {} * step part",
            self.config.estimator, self.config.episode_weight, self.config.step_weight
        ));
        lines
    }

    fn step(&self, row: usize, observation: &str, neighbours: &[Neighbour]) -> Vec<String> {
        let credit = self.credit;
        let rows = match self.same_observation(row) {
            1 => "no other row of the group".to_string(),
            rows => format!("{rows} rows of the group"),
        };
        let baseline = credit.baselines.get(row).map_or("-".to_string(), |one| format!("{one:.4}"));
        let value = self
            .rows
            .batch
            .values()
            .map_or(String::new(), |values| format!("   value {:.4}", values.states[row]));
        let mut lines = vec![
            format!("  sees     {}   ({rows})", shortened(observation)),
            format!(
                "  return {:.4}   baseline {baseline}{value}   episode part {:+.4}   step part {:+.4}   \
                 advantage {:+.4}",
                credit.returns[row],
                credit.episode_advantages[row],
                credit.step_advantages[row],
                credit.advantages[row]
            ),
        ];
        let own = neighbours.iter().filter(|neighbour| neighbour.own);
        let others = neighbours.iter().filter(|neighbour| !neighbour.own).take(MAX_NEIGHBOURS);
        lines.extend(own.chain(others).map(|neighbour| self.neighbour(neighbour)));
        lines
    }

    /// The number of rows in a row's group with the same observation.
    fn same_observation(&self, row: usize) -> usize {
        let batch = &self.rows.batch;
        let layout = batch.layout();
        let group = layout.group_of_episode(layout.episode_of_row(row));
        let observations = &batch.observations()[batch.rows_of_group(group)];
        observations.iter().filter(|&&one| one == batch.observations()[row]).count()
    }

    fn neighbour(&self, neighbour: &Neighbour) -> String {
        let Neighbour { observation, own, rows, mean_return, cosine, weight } = *neighbour;
        let text =
            if own { "(this state)" } else { &self.rows.batch.texts()[observation as usize] };
        let times = if rows == 1 { "row" } else { "rows" };
        format!(
            "  {:>6.2} % cosine {cosine:.3}, {rows} {times}, mean return {mean_return:.4}  {}",
            100.0 * weight,
            shortened(text)
        )
    }
}

/// Statistics of the whole batch.
fn diagnostics(batch: &CreditDiagnostics) -> Vec<String> {
    let mut lines = vec![
        format!("batch      {} rows, {} states in their groups", batch.rows, batch.states),
        format!("  unique states         {:.1} % of rows", 100.0 * batch.lone_rows),
    ];
    let mut add = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("  {name:<21} {value}")));
    };
    add(
        "effective neighbours",
        batch.neighbours.map(|value| format!("{value:.1} rows a baseline")),
    );
    let explained = batch.explained_variance;
    add("explained variance", explained.map(|value| format!("{:.1} %", 100.0 * value)));
    let error = batch.leave_one_out_error;
    add("leave-one-out error", error.map(|value| format!("{value:.5}")));
    add("temperature", batch.temperature.map(|value| format!("{value:.4}")));
    lines.extend(modulation(&batch.modulation));
    lines
}

/// The modulation weights by success rate, each once.
fn modulation(groups: &[GroupModulation]) -> Vec<String> {
    let mut sorted = groups.to_vec();
    sorted.sort_by(|a, b| a.success_rate.total_cmp(&b.success_rate));
    let equal = sorted.chunk_by(|a, b| a.success_rate == b.success_rate);
    let line = |groups: &[GroupModulation]| {
        let GroupModulation { success_rate, on_success, on_failure } = groups[0];
        format!(
            "  success rate {:>5.1} % modulates a success by {on_success:.4}, a failure by \
             {on_failure:.4} ({} {})",
            100.0 * success_rate,
            groups.len(),
            if groups.len() == 1 { "group" } else { "groups" }
        )
    };
    equal.map(line).collect()
}

/// A text as one printable line of bounded length.
fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = printable(&words.join(" ")).into_owned();
    if line.chars().count() <= MAX_SHOWN {
        return line;
    }
    line.chars().take(MAX_SHOWN - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_one_short_line_without_control_characters() {
        assert_eq!(shortened("a\n\n b\t\u{1b}[2Jc\u{7}"), "a b \\u{1b}[2Jc\\u{7}");
        let long = shortened(&"ä".repeat(500));
        assert_eq!((long.chars().count(), long.ends_with("ä…")), (MAX_SHOWN, true));
        assert_eq!(shortened(&"b".repeat(MAX_SHOWN)).len(), MAX_SHOWN);
    }

    #[test]
    fn weights_are_listed_by_success_rate() {
        let group =
            |success_rate| GroupModulation { success_rate, on_success: 1.1, on_failure: 1.0 };
        let lines = modulation(&[group(0.5), group(0.0), group(0.5)]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("  0.0 %") && lines[0].ends_with("(1 group)"), "{lines:?}");
        assert!(lines[1].contains(" 50.0 %") && lines[1].ends_with("(2 groups)"), "{lines:?}");
        assert!(modulation(&[]).is_empty());
    }
}
