//! Episodes with the credit of their steps.

use maud::{Markup, html};

use crate::report::gallery::{Gallery, ShownEpisode};

/// Length limit of an observation that is shown, in characters.
const MAX_SHOWN: usize = 300;

/// The episodes, each with a table of its steps.
pub fn gallery_section(gallery: &Gallery) -> Markup {
    html! {
        h2 { "Episodes of iteration " (gallery.iteration) }
        p.note {
            "Two episodes of a group where some succeed and some fail. A bar to the right makes the \
             action of its step more likely, one to the left less likely: its advantage, assigned anew to \
             the saved episodes."
        }
        @for episode in &gallery.episodes { (shown(episode)) }
    }
}

fn shown(episode: &ShownEpisode) -> Markup {
    let record = &episode.record;
    let outcome = match record.success {
        Some(true) => "success",
        Some(false) => "failure",
        None => "end",
    };
    let (won, size) = episode.group;
    let task = record.task.as_deref().unwrap_or(&record.group);
    let largest = episode.advantages.iter().flatten().fold(0.0f64, |max, one| max.max(one.abs()));
    html! {
        details.episode {
            summary {
                b { (task) } ": " (outcome) " after " (record.steps.len()) " steps; " (won) " of " (size)
                " episodes of its group succeeded"
            }
            div.wide {
                table {
                    thead { tr { th { "step" } th { "observation and action" } th { "advantage" } } }
                    tbody {
                        @for (number, step) in record.steps.iter().enumerate() {
                            tr {
                                th { (number + 1) }
                                td {
                                    span.seen { (shortened(&step.observation)) }
                                    b { (step.action) }
                                    @if !step.valid { " (not admissible)" }
                                }
                                td { @if let Some(all) = &episode.advantages { (bar(all[number], largest)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// An advantage as a number above a bar from the middle.
fn bar(advantage: f64, largest: f64) -> Markup {
    let share = if largest > 0.0 { 50.0 * advantage.abs() / largest } else { 0.0 };
    let left = if advantage < 0.0 { 50.0 - share } else { 50.0 };
    let side = if advantage < 0.0 { "less" } else { "more" };
    html! {
        (format!("{advantage:+.3}"))
        div.advantage { span class=(side) style=(format!("margin-left:{left:.1}%;width:{share:.1}%")) {} }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::{EpisodeRecord, StepRecord};

    #[test]
    fn texts_are_escaped_and_bars_have_the_side_of_the_advantage() {
        let step = |observation: &str| StepRecord {
            observation: observation.into(),
            action: "<b>go</b>".into(),
            ..StepRecord::default()
        };
        let record = EpisodeRecord {
            task: Some("<script>".into()),
            success: Some(false),
            steps: vec![step(&"é".repeat(400)), step("hall")],
            ..EpisodeRecord::default()
        };
        let advantages = Some(vec![0.5, -1.0]);
        let episodes = vec![ShownEpisode { record, group: (1, 8), advantages }];
        let page = gallery_section(&Gallery { iteration: 7, episodes }).into_string();
        assert!(page.contains("&lt;script&gt;") && page.contains("&lt;b&gt;go"), "{page}");
        assert!(
            page.contains(&format!("{}…", "é".repeat(300))) && page.contains("1 of 8"),
            "{page}"
        );
        assert!(page.contains(r#"class="more" style="margin-left:50.0%;width:25.0%""#), "{page}");
        assert!(page.contains(r#"class="less" style="margin-left:0.0%;width:50.0%""#), "{page}");
    }
}
