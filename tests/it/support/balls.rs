//! A small environment that a policy learns in seconds.

#![allow(dead_code)] // Each test file uses its own part.

use proxmo::Result;
use proxmo::env::{Environment, Session, Texts, Transition};

const COLOURS: [&str; 8] = ["red", "blue", "green", "gold", "grey", "pink", "black", "white"];
const PLACES: [&str; 2] = ["box", "jar"];

/// "put the red ball in the jar": take the ball of the right colour, then put it into the right place.
pub struct Balls {
    pub tasks: usize,
    pub max_steps: usize,
}

struct Table {
    goal: String,
    colour: usize,
    place: usize,
    held: Option<usize>,
    steps: usize,
    max_steps: usize,
    observation: String,
}

impl Environment for Balls {
    fn name(&self) -> &str {
        "balls"
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn task_name(&self, task: usize) -> &str {
        COLOURS[task % COLOURS.len()]
    }

    fn task_kind(&self, task: usize) -> usize {
        task / COLOURS.len() % PLACES.len()
    }

    fn kinds(&self) -> Vec<String> {
        PLACES.map(str::to_string).into()
    }

    fn max_steps(&self) -> usize {
        self.max_steps
    }

    fn start(&self, task: usize, _seed: u64) -> Result<Box<dyn Session>> {
        let (colour, place) = (task % COLOURS.len(), self.task_kind(task));
        Ok(Box::new(Table {
            goal: format!("put the {} ball in the {}", COLOURS[colour], PLACES[place]),
            colour,
            place,
            held: None,
            steps: 0,
            max_steps: self.max_steps,
            observation: "balls lie on a table".into(),
        }))
    }
}

impl Session for Table {
    fn goal(&self) -> &str {
        &self.goal
    }

    fn observe(&self, out: &mut String) {
        out.push_str(&self.observation);
    }

    fn admissible(&self, out: &mut Texts) {
        match self.held {
            None => COLOURS.iter().for_each(|colour| out.push(&format!("take {colour} ball"))),
            Some(_) => {
                PLACES.iter().for_each(|place| out.push(&format!("put ball in {place}")));
                out.push("drop ball");
            }
        }
    }

    fn step(&mut self, action: &str) -> Result<Transition> {
        self.steps += 1;
        let mut admissible = Texts::new();
        self.admissible(&mut admissible);
        let valid = admissible.position(action).is_some();
        let mut success = false;
        if let Some(colour) = COLOURS.iter().position(|one| action == format!("take {one} ball")) {
            self.held = Some(colour);
            self.observation = format!("you hold the {} ball", COLOURS[colour]);
        } else if valid {
            let there = action == format!("put ball in {}", PLACES[self.place]);
            success = there && self.held == Some(self.colour);
            self.held = None;
            self.observation = "the ball is back on the table".into();
        }
        Ok(Transition {
            reward: f64::from(u8::from(success)),
            terminated: success,
            truncated: !success && self.steps >= self.max_steps,
            success: Some(success),
            score: None,
            valid,
        })
    }
}
