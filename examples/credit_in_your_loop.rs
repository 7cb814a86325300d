//! ProxMO in your own training loop.
//!
//! A burn project already has the environment, the policy and the loop below: a house with a key to
//! find, a network of two layers, policy gradients. The lines between the two marks are everything that
//! ProxMO adds.
//!
//! ```text
//! cargo run --release --example credit_in_your_loop
//! ```

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{log_softmax, relu, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};
use proxmo::credit::ProxMo;
use proxmo::episodes::{Batch, Episode, Step};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ITERATIONS: usize = 60;
const GROUPS: u32 = 12;
const EPISODES: usize = 8;
const LEARNING_RATE: f64 = 0.02;

fn main() -> proxmo::Result<()> {
    let (before, after) = run()?;
    println!("success went from {:.0} % to {:.0} %", 100.0 * before, 100.0 * after);
    Ok(())
}

/// Trains the policy. Returns the success rate in the first iteration and in the last.
pub fn run() -> proxmo::Result<(f64, f64)> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut policy = Policy::new(&device);
    let mut optimizer = AdamConfig::new().init();
    let mut successes = Vec::new();

    for iteration in 1..=ITERATIONS {
        let groups = play(&policy.probabilities(), &mut rng);

        // ---- ProxMO begins -------------------------------------------------------------------
        let mut batch = Batch::builder();
        for group in &groups {
            batch.push_group(group.iter().map(|episode| {
                let step = |step: &Move| Step::new(OBSERVATIONS[step.state], step.reward);
                Episode::new().steps(episode.moves.iter().map(step)).success(episode.success)
            }));
        }
        let credit = ProxMo::default().assign(&batch.build()?)?;
        let advantages = Tensor::<1>::from_floats(credit.advantages.as_slice(), &device);
        // ---- ProxMO ends ---------------------------------------------------------------------

        let episodes: Vec<&Played> = groups.iter().flatten().collect();
        let moves: Vec<&Move> = episodes.iter().flat_map(|episode| &episode.moves).collect();
        let states: Vec<usize> = moves.iter().map(|step| step.state).collect();
        let actions: Vec<i32> = moves.iter().map(|step| step.action as i32).collect();
        let actions = Tensor::<1, Int>::from_ints(actions.as_slice(), &device).unsqueeze_dim(1);
        let log_probs = log_softmax(policy.logits(&states), 1).gather(1, actions);
        let loss = (log_probs.squeeze_dim::<1>(1) * advantages).mean().neg();
        let gradients = GradientsParams::from_grads(loss.backward(), &policy);
        policy = optimizer.step(LEARNING_RATE, policy, gradients);

        let won = episodes.iter().filter(|episode| episode.success).count();
        let success = won as f64 / episodes.len() as f64;
        successes.push(success);
        if iteration == 1 || iteration % 10 == 0 {
            println!(
                "iteration {iteration:>2}   success {:>3.0} %   {:>4.1} steps an episode   \
                 {:.1} effective neighbours",
                100.0 * success,
                moves.len() as f64 / episodes.len() as f64,
                credit.diagnostics.neighbours.unwrap_or_default()
            );
        }
    }
    Ok((successes[0], successes[ITERATIONS - 1]))
}

// ---- Your environment: a row of rooms with a key at one end and the door at the other. ------------

const ROOMS: u32 = 4;
const MAX_STEPS: usize = 16;

/// The observation in each room, without the key and with it.
const OBSERVATIONS: [&str; 2 * ROOMS as usize] = [
    "You stand in the hall before a locked door.",
    "You stand in the hall before a locked door, the key in your hand.",
    "You are in the kitchen. The hall is to the left, the pantry to the right.",
    "You are in the kitchen, the key in your hand. The hall is to the left.",
    "You are in the pantry. The kitchen is to the left, the cellar to the right.",
    "You are in the pantry, the key in your hand. The kitchen is to the left.",
    "You are in the cellar. A key hangs on the wall.",
    "You are in the cellar, the key in your hand. The pantry is to the left.",
];

/// Go left, go right, take the key.
const ACTIONS: usize = 3;

#[derive(Clone, Copy)]
struct House {
    room: u32,
    key: bool,
}

impl House {
    /// The number of the observation.
    fn state(self) -> usize {
        (2 * self.room + u32::from(self.key)) as usize
    }

    fn after(self, action: usize) -> Self {
        match action {
            0 => Self { room: self.room.saturating_sub(1), ..self },
            1 => Self { room: (self.room + 1).min(ROOMS - 1), ..self },
            _ => Self { key: self.key || self.room == ROOMS - 1, ..self },
        }
    }

    fn is_open(self) -> bool {
        self.key && self.room == 0
    }
}

// ---- Your rollout: groups of episodes that begin in the same room. --------------------------------

struct Move {
    state: usize,
    action: usize,
    reward: f64,
}

#[derive(Default)]
struct Played {
    moves: Vec<Move>,
    success: bool,
}

fn play(probabilities: &[f32], rng: &mut ChaCha8Rng) -> Vec<Vec<Played>> {
    let mut group = |group: u32| {
        let start = House { room: group % (ROOMS - 1), key: false };
        (0..EPISODES).map(|_| play_episode(start, probabilities, rng)).collect()
    };
    (0..GROUPS).map(&mut group).collect()
}

fn play_episode(mut house: House, probabilities: &[f32], rng: &mut ChaCha8Rng) -> Played {
    let mut played = Played::default();
    while !played.success && played.moves.len() < MAX_STEPS {
        let state = house.state();
        let mut left = rng.random::<f32>();
        let mut is_drawn = |&probability: &f32| {
            left -= probability;
            left < 0.0
        };
        let of_state = &probabilities[state * ACTIONS..][..ACTIONS];
        let action = of_state.iter().position(&mut is_drawn).unwrap_or(ACTIONS - 1);
        house = house.after(action);
        played.success = house.is_open();
        played.moves.push(Move { state, action, reward: f64::from(u8::from(played.success)) });
    }
    played
}

// ---- Your policy. ---------------------------------------------------------------------------------

#[derive(Module, Debug)]
struct Policy {
    hidden: Linear,
    scores: Linear,
}

impl Policy {
    fn new(device: &Device) -> Self {
        Self {
            hidden: LinearConfig::new(OBSERVATIONS.len(), 16).init(device),
            scores: LinearConfig::new(16, ACTIONS).init(device),
        }
    }

    /// `[rows, actions]`.
    fn logits(&self, states: &[usize]) -> Tensor<2> {
        let width = OBSERVATIONS.len();
        let mut ones = vec![0.0f32; states.len() * width];
        for (row, &state) in states.iter().enumerate() {
            ones[row * width + state] = 1.0;
        }
        let device = self.hidden.weight.device();
        let inputs = Tensor::from_data(TensorData::new(ones, [states.len(), width]), &device);
        self.scores.forward(relu(self.hidden.forward(inputs)))
    }

    /// The probability of every action in every state: `[states, actions]`.
    fn probabilities(&self) -> Vec<f32> {
        let all: Vec<usize> = (0..OBSERVATIONS.len()).collect();
        let probabilities = softmax(self.logits(&all), 1).into_data();
        probabilities.try_to_vec().expect("the tensor holds f32")
    }
}
