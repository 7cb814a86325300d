//! AdamW whose state loads onto a given device.
//!
//! burn loads an optimizer's state onto its default device first. With the feature `wgpu` that is a
//! GPU, whichever device the model is on; on a machine without a GPU, loading would abort the process.

use std::cell::RefCell;

use burn::optim::{
    AdamW, AdamWConfig, AdamWState, ModuleOptimizer, Optimizer, OptimizerRecord, RecordState,
    StateSink, StateSource,
};
use burn::tensor::{Device, Tensor};

thread_local! {
    /// The device that a state is being loaded onto.
    static TARGET: RefCell<Option<Device>> = const { RefCell::new(None) };
}

/// An optimizer for a whole model, with decay rates 0.9 and 0.999 of its moments. `epsilon` is added to
/// the root of the second moment.
pub(crate) fn adamw(weight_decay: f32, epsilon: f32) -> ModuleOptimizer {
    let config = AdamWConfig::new().with_weight_decay(weight_decay).with_epsilon(epsilon);
    Placed(config.build()).into()
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

#[derive(Clone)]
struct Placed(AdamW);

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
        let state = state.map(|state| state.0);
        let (tensor, state) = self.0.step(learning_rate, tensor, gradient, state);
        (tensor, state.map(PlacedState))
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
