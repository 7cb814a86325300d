//! How credit came about over training, as pictures.

use super::html::figure;
use super::series::of_iterations;
use super::statistics::Bootstrap;
use super::svg::Scale;
use super::variants::Variant;
use crate::train::IterationMetrics;

/// Something that is watched over training: its title, its axis, what finds it.
type Watched = (&'static str, Scale, fn(&IterationMetrics) -> Option<f64>);

const WATCHED: &[Watched] = &[
    ("Share of lone states", Scale::Share, |line| credit(line, "lone_rows")),
    ("Effective neighbours of a step", Scale::From(0.0), |line| credit(line, "neighbours")),
    ("Variance that baselines explain", Scale::From(-1.0), |line| {
        credit(line, "explained_variance")
    }),
    ("Leave-one-out error of returns", Scale::From(0.0), |line| {
        credit(line, "leave_one_out_error")
    }),
    ("Temperature of proximity", Scale::From(0.0), |line| credit(line, "temperature")),
    ("Groups of mixed outcome", Scale::Percent, |line| Some(line.mixed_groups)),
];

/// A number among the diagnostics; estimators have not all of them.
fn credit(line: &IterationMetrics, name: &str) -> Option<f64> {
    line.credit.get(name)?.as_f64()
}

/// The section with a picture of each.
pub fn diagnostics(page: &mut String, variants: &[Variant], bootstrap: &Bootstrap) {
    page.push_str(
        "<h2>Credit over training</h2>\n<p class=\"note\">Smoothed as training success is. A lone \
         state is a step's observation that comes once in its group; a group is of mixed outcome if \
         some of its episodes succeeded and some did not. What an estimator has no notion of is left \
         out.</p>\n<div class=\"charts small\">\n",
    );
    for &(title, scale, find) in WATCHED {
        let curve = |variant: &Variant| of_iterations(variant, bootstrap, &find);
        figure(page, title, scale, variants.iter().map(curve).collect());
    }
    page.push_str("</div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{RecordedRun, group};
    use crate::train::Config;

    #[test]
    fn what_is_not_there_has_no_picture() {
        let line = |iteration| IterationMetrics {
            iteration,
            steps: iteration,
            credit: serde_json::json!({ "lone_rows": 0.5, "neighbours": null }),
            ..Default::default()
        };
        let metrics = vec![line(0), line(1), line(2)];
        let run = RecordedRun { name: "a".into(), config: Config::default(), metrics };
        let mut page = String::new();
        diagnostics(&mut page, &group(vec![run]), &Bootstrap::new(1));
        assert!(page.contains("lone states") && page.contains("Groups of mixed"), "{page}");
        assert!(!page.contains("neighbours of") && !page.contains("Temperature"), "{page}");
    }
}
