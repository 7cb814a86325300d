//! The page as a whole.

use std::fmt::Write;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::diagnostics::diagnostics_section;
use super::elements::name;
use super::explorer::explorer_section;
use super::gallery::gallery_section;
use super::learning::learning_section;
use super::results::{results_section, speed_section};
use super::runs::runs_section;
use super::settings::settings_section;
use super::time::time_section;
use crate::report::chart::{CHART_STYLE, colour_rules, short_count};
use crate::report::gallery::Gallery;
use crate::report::quantity::Quantity;
use crate::report::summary::{bootstrap_for, summarise};
use crate::report::variant_runs::VariantRuns;

const STYLE: &str = include_str!("page.css");

/// The report on runs as a web page, with episodes of one of them if they are given. The same runs give the same bytes.
pub fn page(variants: &[VariantRuns], gallery: Option<&Gallery>) -> String {
    let bootstrap = bootstrap_for(variants);
    let summary = summarise(variants, &bootstrap);
    let title = title(variants);
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                // Style sheets of this crate, without any text from a file.
                style { (PreEscaped(STYLE)) (PreEscaped(CHART_STYLE)) (rules(variants.len())) }
            }
            body {
                h1 { (title) }
                (introduction(variants))
                (legend(variants))
                (learning_section(variants, &bootstrap))
                (results_section(&summary))
                @if summary.quantities[0] == Quantity::Success { (speed_section(&summary)) }
                (diagnostics_section(variants, &bootstrap))
                (explorer_section(variants))
                @if let Some(gallery) = gallery { (gallery_section(gallery)) }
                (time_section(variants))
                (settings_section(variants))
                (runs_section(variants))
            }
        }
    };
    document.into_string() + "\n"
}

fn title(variants: &[VariantRuns]) -> String {
    let environment = variants.iter().find_map(VariantRuns::config);
    let environment = environment.map_or("", |config| config.env.name());
    match variants {
        [only] => format!("{}: {environment}", only.name),
        all => format!("Comparison of {} variants: {environment}", all.len()),
    }
}

/// Style rules for the colours of variants. A variant whose box in the legend is not ticked is hidden.
fn rules(variants: usize) -> Markup {
    let mut rules = colour_rules(variants);
    for number in 0..variants {
        let _ = writeln!(
            rules,
            "body:has(#show{number}:not(:checked)) :is(svg, tbody) .v{number} {{ display: none; }}"
        );
    }
    PreEscaped(rules)
}

fn introduction(variants: &[VariantRuns]) -> Markup {
    let runs: usize = variants.iter().map(|variant| variant.runs.len()).sum();
    let finished: usize = variants.iter().map(VariantRuns::finished).sum();
    let last_lines =
        variants.iter().flat_map(|variant| &variant.runs).filter_map(|run| run.metrics.last());
    let steps: u64 = last_lines.map(|line| line.steps).sum();
    html! {
        p {
            (runs) @if runs == 1 { " run, " } @else { " runs, " }
            (finished) " finished; " (short_count(steps as f64)) " environment steps in total. \
             proxmo " (env!("CARGO_PKG_VERSION")) "."
        }
    }
}

/// The names of variants with their colours, each with a box that shows and hides the variant.
fn legend(variants: &[VariantRuns]) -> Markup {
    html! {
        @if variants.len() > 1 {
            div.legend {
                @for (number, variant) in variants.iter().enumerate() {
                    label class={ "v" (number) } {
                        input type="checkbox" id={ "show" (number) } checked;
                        (name(&variant.name))
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::household::HouseholdConfig;
    use crate::report::recorded_run::RecordedRun;
    use crate::report::variant_runs::group_by_variant;
    use crate::train::{Config, EvaluationMetrics, IterationMetrics, KindResult};

    const HOSTILE: &str = "<script>alert('\"&x\")</script>";

    fn hostile() -> Vec<RecordedRun> {
        let run = |seed| {
            let mut config = Config::default();
            config.run.seed = seed;
            config.env = HouseholdConfig {
                like: HOSTILE.into(),
                split: HOSTILE.into(),
                ..HouseholdConfig::default()
            }
            .into();
            config.update.epochs = 2 + seed as usize;
            let kinds = vec![KindResult { kind: HOSTILE.into(), ..KindResult::default() }];
            let evaluation =
                Some(EvaluationMetrics { split: HOSTILE.into(), kinds, ..Default::default() });
            let credit = serde_json::json!({ "temperature": HOSTILE, HOSTILE: 1 });
            let line = |iteration| IterationMetrics {
                iteration,
                evaluation: evaluation.clone(),
                credit: credit.clone(),
                ..Default::default()
            };
            RecordedRun {
                name: format!("{HOSTILE}{seed}"),
                config,
                metrics: vec![line(0), line(1)],
            }
        };
        vec![run(0), run(1)]
    }

    #[test]
    fn text_from_files_is_escaped() {
        for runs in [hostile(), hostile()[..1].to_vec()] {
            let page = page(&group_by_variant(runs), None);
            // The page's own scripts: data and a program.
            assert_eq!(page.matches("<script").count(), 2, "{page}");
            assert_eq!(page.matches("</script").count(), 2, "{page}");
            let escaped = "&lt;script&gt;alert('&quot;&amp;x&quot;)&lt;/script&gt;";
            assert!(page.contains(escaped), "{page}");
            // Attributes are quoted by double quotes.
            assert!(!page.contains("\"&x\""), "{page}");
        }
    }

    #[test]
    fn the_page_loads_nothing_and_is_deterministic() {
        let page = page(&group_by_variant(hostile()), None);
        for outside in ["http:", "https:", "url(", "src=", "href=", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page, super::page(&group_by_variant(hostile()), None));
        assert!(super::page(&[], None).contains("0 runs"));
    }
}
