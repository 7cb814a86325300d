//! A policy of your own: any burn module that scores actions, trained by proxmo.
//!
//! A policy is an [`Encoder`] (text to numbers, on the host) and a [`Policy`] (a burn module). The one
//! here scores each admissible action by a small network over word-overlap features. It learns a tiny
//! environment, which is also written here, in about a second.
//!
//! ```text
//! cargo run --release --example your_policy
//! ```

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};
use proxmo::device::read_async;
use proxmo::env::{Environment, Session, Texts, Transition};
use proxmo::policy::{Answer, Encoder, Inputs, Policy, Responses, Sampling, TokenScores};
use proxmo::train::{Config, EvaluationPlan, Trainer, evaluate};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Features of an action: the words that it shares with the goal and with the observation.
const FEATURES: usize = 2;

/// Log-probability of padding.
const PADDING: f32 = -1e30;

/// Encoded steps: the features of each row's actions.
#[derive(Debug, Default)]
struct Rows(Vec<Vec<[f32; FEATURES]>>);

impl Inputs for Rows {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn reorder(&mut self, order: &[usize]) {
        self.0 = order.iter().map(|&row| self.0[row].clone()).collect();
    }

    fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// The host half. It remembers the goal of each episode.
struct WordOverlap;

impl Encoder for WordOverlap {
    type Inputs = Rows;
    type Memory = String;

    fn begin(&self, goal: &str, _: &mut Rows) -> String {
        goal.to_string()
    }

    fn encode(&self, goal: &mut String, observation: &str, admissible: &Texts, rows: &mut Rows) {
        let shared = |action: &str, text: &str| {
            let words: Vec<&str> = text.split_whitespace().collect();
            action.split_whitespace().filter(|word| words.contains(word)).count() as f32
        };
        let features = |action: &str| [shared(action, goal), shared(action, observation)];
        rows.0.push(admissible.iter().map(features).collect());
    }

    fn response(&self, admissible: &Texts, action: &str) -> Option<Vec<u32>> {
        admissible.position(action).map(|index| vec![index as u32])
    }

    fn acted(&self, _: &mut String, _: &str, _: &[u32], _: &mut Rows) {}
}

/// The half with weights: two linear layers that score an action's features.
#[derive(Module, Debug)]
struct OverlapNetwork {
    hidden: Linear,
    score: Linear,
}

impl OverlapNetwork {
    fn new(device: &Device) -> Self {
        Self {
            hidden: LinearConfig::new(FEATURES, 16).init(device),
            score: LinearConfig::new(16, 1).init(device),
        }
    }

    fn device(&self) -> Device {
        self.hidden.weight.val().device()
    }

    /// Hidden activations of all actions, padded: `[rows, width, 16]`.
    fn activations(&self, inputs: &Rows, rows: &[usize]) -> Tensor<3> {
        let width = rows.iter().map(|&row| inputs.0[row].len()).max().unwrap_or(1);
        let mut values = vec![0.0; rows.len() * width * FEATURES];
        for (row, target) in rows.iter().zip(values.chunks_exact_mut(width * FEATURES)) {
            let features = inputs.0[*row].as_flattened();
            target[..features.len()].copy_from_slice(features);
        }
        let data = TensorData::new(values, [rows.len(), width, FEATURES]);
        relu(self.hidden.forward(Tensor::from_data(data, &self.device())))
    }

    /// Log-probabilities of all actions, padded: `[rows, width]`.
    fn log_probs(&self, inputs: &Rows, rows: &[usize], temperature: f32) -> Tensor<2> {
        let scores = self.score.forward(self.activations(inputs, rows)).squeeze_dim::<2>(2);
        let [_, width] = scores.dims();
        let padding = |row: &usize| {
            let actions = inputs.0[*row].len();
            (0..width).map(move |action| if action < actions { 0.0 } else { PADDING })
        };
        let padding: Vec<f32> = rows.iter().flat_map(padding).collect();
        let padding = TensorData::new(padding, [rows.len(), width]);
        let padding = Tensor::<2>::from_data(padding, &self.device());
        log_softmax(scores.div_scalar(temperature) + padding, 1)
    }
}

impl Policy for OverlapNetwork {
    type Encoder = WordOverlap;
    type Cache = ();

    fn cache(&self) {}

