//! Diagnostics of credit assignment over training.

use maud::{Markup, html};

use super::elements::figure;
use crate::report::chart::VerticalScale;
use crate::report::curves::iteration_curve;
use crate::report::statistics::Bootstrap;
use crate::report::variant_runs::VariantRuns;
use crate::train::IterationMetrics;

/// A quantity that is followed over training.
struct Diagnostic {
    title: &'static str,
    /// The quantity on the vertical axis, with its unit.
    quantity: &'static str,
    scale: VerticalScale,
    value: fn(&IterationMetrics) -> Option<f64>,
}

const DIAGNOSTICS: &[Diagnostic] = &[
    Diagnostic {
        title: "States that occur once in their group",
        quantity: "share of steps",
        scale: VerticalScale::FittedPercent,
        value: |line| credit(line, "lone_rows"),
    },
    Diagnostic {
        title: "Effective sample size of a step's baseline",
        quantity: "steps",
        scale: VerticalScale::Fitted { min: 0.0 },
        value: |line| credit(line, "neighbours"),
    },
    Diagnostic {
        title: "Variance explained by baselines",
        quantity: "share (1 = all)",
        scale: VerticalScale::Fitted { min: -1.0 },
        value: |line| credit(line, "explained_variance"),
    },
    Diagnostic {
        title: "Variance explained by the value head",
        quantity: "share (1 = all)",
        scale: VerticalScale::Fitted { min: -1.0 },
        value: |line| line.value.and_then(|value| value.explained_variance),
    },
    Diagnostic {
        title: "Leave-one-out error of returns",
        quantity: "mean squared error",
        scale: VerticalScale::Fitted { min: 0.0 },
        value: |line| credit(line, "leave_one_out_error"),
    },
    Diagnostic {
        title: "Temperature of the proximity kernel",
        quantity: "temperature",
        scale: VerticalScale::Fitted { min: 0.0 },
        value: |line| credit(line, "temperature"),
    },
    Diagnostic {
        title: "Groups with successes and failures",
        quantity: "share of groups",
        scale: VerticalScale::Percent,
        value: |line| Some(line.mixed_groups),
    },
];

/// A number of the credit diagnostics. Not every estimator gives all of them.
fn credit(line: &IterationMetrics, name: &str) -> Option<f64> {
    line.credit.get(name)?.as_f64()
}

/// A small chart of each diagnostic.
pub fn diagnostics_section(variants: &[VariantRuns], bootstrap: &Bootstrap) -> Markup {
    html! {
        h2 { "Credit assignment over training" }
        p.note {
            "Moving averages, as for training success. Diagnostics that an estimator does not give \
             have no curve."
        }
        div.charts.small {
            @for Diagnostic { title, quantity, scale, value } in DIAGNOSTICS {
                (figure(title, quantity, *scale, variants, &|variant: &VariantRuns| {
                    iteration_curve(variant, bootstrap, value)
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::recorded_run::RecordedRun;
    use crate::report::variant_runs::group_by_variant;
    use crate::train::Config;

    #[test]
    fn absent_diagnostics_have_no_chart() {
        let line = |iteration| IterationMetrics {
            iteration,
            steps: iteration,
            credit: serde_json::json!({ "lone_rows": 0.5, "neighbours": null }),
            ..Default::default()
        };
        let metrics = vec![line(0), line(1), line(2)];
        let run = RecordedRun { name: "a".into(), config: Config::default(), metrics };
        let section = diagnostics_section(&group_by_variant(vec![run]), &Bootstrap::new(1));
        let page = section.into_string();
        assert!(page.contains("occur once") && page.contains("Groups with"), "{page}");
        assert!(!page.contains("Effective sample size") && !page.contains("Temperature"), "{page}");
    }
}
