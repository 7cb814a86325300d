//! An episode of a game.

use std::sync::Arc;

use super::AlfWorldConfig;
use super::action::Action;
use super::game::Game;
use super::grammar::{Grammar, Scene};
use super::paraphrase::Paraphrase;
use super::state::State;
use crate::env::{Session, Texts, Transition};
use crate::error::Result;
use crate::stream::{Purpose, Stream};

/// One episode of ALFWorld under way.
///
/// A session goes on after its goal has been reached, as the original engine does: `terminated` and
/// `success` then say whether the goal is (still) reached. The success reward is given once.
#[derive(Debug, Clone)]
pub struct AlfWorldSession {
    game: Arc<Game>,
    config: AlfWorldConfig,
    state: State,
    last: Last,
    steps: usize,
    won: bool,
    rewarded: bool,
    /// Other words, and the stream that decides when they are used; steps count its groups.
    paraphrase: Option<(Arc<Paraphrase>, Stream)>,
}

/// What the observation answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing yet: the episode has just begun.
    Start,
    /// An action that was taken from a location.
    Did(Action, u8),
    /// A command that was not possible.
    Refused,
}

impl AlfWorldSession {
    pub(crate) fn new(game: Arc<Game>, config: AlfWorldConfig) -> Self {
        let won = game.goal.is_reached(&game.world, &game.world.start);
        let state = game.world.start.clone();
        Self {
            game,
            config,
            state,
            last: Last::Start,
            steps: 0,
            won,
            rewarded: false,
            paraphrase: None,
        }
    }

    pub(crate) fn paraphrased(self, words: Arc<Paraphrase>, seed: u64, task: usize) -> Self {
        let stream = Stream::new(seed, Purpose::Environment).at(task as u64);
        Self { paraphrase: Some((words, stream)), ..self }
    }

    /// Goes back to the beginning of the episode.
    pub fn reset(&mut self) {
        self.state.clone_from(&self.game.world.start);
        self.won = self.game.goal.is_reached(&self.game.world, &self.state);
        self.last = Last::Start;
        self.steps = 0;
        self.rewarded = false;
    }

    /// How many steps have been taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The name of the object in hand.
    pub fn holding(&self) -> Option<&str> {
        self.state.held().map(|held| self.game.world.object_names.get(held))
    }

    /// The names of all objects that facts speak of.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        self.game.world.object_names.iter()
    }

    /// The names of the receptacles that an object is in or on. In the games that are made from
    /// ALFRED's scenes, an object may touch two of them.
    pub fn places_of<'a>(&'a self, object: &str) -> impl Iterator<Item = &'a str> {
        let world = &self.game.world;
        let object = world.object_names.position(object);
        let pairs = self.state.inside.pairs().filter(move |&(_, inside)| Some(inside) == object);
        pairs.map(|(receptacle, _)| world.receptacle_names.get(receptacle))
    }

    fn scene(&self) -> Scene<'_> {
        Scene { world: &self.game.world, state: &self.state, task: &self.game.task, order: None }
    }

    /// The action that a command names, if it is possible now.
    pub(crate) fn find(&self, command: &str) -> Option<Action> {
        let world = &self.game.world;
        let mut actions = Vec::new();
        for group in self.game.grammar.groups() {
            for form in group.iter().filter(|form| form.can_match(command)) {
                actions.clear();
                world.possible(&self.state, form.verb, &mut actions);
                let found = actions.iter().find(|&&action| form.matches(world, action, command));
                if let Some(&action) = found {
                    return Some(action);
                }
            }
        }
        None
    }
}

impl Session for AlfWorldSession {
    fn goal(&self) -> &str {
        self.game.goal_text()
    }

    fn observe(&self, out: &mut String) {
        let tell = |grammar: &Grammar, scene: &Scene, out: &mut String| match self.last {
            Last::Start => grammar.write_intro(scene, out),
            Last::Did(action, before) => grammar.write_answer(scene, action, before, out),
            Last::Refused => out.push_str(grammar.refusal()),
        };
        let scene = self.scene();
        if let Some((words, stream)) = &self.paraphrase {
            let rng = stream.of(self.steps, 0).rng();
            if words.write(&scene, rng, tell, out) {
                return;
            }
        }
        tell(&self.game.grammar, &scene, out);
    }

