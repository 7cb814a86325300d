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

/// A running episode of ALFWorld.
///
/// Like the original engine, a session continues after its goal has been reached. `terminated` and
/// `success` then tell whether the goal is still reached. The success reward is given once.
#[derive(Debug, Clone)]
pub struct AlfWorldSession {
    game: Arc<Game>,
    config: AlfWorldConfig,
    state: State,
    last: LastEvent,
    steps: usize,
    won: bool,
    rewarded: bool,
    /// The paraphrase and its random stream, whose group number is the number of steps.
    paraphrase: Option<(Arc<Paraphrase>, Stream)>,
}

/// The event that the observation describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastEvent {
    /// The start of the episode.
    Start,
    /// An action, and the location of the agent before it.
    Action(Action, u8),
    /// An inadmissible command.
    Refusal,
}

impl AlfWorldSession {
    /// Starts an episode.
    pub(crate) fn new(game: Arc<Game>, config: AlfWorldConfig) -> Self {
        let won = game.goal.is_reached(&game.world, &game.world.start);
        let state = game.world.start.clone();
        Self {
            game,
            config,
            state,
            last: LastEvent::Start,
            steps: 0,
            won,
            rewarded: false,
            paraphrase: None,
        }
    }

    /// Paraphrases the observations; `seed` and `task` select the random stream.
    pub(crate) fn paraphrased(self, paraphrase: Arc<Paraphrase>, seed: u64, task: usize) -> Self {
        let stream = Stream::new(seed, Purpose::Environment).at(task as u64);
        Self { paraphrase: Some((paraphrase, stream)), ..self }
    }

    /// Returns to the start of the episode.
    pub fn reset(&mut self) {
        self.state.clone_from(&self.game.world.start);
        self.won = self.game.goal.is_reached(&self.game.world, &self.state);
        self.last = LastEvent::Start;
        self.steps = 0;
        self.rewarded = false;
    }

    /// The number of steps so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The name of the object in hand.
    pub fn holding(&self) -> Option<&str> {
        self.state.held().map(|held| self.game.world.object_names.get(held))
    }

    /// The names of all objects that occur in facts.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        self.game.world.object_names.iter()
    }

    /// The names of the receptacles that an object is in or on. In games from ALFRED's scenes an
    /// object can touch two receptacles.
    pub fn places_of<'a>(&'a self, object: &str) -> impl Iterator<Item = &'a str> {
        let world = &self.game.world;
        let object = world.object_names.position(object);
        let pairs = self.state.inside.pairs().filter(move |&(_, inside)| Some(inside) == object);
        pairs.map(|(receptacle, _)| world.receptacle_names.get(receptacle))
    }

    fn scene(&self) -> Scene<'_> {
        Scene { world: &self.game.world, state: &self.state, task: &self.game.task, shuffle: None }
    }

    /// The action of a command, or `None` if it is not admissible now.
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
        let write = |grammar: &Grammar, scene: &Scene, out: &mut String| match self.last {
            LastEvent::Start => grammar.write_intro(scene, out),
            LastEvent::Action(action, before) => grammar.write_feedback(scene, action, before, out),
            LastEvent::Refusal => out.push_str(grammar.refusal()),
        };
        let scene = self.scene();
        if let Some((paraphrase, stream)) = &self.paraphrase {
            let rng = stream.of(self.steps, 0).rng();
            if paraphrase.write(&scene, rng, write, out) {
                return;
            }
        }
        write(&self.game.grammar, &scene, out);
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
        // The original strips Python's white space, which includes four more separators.
        let is_blank = |c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c);
        let found = self.find(action.trim_matches(is_blank));
        self.last = LastEvent::Refusal;
        if let Some(action) = found {
            self.last = LastEvent::Action(action, self.state.location);
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
            success: Some(self.won),
            score: None,
            valid: found.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::generator::wording::HOUSEHOLD_GRAMMAR;
    use super::super::pddl::problem::tests::KITCHEN;
    use super::super::pddl::{Problem, parse};
    use super::*;

    fn session() -> AlfWorldSession {
        let Problem { world, goal } = parse(KITCHEN).unwrap();
        let (grammar, task) = Grammar::compile(HOUSEHOLD_GRAMMAR).unwrap();
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
    fn receptacles_at_one_location_can_all_be_used_there() {
        let mut session = session();
        let play = |session: &mut AlfWorldSession, command: &str| -> (String, Transition) {
            let done = session.step(command).unwrap();
            let mut text = String::new();
            session.observe(&mut text);
            (text, done)
        };
        assert!(!play(&mut session, "chill mug 2 in fridge 1").1.valid);
        assert!(play(&mut session, "walk to table 1").1.valid);
        assert!(!play(&mut session, "walk to fridge 1").1.valid, "the agent is there already");
        assert_eq!(play(&mut session, "look").0, "Before you: fridge 1 and table 1.");
        assert!(play(&mut session, "pick mug 2 from table 1").1.valid);
        // A closed fridge can cool an object but cannot receive one.
        assert!(play(&mut session, "chill mug 2 in fridge 1").1.valid);
        assert!(!play(&mut session, "leave mug 2 at fridge 1").1.valid);
        assert!(
            !play(&mut session, "leave mug 2 at table 1").1.valid,
            "mugs do not fit on tables here"
        );
        let (text, _) = play(&mut session, "inspect mug 2");
        assert_eq!(text, "You turn the mug 2 over: as one would think, chilled.");
        assert!(play(&mut session, "open fridge 1").1.valid);
        let (_, done) = play(&mut session, "leave mug 2 at fridge 1");
        assert!(done.succeeded() && done.terminated && done.reward == 1.0);
        // The mug was taken from the table at this location and is still at the location.
        let (text, done) = play(&mut session, "look");
        assert_eq!(text, "Before you: fridge 1 and table 1. Within reach as well: mug 2.");
        assert!(done.succeeded() && done.reward == 0.0);
        // A reached goal can be undone, as in the original engine.
        assert!(!play(&mut session, "pick mug 2 from fridge 1").1.terminated);
        assert_eq!(session.holding(), Some("mug 2"));
        session.reset();
        assert_eq!((session.holding(), session.steps()), (None, 0));
    }
}
