//! Learning curves.

use maud::{Markup, html};

use super::elements::figure;
use crate::report::curves::{evaluation_curve, iteration_curve};
use crate::report::quantity::Quantity;
use crate::report::statistics::Bootstrap;
use crate::report::variant_runs::VariantRuns;

/// Success, score and return on held-out and on training tasks over environment steps.
pub fn learning_section(variants: &[VariantRuns], bootstrap: &Bootstrap) -> Markup {
    html! {
        h2 { "Learning curves" }
        p.note {
            "Means over seeds. Bands are 95 % bootstrap intervals over seeds; a variant with \
             fewer than five seeds has none. Training curves are moving averages over a twentieth of a run's iterations. A \
             finished run keeps its last value to the end of its variant's longest run."
        }
        div.charts {
            @for quantity in Quantity::of_runs(variants) {
                (curves(quantity, variants, bootstrap))
            }
        }
    }
}

fn curves(quantity: Quantity, variants: &[VariantRuns], bootstrap: &Bootstrap) -> Markup {
    let held_out = |variant: &VariantRuns| evaluation_curve(variant, quantity, bootstrap);
    let training = |variant: &VariantRuns| {
        iteration_curve(variant, bootstrap, &|line| quantity.training(line))
    };
    let (on_held_out, on_training) = match quantity {
        Quantity::Success => ("Success on held-out tasks", "Success on training tasks"),
        Quantity::Score => ("Score on held-out tasks", "Score on training tasks"),
        Quantity::Return => ("Return on held-out tasks", "Return on training tasks"),
    };
    let (name, scale) = (quantity.name(), quantity.scale());
    html! {
        (figure(on_held_out, name, scale, variants, &held_out))
        (figure(on_training, name, scale, variants, &training))
    }
}
