//! AdamW (arXiv 1711.05101) whose state loads onto a given device, by the kernel of this crate.
//!
//! burn loads an optimizer's state onto its default device first. With the feature `wgpu` that is a
//! GPU, whichever device the model is on; on a machine without a GPU, loading would abort the process.

use std::cell::RefCell;

use burn::optim::{
    AdamW, AdamWState, AdaptiveMomentumState, ModuleOptimizer, Optimizer, OptimizerRecord,
    RecordState, StateSink, StateSource,
};
use burn::tensor::{Device, Tensor};

use crate::kernels::{self, AdamWStep};

thread_local! {
    /// The device that a state is being loaded onto.
    static TARGET: RefCell<Option<Device>> = const { RefCell::new(None) };
}

/// An optimizer for a whole model, with [`Constants::new`].
pub(crate) fn adamw(weight_decay: f32, epsilon: f32) -> ModuleOptimizer {
    Placed(Constants::new(weight_decay, epsilon)).into()
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

/// The constants of AdamW.
#[derive(Clone)]
pub(crate) struct Constants {
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    weight_decay: f32,
}

impl Constants {
    /// Those with decay rates 0.9 and 0.999 of the moments. `epsilon` is added to the root of the second
    /// moment.
    pub(crate) fn new(weight_decay: f32, epsilon: f32) -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon, weight_decay }
    }

    /// What step `time`, from 1, needs of them.
    pub(crate) fn at(&self, learning_rate: f64, time: usize) -> AdamWStep {
        let (beta_1, beta_2) = (f64::from(self.beta_1), f64::from(self.beta_2));
        let correction = |beta: f64| (1.0 / (1.0 - beta.powi(time as i32))) as f32;
        AdamWStep {
            rate: learning_rate as f32,
            kept: (1.0 - learning_rate * f64::from(self.weight_decay)) as f32,
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            correction_1: correction(beta_1),
            correction_2: correction(beta_2),
            epsilon: self.epsilon,
        }
    }
}

#[derive(Clone)]
struct Placed(Constants);

#[derive(Clone)]
struct PlacedState<const D: usize>(AdamWState<D>);

impl Optimizer for Placed {
    type State<const D: usize> = PlacedState<D>;

    fn step<const D: usize>(
        &self,
        learning_rate: f64,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<PlacedState<D>>,
    ) -> (Tensor<D>, Option<PlacedState<D>>) {
        let state = state.map(|state| state.0.momentum).unwrap_or_else(|| {
            let zeros = gradient.zeros_like();
            AdaptiveMomentumState::new(0, zeros.clone(), zeros)
        });
        let time = state.time + 1;
        let step = self.0.at(learning_rate, time);
        let before = [tensor, state.moment_1, state.moment_2];
        let [tensor, first, second] = kernels::adamw(before, gradient, step);
        let state = AdaptiveMomentumState::new(time, first, second);
        (tensor, Some(PlacedState(AdamWState::new(state))))
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