    fn admissible(&self, out: &mut Texts) {
        let world = &self.game.world;
        let mut actions = Vec::with_capacity(64);
        let mut sorted = Vec::with_capacity(64);
        for group in self.game.grammar.groups() {
            sorted.clear();
            for form in group {
                actions.clear();
                world.possible(&self.state, form.verb, &mut actions);
                sorted
                    .extend(actions.iter().map(|&action| (form.rank(world, action), action, form)));
            }
            sorted.sort_by_key(|&(rank, ..)| rank);
            for (_, action, form) in &sorted {
                form.write(world, *action, out.buffer());
                out.finish();
            }
        }
    }

    fn step(&mut self, action: &str) -> Result<Transition> {
        // The original strips what Python calls white space, which includes four separators more.
        let is_blank = |c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c);
        let found = self.find(action.trim_matches(is_blank));
        self.last = Last::Refused;
        if let Some(action) = found {
            self.last = Last::Did(action, self.state.location);
            if action.verb.changes_state() {
                self.game.world.apply(&mut self.state, action);
                self.won = self.game.goal.is_reached(&self.game.world, &self.state);
            }
        }
        self.steps += 1;
        let mut reward = self.config.step_reward;
        if self.won && !self.rewarded {
            self.rewarded = true;
            reward += self.config.success_reward;
        }
        Ok(Transition {
            reward,
            terminated: self.won,
            truncated: !self.won && self.steps >= self.config.max_steps,
            success: self.won,
            valid: found.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::generator::WORDING;
    use super::super::pddl::problem::tests::KITCHEN;
    use super::super::pddl::{Problem, parse};
    use super::*;

    fn session() -> AlfWorldSession {
        let Problem { world, goal } = parse(KITCHEN).unwrap();
        let (grammar, task) = Grammar::compile(WORDING).unwrap();
        let game = Game {
            name: "kitchen".into(),
            world,
            goal,
            task: task.into(),
            grammar: Arc::new(grammar),
            walkthrough: Vec::new(),
        };
        AlfWorldSession::new(Arc::new(game), AlfWorldConfig::default())
    }

    #[test]
    fn receptacles_at_one_place_are_used_together() {
        let mut session = session();
        let play = |session: &mut AlfWorldSession, command: &str| -> (String, Transition) {
            let done = session.step(command).unwrap();
            let mut text = String::new();
            session.observe(&mut text);
            (text, done)
        };
        assert!(!play(&mut session, "chill mug 2 in fridge 1").1.valid);
        assert!(play(&mut session, "walk to table 1").1.valid);
        assert!(!play(&mut session, "walk to fridge 1").1.valid, "it is there already");
        assert_eq!(play(&mut session, "look").0, "Before you: fridge 1 and table 1.");
        assert!(play(&mut session, "pick mug 2 from table 1").1.valid);
        // A fridge cools through its closed door, but takes nothing in.
        assert!(play(&mut session, "chill mug 2 in fridge 1").1.valid);
        assert!(!play(&mut session, "leave mug 2 at fridge 1").1.valid);
        assert!(!play(&mut session, "leave mug 2 at table 1").1.valid, "tables take no mugs here");
        let (text, _) = play(&mut session, "inspect mug 2");
        assert_eq!(text, "You turn the mug 2 over: as one would think, chilled.");
        assert!(play(&mut session, "open fridge 1").1.valid);
        let (_, done) = play(&mut session, "leave mug 2 at fridge 1");
        assert!(done.success && done.terminated && done.reward == 1.0);
        // It was taken from the table at this place and is still at the place.
        let (text, done) = play(&mut session, "look");
        assert_eq!(text, "Before you: fridge 1 and table 1. Within reach as well: mug 2.");
        assert!(done.success && done.reward == 0.0);
        // What has been won can be undone: the original engine goes on as well.
        assert!(!play(&mut session, "pick mug 2 from fridge 1").1.terminated);
        assert_eq!(session.holding(), Some("mug 2"));
        session.reset();
        assert_eq!((session.holding(), session.steps()), (None, 0));
    }
}
