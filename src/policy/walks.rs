//! The texts of an environment, from random play.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::env::{Environment, Session, Texts};
use crate::error::Result;
use crate::stream::{Purpose, Stream};

/// Receives texts. The result must not depend on their order.
pub(crate) trait TextCollector: Default {
    /// Takes a text.
    fn add(&mut self, text: &str);

    /// Takes all texts of another.
    fn merge(&mut self, other: Self);
}

/// Number of tasks that are played concurrently, for environments that support it.
const CONCURRENT_TASKS: usize = 128;

/// Maximum number of attempts to play a task. The vocabulary depends on all tasks, so a task on which
/// the environment fails cannot be left out.
const MAX_ATTEMPTS: usize = 3;

/// Steps per task: enough to open a few receptacles of a household; more steps add no words.
const STEPS_PER_TASK: usize = 24;

/// Collects the goals, observations and admissible actions of random play on up to `max_tasks` tasks, a
/// few dozen steps each.
///
/// # Errors
/// Fails if the environment fails repeatedly on a task.
pub(crate) fn random_texts<C: TextCollector>(
    environment: &dyn Environment,
    max_tasks: usize,
    seed: u64,
) -> Result<C> {
    let mut texts = C::default();
    let count = environment.tasks().min(max_tasks);
    let plan = |place: usize| {
        let mut rng = Stream::new(seed, Purpose::Weights).of(place, 0).rng();
        // Spread over all tasks, because neighbours in the list tend to be similar.
        PlannedTask { task: place * environment.tasks() / count, seed: rng.random(), rng }
    };
    let plans: Vec<PlannedTask> = (0..count).map(plan).collect();
    let concurrent = CONCURRENT_TASKS.min(environment.max_sessions()).max(1);
    for plans in plans.chunks(concurrent) {
        add_walks(&mut texts, environment, plans.to_vec())?;
    }
    Ok(texts)
}

/// Plays tasks at random, concurrently.
fn add_walks<C: TextCollector>(
    texts: &mut C,
    environment: &dyn Environment,
    mut plans: Vec<PlannedTask>,
) -> Result<()> {
    for attempt in 1.. {
        let episodes: Vec<_> = plans.iter().map(|plan| (plan.task, plan.seed)).collect();
        environment.announce(&episodes);
        let walks = plans.iter().map(|plan| RandomWalk::begin(environment, plan)).collect();
        let (mut failed, mut last) = (Vec::new(), None);
        for (plan, walked) in plans.into_iter().zip(walk_all(walks)) {
            match walked {
                Ok(walk) => texts.merge(walk.texts),
                Err(error) => {
                    failed.push(plan);
                    last = Some(error);
                }
            }
        }
        match last {
            None => break,
            Some(error) if attempt == MAX_ATTEMPTS => return Err(error),
            Some(_) => plans = failed,
        }
    }
    Ok(())
}

/// A task to play at random.
#[derive(Clone)]
struct PlannedTask {
    task: usize,
    /// Seed of the environment.
    seed: u64,
    /// Stream of the actions.
    rng: ChaCha8Rng,
}

/// One task under way.
struct RandomWalk<C> {
    session: Box<dyn Session>,
    rng: ChaCha8Rng,
    texts: C,
    /// The next action; `None` at the end.
    action: Option<String>,
}

/// Plays all walks to their ends, in lock-step. A walk that fails returns its error.
fn walk_all<C: TextCollector>(mut walks: Vec<Result<RandomWalk<C>>>) -> Vec<Result<RandomWalk<C>>> {
    for _ in 0..STEPS_PER_TASK {
        walks.iter_mut().flatten().for_each(RandomWalk::choose);
        for walk in &mut walks {
            if let Ok(Err(error)) = walk.as_mut().map(RandomWalk::step) {
                *walk = Err(error);
            }
        }
    }
    walks
}

impl<C: TextCollector> RandomWalk<C> {
    fn begin(environment: &dyn Environment, plan: &PlannedTask) -> Result<Self> {
        let session = environment.start(plan.task, plan.seed)?;
        let mut texts = C::default();
        texts.add(session.goal());
        Ok(Self { session, rng: plan.rng.clone(), texts, action: Some(String::new()) })
    }

    /// Collects the current texts and chooses the next action.
    fn choose(&mut self) {
        if self.action.take().is_none() {
            return;
        }
        let (mut observation, mut admissible) = (String::new(), Texts::new());
        self.session.observe(&mut observation);
        self.session.choices(&mut admissible);
        self.texts.add(&observation);
        admissible.iter().for_each(|action| self.texts.add(action));
        if !admissible.is_empty() {
            let action = admissible.get(self.rng.random_range(0..admissible.len()));
            let action = action.unwrap_or_default().to_string();
            self.session.announce(&action);
            self.action = Some(action);
        }
    }

    fn step(&mut self) -> Result<()> {
        if let Some(action) = &self.action
            && self.session.step(action)?.ended()
        {
            self.action = None;
        }
        Ok(())
    }
}
