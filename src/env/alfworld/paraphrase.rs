//! Paraphrased observations, for agents that should not depend on one wording.

use std::cell::RefCell;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::game::Game;
use super::generator::wording::HOUSEHOLD_GRAMMAR;
use super::grammar::{Grammar, Scene, texts_of};
use crate::error::{Error, Result};

/// The number of wordings. A text with fewer forms repeats them.
const VARIANTS: usize = 6;

/// The probability that a paraphrase contains a sentence that has nothing to do with the task.
const ASIDE_PROBABILITY: f64 = 0.3;

/// Wordings that replace the wording of a game.
#[derive(Debug)]
pub(crate) struct Paraphrase {
    probability: f64,
    grammars: Vec<Grammar>,
    asides: Vec<String>,
}

impl Paraphrase {
    /// Wordings, each observation of which is paraphrased with `probability`.
    ///
    /// # Errors
    /// Returns [`Error::Setting`] if `probability` is not in 0 to 1.
    pub(crate) fn new(probability: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&probability) {
            let message = format!("{probability} is out of range, expected 0 to 1");
            return Err(Error::setting("paraphrase", message));
        }
        let grammars = (0..VARIANTS)
            .map(|variant| Ok(Grammar::compile_variant(HOUSEHOLD_GRAMMAR, variant)?.0))
            .collect::<Result<_>>()?;
        let asides = texts_of(HOUSEHOLD_GRAMMAR, "aside")?.into_iter().flat_map(|(_, texts)| texts);
        Ok(Self { probability, grammars, asides: asides.collect() })
    }

    /// Returns an error if a text of any wording could take too long or become too long in the game.
    pub(crate) fn check_costs(&self, game: &Game) -> Result<()> {
        let at_game = |error| Error::input(&game.name, format!("paraphrased: {error}"));
        let world = &game.published()?.world;
        let mut results = self.grammars.iter().map(|one| one.check_costs(world, &game.task));
        results.try_for_each(|result| result.map_err(at_game))
    }

    /// Writes a paraphrased observation, or writes nothing and returns false, as `rng` decides.
    ///
    /// The wording, the order of lists and the asides vary. The facts stay the same.
    pub(crate) fn write(
        &self,
        scene: &Scene,
        mut rng: ChaCha8Rng,
        write: impl Fn(&Grammar, &Scene, &mut String),
        out: &mut String,
    ) -> bool {
        if !rng.random_bool(self.probability) {
            return false;
        }
        let Some(grammar) = self.grammars.choose(&mut rng) else { return false };
        let aside =
            if rng.random_bool(ASIDE_PROBABILITY) { self.asides.choose(&mut rng) } else { None };
        let comes_first = rng.random_bool(0.5);
        if let Some(aside) = aside.filter(|_| comes_first) {
            out.push_str(aside);
            out.push(' ');
        }
        let shuffle = RefCell::new(rng);
        write(grammar, &Scene { shuffle: Some(&shuffle), ..*scene }, out);
        if let Some(aside) = aside.filter(|_| !comes_first) {
            out.push(' ');
            out.push_str(aside);
        }
        true
    }
}