    async fn respond_async(
        &self,
        (): &mut (),
        inputs: &Rows,
        rows: &[usize],
        sampling: Sampling,
        draws: &mut [&mut ChaCha8Rng],
    ) -> proxmo::Result<(Vec<Answer>, Responses)> {
        let log_probs = self.log_probs(inputs, rows, sampling.temperature());
        let [_, width] = log_probs.dims();
        let log_probs = read_async(log_probs).await?;
        let (mut answers, mut responses) = (Vec::new(), Responses::default());
        for (log_probs, draw) in log_probs.chunks_exact(width).zip(draws) {
            let best = (0..width).max_by(|&a, &b| log_probs[a].total_cmp(&log_probs[b]));
            let mut action = best.unwrap_or_default();
            if sampling != Sampling::Greedy {
                let (mut sum, draw) = (0.0, draw.random::<f32>());
                let sampled = log_probs.iter().position(|log_prob| {
                    sum += log_prob.exp();
                    draw < sum
                });
                action = sampled.unwrap_or(action);
            }
            answers.push(Answer::Admissible(action));
            responses.push(&[action as u32], &[log_probs[action]]);
        }
        Ok((answers, responses))
    }

    fn evaluate(
        &self,
        inputs: &Rows,
        rows: &[usize],
        responses: &Responses,
        temperature: f32,
    ) -> TokenScores {
        let log_probs = self.log_probs(inputs, rows, temperature);
        let tokens: Vec<i32> = responses.tokens.iter().map(|&token| token as i32).collect();
        let tokens = TensorData::new(tokens, [rows.len(), 1]);
        let tokens = Tensor::<2, Int>::from_data(tokens, &self.device());
        let entropy = (log_probs.clone().exp() * log_probs.clone()).sum_dim(1).neg();
        TokenScores { log_probs: log_probs.gather(1, tokens), entropy, values: None }
    }

    fn embed(&self, inputs: &Rows, rows: &[usize]) -> Tensor<2> {
        self.activations(inputs, rows).mean_dim(1).squeeze_dim::<2>(1).without_autodiff()
    }
}

/// Doors of four colours, one of which is the goal.
struct Doors;

const COLOURS: [&str; 4] = ["red", "blue", "green", "white"];

impl Environment for Doors {
    fn name(&self) -> &str {
        "doors"
    }

    fn tasks(&self) -> usize {
        COLOURS.len()
    }

    fn task_name(&self, task: usize) -> &str {
        COLOURS[task]
    }

    fn task_kind(&self, _: usize) -> usize {
        0
    }

    fn kinds(&self) -> Vec<String> {
        vec!["door".into()]
    }

    fn max_steps(&self) -> usize {
        3
    }

    fn start(&self, task: usize, _: u64) -> proxmo::Result<Box<dyn Session>> {
        Ok(Box::new(Corridor { goal: format!("open the {} door", COLOURS[task]), steps: 0 }))
    }
}

struct Corridor {
    goal: String,
    steps: usize,
}

impl Session for Corridor {
    fn goal(&self) -> &str {
        &self.goal
    }

    fn observe(&self, out: &mut String) {
        out.push_str("a corridor with doors");
    }

    fn admissible(&self, out: &mut Texts) {
        COLOURS.iter().for_each(|colour| out.push(&format!("open the {colour} door")));
        out.push("look at the doors");
    }

    fn step(&mut self, action: &str) -> proxmo::Result<Transition> {
        self.steps += 1;
        let success = action == self.goal;
        Ok(Transition {
            reward: f64::from(u8::from(success)),
            terminated: success,
            truncated: !success && self.steps == 3,
            success: Some(success),
            score: None,
            valid: true,
        })
    }
}

/// Trains the policy. Returns the fraction of episodes that succeed in the first and the last iteration.
pub fn run() -> proxmo::Result<(f64, f64)> {
    let mut config = Config::default();
    config.rollout.groups = 4;
    config.rollout.group_size = 8;
    config.update.learning_rate = 0.02;
    let device = Device::flex().autodiff();
    device.seed(0);
    let mut trainer = Trainer::new(config, OverlapNetwork::new(&device), WordOverlap);
    let first = trainer.iterate(&Doors, 0.0)?.0.success.unwrap_or(0.0);
    for iteration in 1..30 {
        trainer.iterate(&Doors, f64::from(iteration) / 30.0)?;
    }
    let tasks: Vec<usize> = (0..Doors.tasks()).collect();
    let plan = EvaluationPlan::new(&tasks);
    let policy = trainer.learner.policy.valid();
    let last = evaluate(&Doors, &policy, &trainer.encoder, &plan, &mut |_| {})?;
    Ok((first, last.overall().success.unwrap_or(0.0)))
}

fn main() -> proxmo::Result<()> {
    let (first, last) = run()?;
    println!("success: {first:.2} in the first iteration, {last:.2} greedily after 30");
    Ok(())
}
