//! Log-probabilities of tokens against the matrix of logits in plain tensor operations.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use criterion::Criterion;
use proxmo::device::Opened;
use proxmo::kernels::token_log_probs;
use proxmo::stream::{Purpose, Stream};
use rand::Rng;

/// Hidden states and head of a small model, and of one with a large vocabulary.
const SIZES: [(usize, usize, usize); 2] = [(2048, 256, 1024), (256, 576, 49_152)];

struct Tokens {
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Vec<u32>,
}

impl Tokens {
    fn of((rows, width, vocabulary): (usize, usize, usize), opened: &Opened) -> Self {
        let mut rng = Stream::new(1, Purpose::Generator).rng();
        let mut matrix = |rows: usize| {
            let numbers: Vec<f32> =
                (0..rows * width).map(|_| rng.random_range(-0.3..0.3)).collect();
            Tensor::from_data(TensorData::new(numbers, [rows, width]), &opened.device)
        };
        let (hidden, head) = (matrix(rows), matrix(vocabulary));
        let targets = (0..rows).map(|row| (row * 7 % vocabulary) as u32).collect();
        Self { hidden, head, targets }
    }

    fn tiled(&self, hidden: Tensor<2>, head: Tensor<2>) -> Tensor<1> {
        let found = token_log_probs(hidden, &[head], &self.targets).expect("the sizes fit");
        found.log_probs + found.entropies * 0.01
    }

    fn plain(&self, hidden: Tensor<2>, head: Tensor<2>) -> Tensor<1> {
        let rows = self.targets.len();
        let targets = self.targets.iter().map(|&token| token as i32).collect::<Vec<_>>();
        let targets = Tensor::<2, Int>::from_data(
            TensorData::new(targets, [rows, 1]),
            &hidden.device().without_autodiff(),
        );
        let log_probs = log_softmax(hidden.matmul(head.transpose()), 1);
        let entropies = -(log_probs.clone().exp() * log_probs.clone()).sum_dim(1);
        (log_probs.gather(1, targets) + entropies * 0.01).squeeze_dim(1)
    }

    /// The gradient of the hidden states, and of the head unless it is frozen.
    fn trained(
        &self,
        frozen: bool,
        forward: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
    ) -> Tensor<2> {
        let hidden = Tensor::from_inner(self.hidden.clone()).require_grad();
        let head = Tensor::from_inner(self.head.clone());
        let head = if frozen { head } else { head.require_grad() };
        let gradients = forward(hidden.clone(), head.clone()).sum().backward();
        let to_hidden = hidden.grad(&gradients).expect("the loss depends on the hidden states");
        match head.grad(&gradients) {
            Some(to_head) if !frozen => to_hidden.narrow(0, 0, 1) + to_head.narrow(0, 0, 1),
            _ => to_hidden,
        }
    }
}

/// Forward, and backward with a trained and with a frozen head.
pub fn tokens(criterion: &mut Criterion, devices: Vec<Opened>) {
    for opened in devices {
        let mut group = super::slow(criterion, &format!("tokens/{}", opened.adapter.backend));
        for size in SIZES {
            let given = Tokens::of(size, &opened);
            let name = |what: &str, how: &str| format!("{what}/{}x{}/{how}", size.0, size.2);
            let (tiled, plain) =
                (|h, w| given.tiled(h, w), |h: Tensor<2>, w: Tensor<2>| given.plain(h, w));
            let forward = |work: &dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>| {
                work(given.hidden.clone(), given.head.clone()).unsqueeze_dim(1)
            };
            super::time(&mut group, &name("forward", "tiled"), || forward(&tiled));
            super::time(&mut group, &name("forward", "plain"), || forward(&plain));
            for (what, frozen) in [("frozen head", true), ("trained head", false)] {
                super::time(&mut group, &name(what, "tiled"), || given.trained(frozen, tiled));
                super::time(&mut group, &name(what, "plain"), || given.trained(frozen, plain));
            }
        }
    }
}
