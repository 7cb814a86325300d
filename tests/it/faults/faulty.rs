//! An environment with a chosen fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proxmo::env::{Environment, Session, Texts, Transition};
use proxmo::{Error, Result};

use crate::support::balls::Balls;

/// A fault, in the second step unless stated otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Error,
    Panic,
    /// Panics when the observation is read after the second step.
    PanicsWhenSeen,
    /// Panics, and again when dropped.
    PanicsTwice,
    NanReward,
    HugeReward,
    InfiniteReward,
    NoActions,
    LongObservation,
    LongActions,
    /// Never ends the episode.
    NeverEnds,
    /// Panics at the start.
    RefusesToStart,
    /// Takes a minute to answer.
    Hang,
    /// Takes a minute to start.
    HangsAtStart,
    /// Is slow, and answers correctly.
    Slow,
}

impl Fault {
    /// All faults that lose the episode, with part of the error.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Error, "step 2: the lamp fell over"),
        (Self::Panic, "step 2: panicked: a lamp fell over"),
        (Self::PanicsWhenSeen, "step 2: panicked: too dark to see"),
        (Self::PanicsTwice, "step 2: panicked: a lamp fell over"),
        (Self::NanReward, "step 2: paid a reward of NaN"),
        (Self::HugeReward, "step 2: paid a reward of 1e30"),
        (Self::InfiniteReward, "step 2: paid a reward of -inf"),
        (Self::NoActions, "step 2: offers no admissible action"),
        (Self::LongObservation, "step 2: gave an observation of 2000000 bytes"),
        (Self::LongActions, "step 2: gave actions of 20"),
        (Self::NeverEnds, "step 16: has not ended the episode after 16 steps of 8"),
        (Self::RefusesToStart, "step 0: panicked: not today"),
        (Self::Hang, "step 2: gave no answer within 2 seconds"),
        (Self::HangsAtStart, "step 0: gave no answer within 2 seconds"),
    ];
}

/// [`Balls`] with faults in some episodes.
pub struct Faulty {
    balls: Balls,
    fault: Fault,
    /// Selects the seeds of episodes with the fault.
    strikes: fn(u64) -> bool,
    task: Option<usize>,
    /// Number of sessions begun.
    begun: AtomicUsize,
    spared: usize,
}

impl Faulty {
    pub fn new(balls: Balls, fault: Fault, strikes: fn(u64) -> bool) -> Self {
        Self { balls, fault, strikes, task: None, begun: AtomicUsize::new(0), spared: 0 }
    }

    /// Limits the fault to episodes of one task.
    pub fn only(self, task: usize) -> Self {
        Self { task: Some(task), ..self }
    }

    /// Exempts the first `episodes` episodes, after those that the vocabulary is read from.
    pub fn after(self, episodes: usize) -> Self {
        Self { spared: self.balls.tasks + episodes, ..self }
    }
}

impl Environment for Faulty {
    fn name(&self) -> &str {
        "faulty balls"
    }

    fn tasks(&self) -> usize {
        self.balls.tasks()
    }

    fn task_name(&self, task: usize) -> &str {
        self.balls.task_name(task)
    }

    fn task_kind(&self, task: usize) -> usize {
        self.balls.task_kind(task)
    }

    fn kinds(&self) -> Vec<String> {
        self.balls.kinds()
    }

    fn max_steps(&self) -> usize {
        self.balls.max_steps()
    }

    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>> {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        let session = self.balls.start(task, seed)?;
        let of_task = self.task.is_none_or(|struck| struck == task);
        if !(of_task && begun >= self.spared && (self.strikes)(seed)) {
            return Ok(session);
        }
        assert!(self.fault != Fault::RefusesToStart, "not today");
        if self.fault == Fault::HangsAtStart {
            std::thread::sleep(Duration::from_secs(60));
        }
        Ok(Box::new(Struck { session, fault: self.fault, steps: 0 }))
    }
}

/// An environment that a thread can share.
pub struct Shared(pub Arc<Faulty>);

impl Environment for Shared {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn tasks(&self) -> usize {
        self.0.tasks()
    }

    fn task_name(&self, task: usize) -> &str {
        self.0.task_name(task)
    }

    fn task_kind(&self, task: usize) -> usize {
        self.0.task_kind(task)
    }

    fn kinds(&self) -> Vec<String> {
        self.0.kinds()
    }

    fn max_steps(&self) -> usize {
        self.0.max_steps()
    }

    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>> {
        self.0.start(task, seed)
    }

    fn shared(&self) -> Option<Arc<dyn Environment>> {
        Some(self.0.clone())
    }
}

/// An episode with a fault.
struct Struck {
    session: Box<dyn Session>,
    fault: Fault,
    steps: usize,
}

impl Struck {
    fn now(&self, fault: Fault) -> bool {
        self.fault == fault && self.steps == 2
    }
}

impl Session for Struck {
    fn goal(&self) -> &str {
        self.session.goal()
    }

    fn observe(&self, out: &mut String) {
        assert!(!self.now(Fault::PanicsWhenSeen), "too dark to see");
        if self.now(Fault::LongObservation) {
            out.push_str(&"x".repeat(2_000_000));
            return;
        }
        self.session.observe(out);
    }

    fn admissible(&self, out: &mut Texts) {
        if self.now(Fault::NoActions) {
            return;
        }
        self.session.admissible(out);
        if self.now(Fault::LongActions) {
            (0..2).for_each(|_| out.push(&"x".repeat(1_000_000)));
        }
    }

    fn step(&mut self, action: &str) -> Result<Transition> {
        self.steps += 1;
        let mut done = self.session.step(action)?;
        if self.fault == Fault::NeverEnds {
            return Ok(Transition { terminated: false, truncated: false, ..done });
        }
        if self.steps != 2 {
            return Ok(done);
        }
        match self.fault {
            Fault::Error => return Err(Error::Environment("the lamp fell over".into())),
            Fault::Panic | Fault::PanicsTwice => panic!("a lamp fell over"),
            Fault::NanReward => done.reward = f64::NAN,
            Fault::HugeReward => done.reward = 1e30,
            Fault::InfiniteReward => done.reward = f64::NEG_INFINITY,
            Fault::NoActions => (done.terminated, done.truncated) = (false, false),
            Fault::Hang => std::thread::sleep(Duration::from_secs(60)),
            Fault::Slow => std::thread::sleep(Duration::from_millis(20)),
            _ => {}
        }
        Ok(done)
    }
}

impl Drop for Struck {
    fn drop(&mut self) {
        // A second panic while unwinding would abort the process.
        let fault = self.fault == Fault::PanicsTwice && !std::thread::panicking();
        assert!(!fault, "and it fell again");
    }
}
