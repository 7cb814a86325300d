//! ProxMO in a training loop of your own.
//!
//! The environment, the policy and the loop below are what a burn project already has: a house to
//! find a key in, a network of two layers, policy gradients. The lines between the two marks are
//! all that ProxMO adds.
//!
//! ```text
//! cargo run --release --example credit_in_your_loop
//! ```

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{log_softmax, relu, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};
use proxmo::credit::{CreditBatch, CreditConfig, assign};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ITERATIONS: usize = 60;
const GROUPS: usize = 12;
const EPISODES: usize = 8;
const LEARNING_RATE: f64 = 0.02;

fn main() -> proxmo::Result<()> {
    let (before, after) = run()?;
    println!("success went from {:.0} % to {:.0} %", 100.0 * before, 100.0 * after);
    Ok(())
}

/// Trains, and hands back the share of successes in the first iteration and in the last.
pub fn run() -> proxmo::Result<(f64, f64)> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut policy = Policy::new(&device);
    let mut optimizer = AdamConfig::new().init();
    let mut successes = Vec::new();

    for iteration in 1..=ITERATIONS {
        let played = Played::with(&policy.probabilities(), &mut rng);

        // ---- ProxMO begins -------------------------------------------------------------------
        let batch = CreditBatch {
            group_offsets: &played.group_offsets,
            episode_offsets: &played.episode_offsets,
            rewards: &played.rewards,
            success: &played.success,
            valid: &vec![true; played.rewards.len()],
            observations: &played.observations,
            texts: &OBSERVATIONS,
            final_observations: None,
            embeddings: None,
        };
        let credit = assign(&batch, &CreditConfig::default())?;
        let advantages = Tensor::<1>::from_floats(credit.advantages.as_slice(), &device);
        // ---- ProxMO ends ---------------------------------------------------------------------

        let taken = log_softmax(policy.logits(&played.observations), 1)
            .gather(
                1,
                Tensor::<1, Int>::from_ints(played.actions.as_slice(), &device).unsqueeze_dim(1),
            )
            .squeeze_dim::<1>(1);
        let loss = (taken * advantages).mean().neg();
        let gradients = GradientsParams::from_grads(loss.backward(), &policy);
        policy = optimizer.step(LEARNING_RATE, policy, gradients);

        let won = played.success.iter().filter(|&&success| success).count();
        let success = won as f64 / played.success.len() as f64;
        successes.push(success);
        if iteration == 1 || iteration % 10 == 0 {
            let steps = played.rewards.len() as f64 / played.success.len() as f64;
            println!(
                "iteration {iteration:>2}   success {:>3.0} %   {steps:>4.1} steps an episode   \
                 {:.1} effective neighbours",
                100.0 * success,
                credit.diagnostics.neighbours.unwrap_or_default()
            );
        }
    }
    Ok((successes[0], successes[ITERATIONS - 1]))
}

// ---- Your environment: a row of rooms. The key lies at one end, the door is at the other. --------

const ROOMS: u32 = 4;
const MAX_STEPS: usize = 16;

/// What is seen in each room, without the key in hand and with it.
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

/// Go left, go right, take what is there.
const ACTIONS: usize = 3;

#[derive(Clone, Copy)]
struct House {
    room: u32,
    key: bool,
}

impl House {
    /// The number of what is seen.
    fn observation(self) -> u32 {
        2 * self.room + u32::from(self.key)
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

#[derive(Default)]
struct Played {
    group_offsets: Vec<usize>,
    episode_offsets: Vec<usize>,
    rewards: Vec<f32>,
    success: Vec<bool>,
    observations: Vec<u32>,
    actions: Vec<i32>,
}

impl Played {
    fn with(probabilities: &[f32], rng: &mut ChaCha8Rng) -> Self {
        let mut played =
            Self { group_offsets: vec![0], episode_offsets: vec![0], ..Self::default() };
        for group in 0..GROUPS {
            let start = House { room: group as u32 % (ROOMS - 1), key: false };
            for _ in 0..EPISODES {
                played.episode(start, probabilities, rng);
            }
            played.group_offsets.push(played.success.len());
        }
        played
    }

    fn episode(&mut self, mut house: House, probabilities: &[f32], rng: &mut ChaCha8Rng) {
        for _ in 0..MAX_STEPS {
            let state = house.observation();
            let of_state = &probabilities[state as usize * ACTIONS..][..ACTIONS];
            let mut left = rng.random::<f32>();
            let mut falls_here = |&probability: &f32| {
                left -= probability;
                left < 0.0
            };
            let action = of_state.iter().position(&mut falls_here).unwrap_or(ACTIONS - 1);
            house = house.after(action);
            self.observations.push(state);
            self.actions.push(action as i32);
            self.rewards.push(f32::from(u8::from(house.is_open())));
            if house.is_open() {
                break;
            }
        }
        self.success.push(house.is_open());
        self.episode_offsets.push(self.rewards.len());
    }
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
    fn logits(&self, observations: &[u32]) -> Tensor<2> {
        let width = OBSERVATIONS.len();
        let mut ones = vec![0.0f32; observations.len() * width];
        for (row, &observation) in observations.iter().enumerate() {
            ones[row * width + observation as usize] = 1.0;
        }
        let device = self.hidden.weight.device();
        let inputs = Tensor::from_data(TensorData::new(ones, [observations.len(), width]), &device);
        self.scores.forward(relu(self.hidden.forward(inputs)))
    }

    /// Of every action on every observation: there are few enough to ask for all of them at once.
    fn probabilities(&self) -> Vec<f32> {
        let all: Vec<u32> = (0..OBSERVATIONS.len() as u32).collect();
        let probabilities = softmax(self.logits(&all), 1).into_data();
        probabilities.try_to_vec().expect("the tensor holds f32")
    }
}
