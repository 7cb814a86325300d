//! AdamW in one pass over memory, whose state loads onto a given device.
//!
//! burn loads an optimizer's state onto its default device first. With the feature `wgpu` that is a
//! GPU, whichever device the model is on; on a machine without a GPU, loading would abort the process.

use std::cell::RefCell;

use burn::optim::{
    AdamW, AdamWState, AdaptiveMomentumState, ModuleOptimizer, Optimizer, OptimizerRecord,
    RecordState, StateSink, StateSource,
};
use burn::tensor::{Device, Tensor};

use crate::kernels::{AdamWStep, adamw as advance};

/// Decay rates of the moments.
const BETAS: [f32; 2] = [0.9, 0.999];

thread_local! {
    /// The device that a state is being loaded onto.
    static TARGET: RefCell<Option<Device>> = const { RefCell::new(None) };
}

/// An optimizer for a whole model, with decay rates 0.9 and 0.999 of its moments. `epsilon` is added to
/// the root of the second moment.
pub(crate) fn adamw(weight_decay: f32, epsilon: f32) -> ModuleOptimizer {
    Fused { weight_decay, epsilon }.into()
}

/// An optimizer with the state of a record, loaded onto a device without autodiff.
pub(crate) fn load(
    optimizer: ModuleOptimizer,
    record: OptimizerRecord,
    device: &Device,
) -> ModuleOptimizer {
    TARGET.set(Some(device.clone()));
    let loaded = optimizer.load_record(record);
    TARGET.set(None);
    loaded
}

/// AdamW (arXiv 1711.05101), with the state of burn's, so that their records are the same.
#[derive(Clone)]
struct Fused {
    weight_decay: f32,
    epsilon: f32,
}

#[derive(Clone)]
struct PlacedState<const D: usize>(AdamWState<D>);

impl Fused {
    /// The step after `done` steps.
    fn step_after(&self, done: usize, learning_rate: f64) -> AdamWStep {
        let time = done as i32 + 1;
        AdamWStep {
            rate: learning_rate as f32,
            kept: (1.0 - learning_rate * f64::from(self.weight_decay)) as f32,
            betas: BETAS,
            corrections: BETAS.map(|beta| 1.0 - beta.powi(time)),
            epsilon: self.epsilon,
        }
    }
}

impl Optimizer for Fused {
    type State<const D: usize> = PlacedState<D>;

    fn step<const D: usize>(
        &self,
        learning_rate: f64,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<PlacedState<D>>,
    ) -> (Tensor<D>, Option<PlacedState<D>>) {
        let zeros = || gradient.zeros_like();
        let (done, moments) = match state {
            Some(PlacedState(AdamWState { momentum })) => {
                (momentum.time, [momentum.moment_1, momentum.moment_2])
            }
            None => (0, [zeros(), zeros()]),
        };
        let step = self.step_after(done, learning_rate);
        let (tensor, [first, second]) = advance(tensor, gradient, moments, step);
        let momentum = AdaptiveMomentumState::new(done + 1, first, second);
        (tensor, Some(PlacedState(AdamWState { momentum })))
    }

    fn to_device<const D: usize>(state: PlacedState<D>, device: &Device) -> PlacedState<D> {
        PlacedState(AdamW::to_device(state.0, device))
    }
}

impl<const D: usize> RecordState for PlacedState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        self.0.state_flatten(prefix, out);
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        TARGET.with_borrow(|target| {
            let device = target.as_ref().unwrap_or(device);
            AdamWState::state_unflatten(prefix, source, device).map(Self)
        })
    }
}
