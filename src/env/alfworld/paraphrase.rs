//! Observations in other words: for agents that should not hang on one wording.

use std::cell::RefCell;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::game::Game;
use super::generator::WORDING;
use super::grammar::{Grammar, Scene, texts_of};
use crate::error::{Error, Result};

/// How many wordings there are. Texts that come in fewer forms begin anew.
const VARIANTS: usize = 6;

/// How often a paraphrase mentions something that has nothing to do with the task.
const ASIDE: f64 = 0.3;

/// Wordings that take the place of a game's own.
#[derive(Debug)]
pub(crate) struct Paraphrase {
    probability: f64,
    grammars: Vec<Grammar>,
    asides: Vec<String>,
}

impl Paraphrase {
    /// Wordings that are used with a `probability`.
    ///
    /// # Errors
    /// Fails with [`Error::Setting`] where the probability is none.
    pub(crate) fn new(probability: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&probability) {
            let message = format!("{probability} is out of range, expected 0 to 1");
            return Err(Error::setting("paraphrase", message));
        }
        let grammars = (0..VARIANTS)
            .map(|variant| Ok(Grammar::compile_variant(WORDING, variant)?.0))
            .collect::<Result<_>>()?;
        let asides = texts_of(WORDING, "aside")?.into_iter().flat_map(|(_, texts)| texts);
        Ok(Self { probability, grammars, asides: asides.collect() })
    }

    /// Refuses a game in whose world a wording would take too long or get too long.
    pub(crate) fn check_costs(&self, game: &Game) -> Result<()> {
        let at_game = |error| Error::input(&game.name, format!("in other words: {error}"));
        let mut checked = self.grammars.iter().map(|one| one.check_costs(&game.world, &game.task));
        checked.try_for_each(|checked| checked.map_err(at_game))
    }

    /// Writes an observation in other words, or does nothing and returns false: `rng` decides.
    ///
    /// What is said stays the same. The wording, the order of lists and asides vary.
    pub(crate) fn write(
        &self,
        scene: &Scene,
        mut rng: ChaCha8Rng,
        tell: impl Fn(&Grammar, &Scene, &mut String),
        out: &mut String,
    ) -> bool {
        if !rng.random_bool(self.probability) {
            return false;
        }
        let Some(grammar) = self.grammars.choose(&mut rng) else { return false };
        let aside = if rng.random_bool(ASIDE) { self.asides.choose(&mut rng) } else { None };
        let comes_first = rng.random_bool(0.5);
        if let Some(aside) = aside.filter(|_| comes_first) {
            out.push_str(aside);
            out.push(' ');
        }
        let order = RefCell::new(rng);
        tell(grammar, &Scene { order: Some(&order), ..*scene }, out);
        if let Some(aside) = aside.filter(|_| !comes_first) {
            out.push(' ');
            out.push_str(aside);
        }
        true
    }
}
