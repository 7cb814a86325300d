//! AdamW's moments of the weights that are trained.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::model::Decoder;
use crate::gradients::Gradient;
use crate::kernels::{AdamWStep, adamw};

/// The first and the second moment of each trained weight by its name in the model, as vectors. A weight
/// has them after its first step.
pub(super) type Moments = BTreeMap<String, [Tensor<1>; 2]>;

/// The model after a step. Weights and moments are changed in place where nothing else holds them.
pub(super) fn step(
    model: Decoder,
    gradient: Gradient,
    moments: &mut Moments,
    step: AdamWStep,
) -> Decoder {
    model.map(&mut Update { path: Vec::new(), gradient, moments, step })
}

struct Update<'a> {
    path: Vec<String>,
    gradient: Gradient,
    moments: &'a mut Moments,
    step: AdamWStep,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, weight, mapper) = param.consume();
        let Some(gradient) = self.gradient.0.remove::<D>(id) else {
            return Param::from_mapped_value(id, weight, mapper);
        };
        let checkpointing = weight.gradient_checkpointing_strategy();
        let shape = weight.shape();
        let flat = |tensor: Tensor<D>| tensor.reshape([shape.num_elements()]);
        let (weight, gradient) = (flat(weight.inner()), flat(gradient));
        let name = self.path.join(".");
        let [first, second] = self
            .moments
            .remove(&name)
            .unwrap_or_else(|| [gradient.zeros_like(), gradient.zeros_like()]);
        let [weight, first, second] = adamw([weight, first, second], gradient, self.step);
        self.moments.insert(name, [first, second]);
        let mut weight = Tensor::from_inner(weight.reshape::<D, _>(shape));
        if let Some(strategy) = checkpointing {
            weight = weight.with_gradient_checkpointing_strategy(strategy);
        }
        Param::from_mapped_value(id, weight.require_grad(), mapper)
    }
}
