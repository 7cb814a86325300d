//! The columns of a training's table, and which of them fit the terminal.

use super::progress::clock;
use super::table::{in_short, percent};
use crate::train::IterationMetrics;

/// A column: its head, its width with the gap before it, and its cell.
struct Column {
    head: &'static str,
    width: usize,
    cell: fn(&IterationMetrics) -> String,
}

const fn column(head: &'static str, width: usize, cell: fn(&IterationMetrics) -> String) -> Column {
    Column { head, width, cell }
}

/// All columns but the last one, `held out`, in order.
const COLUMNS: [Column; 11] = [
    column("iter", 5, |line| line.iteration.to_string()),
    column("success", 10, |line| played(line, line.success.map_or("-".into(), percent))),
    column("return", 8, |line| played(line, format!("{:.3}", line.mean_return))),
    column("length", 7, |line| played(line, format!("{:.1}", line.length))),
    column("loss", 9, |line| format!("{:.4}", line.loss)),
    column("kl", 8, |line| format!("{:.4}", line.kl)),
    column("entropy", 8, |line| format!("{:.3}", line.entropy)),
    column("clip", 7, |line| format!("{:.3}", line.clip_fraction)),
    column("|grad|", 7, |line| format!("{:.3}", line.gradient_norm)),
    column("rollout+credit+upd", 21, |line| {
        let seconds = line.seconds;
        format!("{:.2}s {:.2}s {:.2}s", seconds.rollout, seconds.credit, seconds.update)
    }),
    column("elapsed", 9, |line| clock(line.seconds.elapsed)),
];

/// The columns that a narrow terminal leaves out, the least important first.
const OPTIONAL: [&str; 6] = ["rollout+credit+upd", "clip", "|grad|", "entropy", "kl", "length"];

/// The width of the last column with its gap; a score beside the success takes more, and may wrap.
const HELD_OUT: usize = 10;

/// A number of played episodes; imitation plays none.
fn played(line: &IterationMetrics, text: String) -> String {
    if line.length == 0.0 { "-".into() } else { text }
}

/// Which columns are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<usize>);

impl Columns {
    /// Those that fit a terminal of `width` characters; all without one.
    pub fn for_width(width: Option<usize>) -> Self {
        let mut shown: Vec<usize> = (0..COLUMNS.len()).collect();
        let total = |shown: &[usize]| -> usize {
            shown.iter().map(|&at| COLUMNS[at].width).sum::<usize>() + HELD_OUT
        };
        for left_out in OPTIONAL {
            if width.is_none_or(|width| total(&shown) <= width) {
                break;
            }
            shown.retain(|&at| COLUMNS[at].head != left_out);
        }
        Self(shown)
    }

    /// The heads.
    pub fn heads(&self) -> String {
        let heads = self.0.iter().map(|&at| {
            let Column { head, width, .. } = COLUMNS[at];
            format!("{head:>width$}")
        });
        heads.collect::<String>() + "  held out"
    }

    /// The line of an iteration. That of iteration 0 has the name of the policy and its evaluation.
    pub fn line(&self, metrics: &IterationMetrics, initial: &str) -> String {
        let held_out = metrics.evaluation.as_ref();
        let held_out = held_out.map(|one| in_short(&one.overall())).unwrap_or_default();
        let last = self.0.len() - 1;
        let cell = |(place, &at): (usize, &usize)| {
            let Column { width, cell, .. } = COLUMNS[at];
            match (metrics.iteration, place) {
                (0, 1) => format!(" {initial:<rest$}", rest = width - 1),
                (0, place) if place > 1 && place < last => " ".repeat(width),
                _ => format!("{:>width$}", cell(metrics)),
            }
        };
        let cells: String = self.0.iter().enumerate().map(cell).collect();
        format!("{cells}  {held_out}").trim_end().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::EvaluationMetrics;

    fn line(iteration: u64) -> IterationMetrics {
        let evaluation = EvaluationMetrics { success: Some(0.5), ..EvaluationMetrics::default() };
        IterationMetrics {
            iteration,
            success: Some(1.0),
            mean_return: -0.25,
            length: 9.0,
            evaluation: Some(evaluation),
            ..IterationMetrics::default()
        }
    }

    #[test]
    fn a_narrow_terminal_has_fewer_columns_and_no_line_that_wraps() {
        assert_eq!(Columns::for_width(None), Columns::for_width(Some(140)));
        let heads = |width| Columns::for_width(Some(width)).heads();
        assert!(heads(140).contains("rollout+credit+upd"));
        assert!(!heads(100).contains("rollout") && heads(100).contains("clip"));
        assert!(!heads(80).contains("clip") && heads(80).contains("entropy"));
        for width in [60, 80, 100, 140] {
            let columns = Columns::for_width(Some(width));
            for text in
                [columns.heads(), columns.line(&line(0), "untrained"), columns.line(&line(7), "")]
            {
                assert!(text.chars().count() <= width, "{width}: {text}");
            }
        }
    }

    #[test]
    fn cells_stand_below_their_heads() {
        let columns = Columns::for_width(Some(80));
        let (heads, cells) = (columns.heads(), columns.line(&line(12), "untrained"));
        let end = |text: &str, of: &str| text.find(of).unwrap() + of.len();
        assert_eq!(end(&heads, "success"), end(&cells, "100.0 %"));
        assert_eq!(end(&heads, "return"), end(&cells, "-0.250"));
        assert!(cells.ends_with("50.0 %"), "{cells}");
        let first = columns.line(&line(0), "untrained");
        assert!(first.starts_with("    0 untrained") && first.ends_with("50.0 %"), "{first}");
        let imitation = IterationMetrics { length: 0.0, ..line(1) };
        assert!(columns.line(&imitation, "").contains(" - "));
    }
}
