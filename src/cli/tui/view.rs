//! What of a training is looked at.

use super::curves::COUNT;
use super::model::Model;
use crate::episodes::EpisodeRecord;

/// Seconds for which an episode stays on the screen, so that it can be read.
const EPISODE_STAYS: f64 = 5.0;

/// What is looked at, by keys.
#[derive(Default)]
pub struct View {
    /// The number of the selected curve.
    pub curve: usize,
    /// Whether the selected curve has the whole width where there is room for all.
    pub is_single: bool,
    /// Whether all messages are shown where there is room for one panel.
    pub shows_messages: bool,
    /// The episode that is shown, its iteration, and when it was first shown.
    episode: Option<(EpisodeRecord, u64, f64)>,
    /// The first line of the episode that is shown.
    scroll: usize,
    /// Whether the episode stays.
    is_pinned: bool,
}

/// A key of the screen that changes what is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Selects the curve with a number.
    Curve(usize),
    /// Selects the next curve.
    NextCurve,
    /// Selects the curve before.
    PreviousCurve,
    /// Shows one curve or all.
    SingleCurve,
    /// Shows the messages or the episode.
    Messages,
    /// Scrolls the episode by lines.
    Scroll(isize),
    /// Shows the newest episode.
    Newest,
}

impl View {
    /// Changes what is looked at.
    pub fn apply(&mut self, step: Move) {
        match step {
            Move::Curve(number) => self.curve = number % COUNT,
            Move::NextCurve => self.curve = (self.curve + 1) % COUNT,
            Move::PreviousCurve => self.curve = (self.curve + COUNT - 1) % COUNT,
            Move::SingleCurve => self.is_single = !self.is_single,
            Move::Messages => self.shows_messages = !self.shows_messages,
            Move::Scroll(lines) => {
                self.is_pinned = true;
                self.scroll = self.scroll.saturating_add_signed(lines);
            }
            Move::Newest => {
                (self.is_pinned, self.scroll) = (false, 0);
                self.episode = None;
            }
        }
    }

    /// Takes the newest episode if the one that is shown has been there for long and is not scrolled.
    pub fn follow(&mut self, model: &Model, now: f64) {
        let is_due = match &self.episode {
            None => true,
            Some((_, _, since)) => !self.is_pinned && now - since >= EPISODE_STAYS,
        };
        let Some((episode, iteration)) = model.episode.as_ref().filter(|_| is_due) else { return };
        if self.episode.as_ref().is_none_or(|(_, shown, _)| shown != iteration) {
            self.episode = Some((episode.clone(), *iteration, now));
        }
    }

    /// The episode that is shown, and its iteration.
    pub fn episode(&self) -> Option<(&EpisodeRecord, u64)> {
        self.episode.as_ref().map(|(episode, iteration, _)| (episode, *iteration))
    }

    /// Whether the episode stays.
    pub fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// The first line that is shown of `lines`, of which `height` have room.
    pub fn first_line(&mut self, lines: usize, height: usize) -> usize {
        self.scroll = self.scroll.min(lines.saturating_sub(height));
        self.scroll
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(iteration: u64) -> Model {
        let mut model = Model::new();
        model.episode = Some((EpisodeRecord::default(), iteration));
        model
    }

    #[test]
    fn an_episode_stays_for_a_while_and_as_long_as_it_is_scrolled() {
        let mut view = View::default();
        let shown = |view: &View| view.episode().unwrap().1;
        view.follow(&model(1), 0.0);
        view.follow(&model(2), 1.0);
        assert_eq!(shown(&view), 1);
        view.follow(&model(3), 6.0);
        assert_eq!(shown(&view), 3);
        view.apply(Move::Scroll(4));
        view.follow(&model(9), 60.0);
        assert_eq!((shown(&view), view.first_line(20, 10)), (3, 4));
        view.apply(Move::Scroll(-9));
        assert_eq!(view.first_line(20, 10), 0);
        view.apply(Move::Scroll(99));
        assert_eq!(view.first_line(20, 15), 5);
        view.apply(Move::Newest);
        view.follow(&model(9), 61.0);
        assert_eq!((shown(&view), view.first_line(20, 10)), (9, 0));
    }

    #[test]
    fn curves_are_selected_in_turn_or_by_number() {
        let mut view = View::default();
        view.apply(Move::PreviousCurve);
        assert_eq!(view.curve, COUNT - 1);
        view.apply(Move::NextCurve);
        assert_eq!(view.curve, 0);
        view.apply(Move::Curve(3));
        assert_eq!(view.curve, 3);
    }
}
