//! Learning curves.

use maud::{Markup, html};

use super::elements::figure;
use crate::report::chart::VerticalScale;
use crate::report::curves::{evaluation_curve, iteration_curve};
use crate::report::statistics::Bootstrap;
use crate::report::variant_runs::VariantRuns;

/// Success on held-out and on training tasks over environment steps.
pub fn learning_section(variants: &[VariantRuns], bootstrap: &Bootstrap) -> Markup {
    let held_out = |variant: &VariantRuns| evaluation_curve(variant, bootstrap);
    let training =
        |variant: &VariantRuns| iteration_curve(variant, bootstrap, &|line| Some(line.success));
    let scale = VerticalScale::Percent;
    html! {
        h2 { "Learning curves" }
        p.note {
            "Means over seeds. Bands are 95 % bootstrap intervals over seeds; a variant with one seed \
             has none. Training success is a moving average over a twentieth of a run's iterations. A \
             finished run keeps its last value to the end of its variant's longest run."
        }
        div.charts {
            (figure("Success on held-out tasks", "success", scale, variants, &held_out))
            (figure("Success on training tasks", "success", scale, variants, &training))
        }
    }
}
