//! Wall-clock time by phase.

use maud::{Markup, html};

use super::elements::{Row, Table, name, text};
use crate::report::statistics::mean;
use crate::report::variant_runs::VariantRuns;
use crate::train::IterationMetrics;

/// The phases of a run.
const PHASES: [&str; 5] = ["rollout", "credit", "update", "evaluation", "other"];

/// Seconds that a run spent in each of [`PHASES`].
fn seconds_by_phase(metrics: &[IterationMetrics]) -> [f64; 5] {
    let mut phases = [0.0; 5];
    let mut before = 0.0;
    for line in metrics {
        let seconds = &line.seconds;
        let known = [seconds.rollout, seconds.credit, seconds.update];
        phases.iter_mut().zip(known).for_each(|(sum, phase)| *sum += phase);
        // Elapsed time beyond these three counts as the evaluation of this line if it has one.
        let rest = (seconds.elapsed - before - known.iter().sum::<f64>()).max(0.0);
        phases[if line.evaluation.is_some() { 3 } else { 4 }] += rest;
        before = seconds.elapsed;
    }
    phases
}

/// A bar and a row of minutes for each variant.
pub fn time_section(variants: &[VariantRuns]) -> Markup {
    let phase_head = |(number, phase): (usize, &&str)| {
        html! { span class={ "swatch t" (number) } {} " " (phase) }
    };
    let mut heads = vec![text("variant")];
    heads.extend(PHASES.iter().enumerate().map(phase_head));
    heads.extend(["total", ""].map(text));
    let row = |(number, variant): (usize, &VariantRuns)| {
        let runs = variant.runs.iter().map(|run| seconds_by_phase(&run.metrics));
        let runs: Vec<[f64; 5]> = runs.collect();
        let phase = |phase: usize| {
            mean(&runs.iter().map(|run| run[phase]).collect::<Vec<_>>()).unwrap_or(0.0)
        };
        let phases: [f64; 5] = std::array::from_fn(phase);
        let total: f64 = phases.iter().sum();
        let minutes = |seconds: &f64| text(format!("{:.1}", seconds / 60.0));
        let mut cells = vec![name(&variant.name)];
        cells.extend(phases.iter().chain([&total]).map(minutes));
        cells.push(bar(&phases, total));
        Row { variant: Some(number), cells }
    };
    let rows = variants.iter().enumerate().map(row).collect();
    html! {
        h2 { "Time by phase" }
        p.note {
            "Minutes per run, means over a variant's runs. “Other” is writing checkpoints and metrics."
        }
        (Table { heads, rows, numeric: true })
    }
}

fn bar(phases: &[f64; 5], total: f64) -> Markup {
    let percent = |seconds: &f64| if total > 0.0 { 100.0 * seconds / total } else { 0.0 };
    html! {
        div.bar {
            @for (number, seconds) in phases.iter().enumerate() {
                span class={ "t" (number) } style={ "width:" (format!("{:.1}", percent(seconds))) "%" } {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{EvaluationMetrics, Seconds};

    #[test]
    fn elapsed_time_beyond_the_phases_is_evaluation_or_other() {
        let line = |elapsed, evaluated: bool, phases: [f64; 3]| IterationMetrics {
            seconds: Seconds { rollout: phases[0], credit: phases[1], update: phases[2], elapsed },
            evaluation: evaluated.then(EvaluationMetrics::default),
            ..Default::default()
        };
        let metrics = [
            line(5.0, true, [0.0; 3]),
            line(12.0, false, [2.0, 1.0, 3.0]),
            line(20.0, true, [2.0, 0.5, 2.5]),
            // Resumed from a checkpoint that is older than the line before.
            line(19.0, false, [1.0, 0.0, 0.0]),
        ];
        assert_eq!(seconds_by_phase(&metrics), [5.0, 1.5, 5.5, 8.0, 1.0]);
        assert_eq!(seconds_by_phase(&[]), [0.0; 5]);
    }
}
