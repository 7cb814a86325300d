//! A game that the visitor plays.

use proxmo::env::{Environment, Session, Texts, Transition};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::error::{Result, json};
use crate::training::read_config;

/// The state of a game between two steps.
#[derive(Serialize)]
pub struct State {
    /// The observation.
    pub observation: String,
    /// The actions to choose from; none once the game is over.
    pub actions: Texts,
    /// Steps done.
    pub steps: usize,
    /// Whether the game is over.
    pub over: bool,
    /// Whether the goal is reached.
    pub won: bool,
}

/// Held-out tasks, and the game of one of them that is in progress.
#[wasm_bindgen]
pub struct Game {
    tasks: Box<dyn Environment>,
    session: Option<Box<dyn Session>>,
    last: Transition,
    steps: usize,
}

#[wasm_bindgen]
impl Game {
    /// The held-out tasks of settings, which are the text of a `config.toml`.
    ///
    /// # Errors
    /// Names the line and key of the first setting that is wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(settings: &str) -> Result<Game> {
        let config = read_config(settings)?;
        let tasks = config.env.open(config.env.held_out_split())?;
        Ok(Game { tasks, session: None, last: Transition::default(), steps: 0 })
    }

    /// The number of held-out tasks.
    #[wasm_bindgen(getter)]
    pub fn tasks(&self) -> usize {
        self.tasks.tasks()
    }

    /// Begins a game: its goal, the kind of its task, the step limit and the first state, as JSON.
    ///
    /// # Errors
    /// Fails if there is no such task.
    pub fn begin(&mut self, task: usize) -> Result<String> {
        #[derive(Serialize)]
        struct Begun {
            goal: String,
            kind: String,
            max_steps: usize,
            state: State,
        }
        if task >= self.tasks.tasks() {
            return Err(JsError::new(&format!("there is no task {task}")));
        }
        let session = self.tasks.start(task, SEED)?;
        let kind = self.tasks.kinds().swap_remove(self.tasks.task_kind(task));
        let (goal, max_steps) = (session.goal().to_string(), self.tasks.max_steps());
        (self.last, self.steps) = (Transition::default(), 0);
        let state = state_of(&*session, self.last, 0);
        self.session = Some(session);
        json(&Begun { goal, kind, max_steps, state })
    }

    /// Takes an action: the new state, as JSON.
    ///
    /// # Errors
    /// Fails if no game is in progress.
    pub fn act(&mut self, action: &str) -> Result<String> {
        let session = self.session.as_mut().filter(|_| !self.last.ended());
        let session = session.ok_or_else(|| JsError::new("no game is in progress"))?;
        self.last = session.step(action)?;
        self.steps += 1;
        json(&state_of(&**session, self.last, self.steps))
    }
}

/// The seed of the visitor's and the agent's game: both see the same rooms.
pub const SEED: u64 = 0;

/// The state of a session after its last transition.
pub fn state_of(session: &dyn Session, last: Transition, steps: usize) -> State {
    let (mut observation, mut actions) = (String::new(), Texts::new());
    session.observe(&mut observation);
    if !last.ended() {
        session.choices(&mut actions);
    }
    State { observation, actions, steps, over: last.ended(), won: last.succeeded() }
}

/// One step of the agent's game.
#[derive(Serialize)]
pub struct AgentStep {
    /// The action.
    pub action: String,
    /// How likely the agent was to take it.
    pub probability: f64,
    /// The observation after it.
    pub observation: String,
}

/// The agent's game.
#[derive(Serialize)]
pub struct AgentGame {
    /// Iterations of training that the agent had done.
    pub iteration: u64,
    /// The steps in order.
    pub steps: Vec<AgentStep>,
    /// Whether the goal was reached.
    pub won: bool,
}
