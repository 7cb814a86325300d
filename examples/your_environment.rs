//! An environment of your own, in Rust.
//!
//! An environment is a list of tasks, and a session is one episode of a task: it has a goal, an
//! observation and admissible actions, all of them texts. This one is a bar: "serve tea in the mug".
//! The example trains the built-in policy on it.
//!
//! ```text
//! cargo run --release --example your_environment
//! ```

use burn::tensor::Device;
use proxmo::Result;
use proxmo::env::{Environment, Session, Texts, Transition};
use proxmo::policy::scorer::ScorerConfig;
use proxmo::policy::{PolicyKind, PolicySpec};
use proxmo::train::{Config, Trainer};

const DRINKS: [&str; 4] = ["tea", "coffee", "cocoa", "juice"];
const CUPS: [&str; 3] = ["mug", "glass", "bowl"];
const MAX_STEPS: usize = 6;
const ITERATIONS: usize = 15;

/// The tasks: every drink in every cup.
struct Bar {
    names: Vec<String>,
}

impl Bar {
    fn new() -> Self {
        let order = |cup: &&str| DRINKS.map(|drink| format!("{drink}-{cup}"));
        Self { names: CUPS.iter().flat_map(order).collect() }
    }
}

impl Environment for Bar {
    fn name(&self) -> &str {
        "bar"
    }

    fn tasks(&self) -> usize {
        self.names.len()
    }

    fn task_name(&self, task: usize) -> &str {
        &self.names[task]
    }

    fn task_kind(&self, task: usize) -> usize {
        task / DRINKS.len()
    }

    fn kinds(&self) -> Vec<String> {
        CUPS.map(str::to_string).into()
    }

    fn max_steps(&self) -> usize {
        MAX_STEPS
    }

    /// The seed decides what is left to chance. Here nothing is.
    fn start(&self, task: usize, _seed: u64) -> Result<Box<dyn Session>> {
        let order = (DRINKS[task % DRINKS.len()], CUPS[task / DRINKS.len()]);
        let goal = format!("serve {} in the {}", order.0, order.1);
        Ok(Box::new(Order { goal, order, cup: None, drink: None, steps: 0 }))
    }
}

/// One episode.
struct Order {
    goal: String,
    order: (&'static str, &'static str),
    cup: Option<&'static str>,
    drink: Option<&'static str>,
    steps: usize,
}

impl Session for Order {
    fn goal(&self) -> &str {
        &self.goal
    }

    fn observe(&self, out: &mut String) {
        match (self.cup, self.drink) {
            (None, _) => out.push_str("You stand behind the bar."),
            (Some(cup), None) => out.push_str(&format!("You hold an empty {cup}.")),
            (Some(cup), Some(drink)) => out.push_str(&format!("You hold a {cup} of {drink}.")),
        }
    }

    fn admissible(&self, out: &mut Texts) {
        match (self.cup, self.drink) {
            (None, _) => CUPS.iter().for_each(|cup| out.push(&format!("take the {cup}"))),
            (_, None) => DRINKS.iter().for_each(|drink| out.push(&format!("pour {drink}"))),
            _ => ["serve", "empty the cup"].iter().for_each(|action| out.push(action)),
        }
    }

    fn step(&mut self, action: &str) -> Result<Transition> {
        self.steps += 1;
        let mut admissible = Texts::new();
        self.admissible(&mut admissible);
        let valid = admissible.position(action).is_some();
        let find =
            |names: &[&'static str]| names.iter().find(|name| action.ends_with(**name)).copied();
        let mut served = false;
        match action {
            _ if !valid => {}
            "serve" => served = true,
            "empty the cup" => self.drink = None,
            _ if self.cup.is_none() => self.cup = find(&CUPS),
            _ => self.drink = find(&DRINKS),
        }
        let success = served && (self.drink, self.cup) == (Some(self.order.0), Some(self.order.1));
        Ok(Transition {
            reward: f64::from(u8::from(success)),
            terminated: served,
            truncated: !served && self.steps >= MAX_STEPS,
            success: Some(success),
            score: None,
            valid,
        })
    }
}

fn main() -> Result<()> {
    let (before, after) = run()?;
    println!("success went from {:.0} % to {:.0} %", 100.0 * before, 100.0 * after);
    Ok(())
}

/// Trains, and returns the share of successful episodes in the first and in the last iteration.
pub fn run() -> Result<(f64, f64)> {
    let bar = Bar::new();
    let mut config = Config::default();
    config.update.learning_rate = 0.01;
    let device = Device::flex().autodiff();
    let (policy, encoder) = ScorerConfig::default().spec(&bar, 0)?.build(0, &device)?;
    let mut trainer = Trainer::new(config, policy, encoder);

    let mut successes = Vec::new();
    for iteration in 1..=ITERATIONS {
        let progress = iteration as f64 / ITERATIONS as f64;
        let (metrics, _) = trainer.iterate(&bar, progress)?;
        if iteration == 1 || iteration % 5 == 0 {
            println!("iteration {iteration:>2}   success {:>3.0} %", 100.0 * metrics.success);
        }
        successes.push(metrics.success);
    }
    Ok((successes[0], successes[ITERATIONS - 1]))
}
