//! The layout of an environment's texts for a person.

use std::ops::Range;

use crate::env::Texts;

/// The mark between the parts of a WebShop page.
const SEPARATOR: &str = " [SEP] ";

/// The longest line that is easy to read.
const MAX_WIDTH: usize = 100;

/// An observation, wrapped at words. The parts of a WebShop page stand on lines of their own, and those
/// that can be clicked are indented and in brackets. Without a `width` nothing is wrapped.
pub fn lay_out(observation: &str, admissible: &Texts, width: Option<usize>) -> String {
    if !observation.contains(SEPARATOR) {
        return wrap(observation, width);
    }
    let is_button = |part: &str| {
        admissible.iter().any(|action| {
            let label = action.strip_prefix("click[").and_then(|rest| rest.strip_suffix(']'));
            label.is_some_and(|label| label.eq_ignore_ascii_case(part))
        })
    };
    let parts = observation.split(SEPARATOR).map(str::trim).filter(|part| !part.is_empty());
    let lines = parts.map(|part| match is_button(part) {
        true => wrap(&format!("  [{part}]"), width),
        false => wrap(part, width),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A text whose lines are wrapped at words.
pub fn wrap(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) => textwrap::fill(text, width.clamp(20, MAX_WIDTH)),
        None => text.to_string(),
    }
}

/// The parts of a list of `total` lines that fit a screen of `height` lines each, with one line left for
/// the question that follows. Without a `height` there is one part.
pub fn pages(total: usize, height: Option<usize>) -> Vec<Range<usize>> {
    let size = height.map_or(total, |height| height.saturating_sub(1)).max(1);
    (0..total).step_by(size).map(|first| first..total.min(first + size)).collect()
}

/// The actions that contain all words of a question, in any case.
pub fn actions_with<'a>(admissible: &'a Texts, words: &str) -> Vec<&'a str> {
    let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
    let fits = |action: &&str| {
        let action = action.to_lowercase();
        words.iter().all(|word| action.contains(word.as_str()))
    };
    admissible.iter().filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Texts {
        let mut texts = Texts::new();
        all.iter().for_each(|text| texts.push(text));
        texts
    }

    #[test]
    fn long_observations_are_wrapped_at_words() {
        let text =
            "You are in the middle of a room. Looking quickly around you, you see a cabinet 1.";
        let shown = lay_out(text, &Texts::new(), Some(30));
        assert!(shown.lines().count() > 2 && shown.lines().all(|line| line.len() <= 30), "{shown}");
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>().join(" "), text);
        assert_eq!(lay_out("a\n\nb", &Texts::new(), Some(30)), "a\n\nb");
        assert_eq!(lay_out(text, &Texts::new(), None), text);
    }

    #[test]
    fn the_parts_of_a_shop_page_are_lines_and_its_buttons_are_marked() {
        let page = "Instruction: [SEP] find a red shirt [SEP] Back to Search [SEP] B01 [SEP] $9.00";
        let admissible = texts(&["click[back to search]", "click[b01]"]);
        let shown = lay_out(page, &admissible, Some(80));
        let expected = "Instruction:\nfind a red shirt\n  [Back to Search]\n  [B01]\n$9.00";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_long_list_is_shown_in_pages_that_fit_the_screen() {
        assert_eq!(pages(300, Some(25)).len(), 13);
        assert_eq!(pages(300, Some(25))[12], 288..300);
        assert_eq!(pages(300, None), std::slice::from_ref(&(0..300)));
        assert_eq!(pages(3, Some(0)).len(), 3);
        assert!(pages(0, Some(25)).is_empty());
    }

    #[test]
    fn a_question_with_words_lists_the_actions_that_contain_them() {
        let admissible = texts(&["go to shelf 1", "go to desk 1", "open Shelf 2"]);
        assert_eq!(actions_with(&admissible, "shelf"), ["go to shelf 1", "open Shelf 2"]);
        assert_eq!(actions_with(&admissible, "GO 1"), ["go to shelf 1", "go to desk 1"]);
        assert_eq!(actions_with(&admissible, "").len(), 3);
    }
}
