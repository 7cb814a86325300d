//! An episode of a game.

use std::sync::Arc;

use super::AlfWorldConfig;
use super::action::Action;
use super::game::{Game, Published, Rules};
use super::grammar::{Grammar, Scene};
use super::paraphrase::Paraphrase;
use super::planning::{CompiledGame, CompiledPlay};
use super::state::State;
use crate::env::{Session, Texts, Transition};
use crate::error::Result;
use crate::stream::{Purpose, Stream};

/// A running episode of ALFWorld.
///
/// Like the original engine, a session repeats its last answer after its goal has been reached: further
/// steps change nothing. The success reward is given once.
#[derive(Debug, Clone)]
pub struct AlfWorldSession {
    game: Arc<Game>,
    config: AlfWorldConfig,
    play: Play,
    steps: usize,
    won: bool,
    /// Whether a step has reached the goal, which ends the episode.
    ended: bool,
    /// The number of steps when the observation last changed.
    observed: usize,
    /// The paraphrase and its random stream, whose group number is the number of steps.
    paraphrase: Option<(Arc<Paraphrase>, Stream)>,
}

/// The state of an episode, by the kind of its rules.
#[derive(Debug, Clone)]
enum Play {
    Published { state: State, last: LastEvent },
    Compiled(CompiledPlay),
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

/// A game and the state of its episode, which have the same kind of rules.
enum Parts<'a> {
    Published(&'a Published, &'a State),
    Compiled(&'a CompiledGame, &'a CompiledPlay),
}

impl Play {
    fn start(game: &Game) -> Self {
        match &game.rules {
            Rules::Published(published) => {
                Play::Published { state: published.world.start.clone(), last: LastEvent::Start }
            }
            Rules::Compiled(compiled) => Play::Compiled(compiled.start()),
        }
    }
}

impl AlfWorldSession {
    /// Starts an episode.
    pub(crate) fn new(game: Arc<Game>, config: AlfWorldConfig) -> Self {
        let play = Play::start(&game);
        let mut session = Self {
            game,
            config,
            play,
            steps: 0,
            won: false,
            ended: false,
            observed: 0,
            paraphrase: None,
        };
        session.won = session.is_reached();
        session
    }

    /// Paraphrases the observations; `seed` and `task` select the random stream.
    pub(crate) fn paraphrased(self, paraphrase: Arc<Paraphrase>, seed: u64, task: usize) -> Self {
        let stream = Stream::new(seed, Purpose::Environment).at(task as u64);
        Self { paraphrase: Some((paraphrase, stream)), ..self }
    }

    /// Returns to the start of the episode.
    pub fn reset(&mut self) {
        match (&mut self.play, &self.game.rules) {
            (Play::Published { state, last }, Rules::Published(published)) => {
                state.clone_from(&published.world.start);
                *last = LastEvent::Start;
            }
            (play, _) => *play = Play::start(&self.game),
        }
        self.won = self.is_reached();
        self.ended = false;
        self.steps = 0;
        self.observed = 0;
    }

    /// The number of steps so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The name of the object in hand. With several agents, that of the first who holds one.
    pub fn holding(&self) -> Option<&str> {
        match self.parts()? {
            Parts::Published(game, state) => {
                state.held().map(|held| game.world.object_names.get(held))
            }
            Parts::Compiled(game, play) => game.pairs(play, "holds").next().map(|(_, held)| held),
        }
    }

    /// The names of all objects that occur in facts.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        let (published, compiled) = match self.parts() {
            Some(Parts::Published(game, _)) => (Some(game.world.object_names.iter()), None),
            Some(Parts::Compiled(game, _)) => (None, Some(game.names())),
            None => (None, None),
        };
        published.into_iter().flatten().chain(compiled.into_iter().flatten())
    }

    /// The names of the receptacles that an object is in or on. In games from ALFRED's scenes an
    /// object can touch two receptacles.
    pub fn places_of<'a>(&'a self, object: &str) -> impl Iterator<Item = &'a str> {
        let places: Vec<&str> = match self.parts() {
            Some(Parts::Published(game, state)) => {
                let world = &game.world;
                let object = world.object_names.position(object);
                let pairs = state.inside.pairs().filter(|&(_, inside)| Some(inside) == object);
                pairs.map(|(receptacle, _)| world.receptacle_names.get(receptacle)).collect()
            }
            Some(Parts::Compiled(game, play)) => {
                let pairs =
                    game.pairs(play, "inreceptacle").filter(|(inside, _)| *inside == object);
                pairs.map(|(_, receptacle)| receptacle).collect()
            }
            None => Vec::new(),
        };
        places.into_iter()
    }

    /// The game and the state, which always have the same kind of rules.
    fn parts(&self) -> Option<Parts<'_>> {
        match (&self.game.rules, &self.play) {
            (Rules::Published(game), Play::Published { state, .. }) => {
                Some(Parts::Published(game, state))
            }
            (Rules::Compiled(game), Play::Compiled(play)) => Some(Parts::Compiled(game, play)),
            _ => None,
        }
    }

    fn is_reached(&self) -> bool {
        match self.parts() {
            Some(Parts::Published(game, state)) => game.goal.is_reached(&game.world, state),
            Some(Parts::Compiled(game, play)) => game.is_reached(play),
            None => false,
        }
    }

    /// The action of a command in a game with the published rules, or `None` if it is not admissible
    /// now.
    pub(crate) fn find(&self, command: &str) -> Option<Action> {
        match self.parts()? {
            Parts::Published(game, state) => find(game, state, command),
            Parts::Compiled(..) => None,
        }
    }

    /// Plays a command. Returns whether it was admissible.
    fn play(&mut self, command: &str) -> bool {
        let done = match (&mut self.play, &self.game.rules) {
            (Play::Published { state, last }, Rules::Published(game)) => {
                let found = find(game, state, command);
                *last = LastEvent::Refusal;
                if let Some(action) = found {
                    *last = LastEvent::Action(action, state.location);
                    if action.verb.changes_state() {
                        game.world.apply(state, action);
                        self.won = game.goal.is_reached(&game.world, state);
                    }
                }
                found.is_some()
            }
            (Play::Compiled(play), Rules::Compiled(game)) => {
                let found = game.step(play, command);
                self.won = game.is_reached(play);
                found
            }
            _ => false,
        };
        self.ended = self.won;
        done
    }
}

