//! `proxmo credit --explain`: an episode step by step, for a person to see where credit comes from.

use super::terminal::printable;
use crate::credit::{
    Credit, CreditConfig, CreditDiagnostics, GroupModulation, Neighbour, neighbours,
};
use crate::episodes::EpisodeRecord;
use crate::error::{Error, Result};
use crate::rollout::EpisodeRows;

/// How many other states are shown at a step.
const NEAREST: usize = 3;

/// The most characters of a text that are shown.
const SHOWN: usize = 72;

/// The episode that a name means: a trajectory, or group/trajectory where that is not enough.
///
/// # Errors
/// Where none or several are so named.
pub fn find(
    episodes: &[EpisodeRecord],
    wanted: &str,
    place: &dyn Fn(usize) -> String,
) -> Result<usize> {
    let refuse = |message: String| Err(Error::setting("--explain", message));
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
            let known = episodes.first().map_or("there is none at all".to_string(), |first| {
                format!("the first is '{}'", shortened(&first.trajectory))
            });
            refuse(format!("no episode's trajectory is '{}'; {known}", shortened(wanted)))
        }
        [first, second, ..] => refuse(format!(
            "{} episodes have the trajectory '{}', first {} and {}; say which as group/trajectory, \
             such as '{}'",
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
    /// The records that `rows` were made of.
    pub episodes: &'a [EpisodeRecord],
    pub rows: &'a EpisodeRows<'a>,
    /// Without any `auto` that hangs on the estimator.
    pub config: &'a CreditConfig,
    pub credit: &'a Credit,
}

impl Explanation<'_> {
    /// Of one record: the episode, its steps, the batch.
    ///
    /// # Errors
    /// Where the credit is not of these rows.
    pub fn of(&self, record: usize) -> Result<String> {
        let episode = self.rows.records.iter().position(|&one| one == record);
        let episode = episode.ok_or_else(|| Error::Run("the episode has no rows".into()))?;
        let around = neighbours(&self.rows.batch(), self.config, self.credit, episode)?;
        let mut lines = self.heading(record, episode);
        let rows = self.rows.batch().episode_rows(episode);
        for ((row, step), around) in rows.zip(&self.episodes[record].steps).zip(&around) {
            let number = row - self.rows.batch().episode_rows(episode).start + 1;
            let invalid = if step.valid { "" } else { "   (not admissible)" };
            lines.push(String::new());
            lines.push(format!("step {number}   {}{invalid}", shortened(&step.action)));
            lines.extend(self.step(row, &step.observation, around));
        }
        lines.push(String::new());
        lines.extend(diagnostics(&self.credit.diagnostics));
        Ok(lines.join("\n") + "\n")
    }

    fn heading(&self, record: usize, episode: usize) -> Vec<String> {
        let batch = self.rows.batch();
        let described = &self.episodes[record];
        let group = batch.group_offsets.partition_point(|&first| first <= episode) - 1;
        let others = batch.group_episodes(group);
        let won = others.clone().filter(|&episode| batch.success[episode]).count();
        let outcome = if described.success { "success" } else { "failure" };
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

    fn step(&self, row: usize, observation: &str, around: &[Neighbour]) -> Vec<String> {
        let credit = self.credit;
        let alike = match self.alike(row) {
            1 => "no other row of the group".to_string(),
            rows => format!("{rows} rows of the group"),
        };
        let baseline = credit.baselines.get(row).map_or("-".to_string(), |one| format!("{one:.4}"));
        let mut lines = vec![
            format!("  sees     {}   ({alike})", shortened(observation)),
            format!(
                "  return {:.4}   baseline {baseline}   episode part {:+.4}   step part {:+.4}   \
                 advantage {:+.4}",
                credit.returns[row],
                credit.episode_advantages[row],
                credit.step_advantages[row],
                credit.advantages[row]
            ),
        ];
        let own = around.iter().filter(|neighbour| neighbour.own);
        let others = around.iter().filter(|neighbour| !neighbour.own).take(NEAREST);
        lines.extend(own.chain(others).map(|neighbour| self.neighbour(neighbour)));
        lines
    }

    /// How many rows of a row's group have its observation.
    fn alike(&self, row: usize) -> usize {
        let batch = self.rows.batch();
        let in_group = |group: &usize| batch.group_rows(*group).contains(&row);
        let group = (0..batch.groups()).find(in_group).map(|group| batch.group_rows(group));
        let observations = &batch.observations[group.unwrap_or_default()];
        observations.iter().filter(|&&one| one == batch.observations[row]).count()
    }

    fn neighbour(&self, neighbour: &Neighbour) -> String {
        let Neighbour { observation, own, rows, mean_return, cosine, weight } = *neighbour;
        let text = if own { "(this state)" } else { self.rows.batch().texts[observation as usize] };
        let times = if rows == 1 { "row" } else { "rows" };
        format!(
            "  {:>6.2} % cosine {cosine:.3}, {rows} {times}, mean return {mean_return:.4}  {}",
            100.0 * weight,
            shortened(text)
        )
    }
}

/// What the batch as a whole was like.
fn diagnostics(batch: &CreditDiagnostics) -> Vec<String> {
    let mut lines = vec![
        format!("batch      {} rows, {} states in their groups", batch.rows, batch.states),
        format!("  lone states           {:.1} % of rows", 100.0 * batch.lone_rows),
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

/// The weights by success rate, each once.
fn modulation(groups: &[GroupModulation]) -> Vec<String> {
    let mut sorted = groups.to_vec();
    sorted.sort_by(|a, b| a.success_rate.total_cmp(&b.success_rate));
    let alike = sorted.chunk_by(|a, b| a.success_rate == b.success_rate);
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
    alike.map(line).collect()
}

/// A text as one line, printable, cut where it is long.
fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = printable(&words.join(" ")).into_owned();
    if line.chars().count() <= SHOWN {
        return line;
    }
    line.chars().take(SHOWN - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_short_line_that_moves_no_cursor() {
        assert_eq!(shortened("a\n\n b\t\u{1b}[2Jc\u{7}"), "a b \\u{1b}[2Jc\\u{7}");
        let long = shortened(&"ä".repeat(500));
        assert_eq!((long.chars().count(), long.ends_with("ä…")), (SHOWN, true));
        assert_eq!(shortened(&"b".repeat(SHOWN)).len(), SHOWN);
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
