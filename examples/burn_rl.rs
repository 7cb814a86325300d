//! An environment of this crate as an environment of burn-rl.
//!
//! `docs/embedding.md` lists which parts of the traits correspond and which do not.
//!
//! ```text
//! cargo run --release --example burn_rl
//! ```

use burn_rl::{Environment as _, StepResult};
use proxmo::env::household::HouseholdConfig;
use proxmo::env::{Environment, Session, Texts, Transition};
use proxmo::{Error, Result};

// ---- The adapter ----------------------------------------------------------------------------------

/// The state that burn-rl passes to a policy. An action is an index into `admissible`.
#[derive(Debug, Clone, Default)]
struct TextState {
    goal: String,
    observation: String,
    admissible: Texts,
}

/// Plays the tasks of `environment` in order, `group_size` episodes each. burn-rl takes the step limit
/// as a constant of the type.
struct BurnRlEnvironment<E, const MAX_STEPS: usize> {
    environment: E,
    group_size: usize,
    /// Number of episodes that were started.
    episodes: usize,
    session: Option<Box<dyn Session>>,
    /// The last step, which also says whether the goal is reached and whether the action was valid.
    last: Transition,
    /// The error that ended the episode. burn-rl's `step` and `reset` cannot return it.
    error: Option<Error>,
}

impl<E: Environment, const MAX_STEPS: usize> BurnRlEnvironment<E, MAX_STEPS> {
    fn new(environment: E, group_size: usize) -> Self {
        let (session, last, error) = (None, Transition::default(), None);
        let mut adapter = Self { environment, group_size, episodes: 0, session, last, error };
        adapter.reset();
        adapter
    }

    /// The task of the current episode. Episodes of one group have the same task.
    fn task(&self) -> usize {
        (self.episodes - 1) / self.group_size % self.environment.tasks()
    }

    fn try_step(&mut self, action: usize) -> Result<Transition> {
        let admissible = self.state().admissible;
        let action = admissible.get(action).unwrap_or_default();
        let ended = || Error::Environment("the episode did not start".into());
        self.session.as_mut().ok_or_else(ended)?.step(action)
    }
}

impl<E: Environment, const MAX_STEPS: usize> burn_rl::Environment
    for BurnRlEnvironment<E, MAX_STEPS>
{
    type State = TextState;
    type Action = usize;
    const MAX_STEPS: usize = MAX_STEPS;

    fn state(&self) -> TextState {
        let mut state = TextState::default();
        if let Some(session) = &self.session {
            state.goal.push_str(session.goal());
            session.observe(&mut state.observation);
            session.admissible(&mut state.admissible);
        }
        state
    }

    fn step(&mut self, action: usize) -> StepResult<TextState> {
        // An episode that its environment breaks counts as truncated.
        let broken = Transition { truncated: true, ..Transition::default() };
        let last = self.try_step(action).map_err(|error| self.error = Some(error));
        self.last = last.unwrap_or(broken);
        let Transition { reward, terminated: done, truncated, .. } = self.last;
        StepResult { next_state: self.state(), reward, done, truncated }
    }

    fn reset(&mut self) {
        self.episodes += 1;
        let session = self.environment.start(self.task(), self.episodes as u64);
        self.session = session.map_err(|error| self.error = Some(error)).ok();
        self.last = Transition::default();
    }
}

// ---- An episode through burn-rl's trait -------------------------------------------------------------

/// Plays one episode of any environment of burn-rl. Returns the sum of its rewards.
fn play<E: burn_rl::Environment>(
    environment: &mut E,
    mut act: impl FnMut(&E::State) -> E::Action,
) -> f64 {
    let (mut state, mut total) = (environment.state(), 0.0);
    for _ in 0..E::MAX_STEPS {
        let result = environment.step(act(&state));
        total += result.reward;
        state = result.next_state;
        if result.done || result.truncated {
            break;
        }
    }
    total
}

fn main() -> Result<()> {
    let successes = run()?;
    println!("{successes} of 8 episodes reached their goals");
    Ok(())
}

/// Plays two groups of four household episodes with the expert. Returns the number of successes.
pub fn run() -> Result<usize> {
    let household = HouseholdConfig::default().generate(Some("valid"))?;
    let mut environment = BurnRlEnvironment::<_, 50>::new(household, 4);
    let mut successes = 0;
    for episode in 0..8 {
        let mut expert = environment.environment.expert(environment.task());
        let act = |state: &TextState| {
            expert.as_mut().map_or(0, |expert| expert.act(&state.observation, &state.admissible))
        };
        let goal = environment.state().goal;
        let total = play(&mut environment, act);
        if let Some(error) = environment.error.take() {
            return Err(error);
        }
        println!("episode {episode}, task {}: {goal} Return {total}.", environment.task());
        successes += usize::from(environment.last.succeeded());
        environment.reset();
    }
    Ok(successes)
}