fn find(game: &Published, state: &State, command: &str) -> Option<Action> {
    let world = &game.world;
    let mut actions = Vec::new();
    for group in game.grammar.groups() {
        for form in group.iter().filter(|form| form.can_match(command)) {
            actions.clear();
            world.possible(state, form.verb, &mut actions);
            let found = actions.iter().find(|&&action| form.matches(world, action, command));
            if let Some(&action) = found {
                return Some(action);
            }
        }
    }
    None
}

impl Session for AlfWorldSession {
    fn goal(&self) -> &str {
        self.game.goal_text()
    }

    fn observe(&self, out: &mut String) {
        let (game, state, last) = match (&self.game.rules, &self.play) {
            (Rules::Published(game), Play::Published { state, last }) => (game, state, *last),
            (Rules::Compiled(game), Play::Compiled(play)) => return game.observe(play, out),
            _ => return,
        };
        let write = |grammar: &Grammar, scene: &Scene, out: &mut String| match last {
            LastEvent::Start => grammar.write_intro(scene, out),
            LastEvent::Action(action, before) => grammar.write_feedback(scene, action, before, out),
            LastEvent::Refusal => out.push_str(grammar.refusal()),
        };
        let scene = Scene { world: &game.world, state, task: &self.game.task, shuffle: None };
        if let Some((paraphrase, stream)) = &self.paraphrase {
            let rng = stream.of(self.observed, 0).rng();
            if paraphrase.write(&scene, rng, write, out) {
                return;
            }
        }
        write(&game.grammar, &scene, out);
    }

    fn admissible(&self, out: &mut Texts) {
        let (game, state) = match self.parts() {
            Some(Parts::Published(game, state)) => (game, state),
            Some(Parts::Compiled(game, play)) => {
                for command in game.admissible(play) {
                    out.buffer().push_str(&command);
                    out.finish();
                }
                return;
            }
            None => return,
        };
        let world = &game.world;
        let mut actions = Vec::with_capacity(64);
        let mut sorted = Vec::with_capacity(64);
        for group in game.grammar.groups() {
            sorted.clear();
            for form in group {
                actions.clear();
                world.possible(state, form.verb, &mut actions);
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
        let command = action.trim_matches(is_blank);
        self.steps += 1;
        let mut reward = self.config.step_reward;
        let valid = if self.ended {
            match self.parts() {
                Some(Parts::Published(game, state)) => find(game, state, command).is_some(),
                Some(Parts::Compiled(game, play)) => game.is_possible(play, command),
                None => false,
            }
        } else {
            self.observed = self.steps;
            let valid = self.play(command);
            if self.ended {
                reward += self.config.success_reward;
            }
            valid
        };
        Ok(Transition {
            reward,
            terminated: self.won,
            truncated: !self.won && self.steps >= self.config.max_steps,
            success: Some(self.won),
            score: None,
            valid,
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
            task: task.into(),
            rules: Rules::Published(Published { world, goal, grammar: Arc::new(grammar) }),
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
        let (text, done) = play(&mut session, "leave mug 2 at fridge 1");
        assert!(done.succeeded() && done.terminated && done.reward == 1.0);
        // After the end, further steps change nothing. The success reward is given once.
        for command in ["look", "pick mug 2 from fridge 1", "no command"] {
            let (again, done) = play(&mut session, command);
            assert!(done.succeeded() && done.terminated && done.reward == 0.0);
            assert_eq!(again, text);
        }
        assert_eq!(session.holding(), None);
        session.reset();
        assert_eq!((session.holding(), session.steps()), (None, 0));
    }
}
