//! Gradients of a module's parameters: sums, norms, scaling.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

use crate::device::read_async;
use crate::error::Result;

/// Numbers that are squared at once: the squares are as large as what they are of.
const PIECE: usize = 1 << 20;

/// A gradient by parameter.
pub(crate) struct Gradient(pub(crate) GradientsParams);

impl Gradient {
    /// The sum of two gradients of a module's parameters. Where one has none, it is the other's.
    pub(crate) fn add<M: Module>(mut self, module: &M, other: Self) -> Self {
        module.visit(&mut Add { sum: &mut self, other });
        self
    }

    /// Multiplies by `factor`.
    pub(crate) fn scale<M: Module>(&mut self, module: &M, factor: f32) {
        module.visit(&mut Scale { gradient: self, factor });
    }

    /// Sums of squares, `[1]` each, whose sum is that of the whole gradient: one a parameter, or several
    /// of a large one.
    pub(crate) fn squares<M: Module>(&self, module: &M) -> Vec<Tensor<1>> {
        let mut squares = Squares { gradient: self, sums: Vec::new() };
        module.visit(&mut squares);
        squares.sums
    }

    /// Lengths of the parameters that are trained, in the order of the module.
    pub(crate) fn lengths<M: Module>(module: &M) -> Vec<usize> {
        let mut lengths = Lengths(Vec::new());
        module.visit(&mut lengths);
        lengths.0
    }

    /// Whether each of the parameters that are trained has a gradient, and all gradients one after the
    /// other; zeros in place of those that are absent.
    ///
    /// # Errors
    /// Fails if the device fails.
    pub(crate) async fn flat<M: Module>(&self, module: &M) -> Result<(Vec<bool>, Vec<f32>)> {
        let mut flat = Flat { gradient: self, present: Vec::new(), parts: Vec::new() };
        module.visit(&mut flat);
        let Flat { present, parts, .. } = flat;
        let values = match parts.is_empty() {
            true => Vec::new(),
            false => read_async(Tensor::cat(parts, 0)).await?,
        };
        Ok((present, values))
    }

    /// The gradient of [`Gradient::flat`].
    pub(crate) fn of_flat<M: Module>(module: &M, present: &[bool], values: &[f32]) -> Self {
        let mut unflat = Unflat { gradient: Self(GradientsParams::new()), present, values };
        module.visit(&mut unflat);
        unflat.gradient
    }

    fn change<const D: usize>(
        &mut self,
        param: &Param<Tensor<D>>,
        change: impl FnOnce(Tensor<D>) -> Tensor<D>,
    ) {
        if let Some(gradient) = self.0.remove::<D>(param.id) {
            self.0.register(param.id, change(gradient));
        }
    }
}

struct Lengths(Vec<usize>);

impl ModuleVisitor for Lengths {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            self.0.push(param.shape().num_elements());
        }
    }
}

struct Flat<'a> {
    gradient: &'a Gradient,
    present: Vec<bool>,
    parts: Vec<Tensor<1>>,
}

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let count = param.shape().num_elements();
        let gradient = self.gradient.0.get::<D>(param.id);
        self.present.push(gradient.is_some());
        self.parts.push(match gradient {
            Some(gradient) => gradient.reshape([count]),
            None => Tensor::zeros([count], &param.device().without_autodiff()),
        });
    }
}

struct Unflat<'a> {
    gradient: Gradient,
    present: &'a [bool],
    values: &'a [f32],
}

impl ModuleVisitor for Unflat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let shape = param.shape();
        let Some((values, rest)) = self.values.split_at_checked(shape.num_elements()) else {
            return;
        };
        self.values = rest;
        if let Some((&true, rest)) = self.present.split_first() {
            let data = TensorData::new(values.to_vec(), shape);
            let gradient = Tensor::<D>::from_data(data, &param.device().without_autodiff());
            self.gradient.0.register(param.id, gradient);
            self.present = rest;
        } else {
            self.present = self.present.get(1..).unwrap_or_default();
        }
    }
}

struct Squares<'a> {
    gradient: &'a Gradient,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradient.0.get::<D>(param.id) else { return };
        let count = gradient.shape().num_elements();
        if count <= PIECE {
            self.sums.push(gradient.square().sum());
            return;
        }
        let flat = gradient.reshape([count]);
        for first in (0..count).step_by(PIECE) {
            let piece = flat.clone().narrow(0, first, PIECE.min(count - first));
            self.sums.push(piece.square().sum());
        }
    }
}

struct Scale<'a> {
    gradient: &'a mut Gradient,
    factor: f32,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let factor = self.factor;
        self.gradient.change(param, |gradient| gradient.mul_scalar(factor));
    }
}

struct Add<'a> {
    sum: &'a mut Gradient,
    other: Gradient,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(other) = self.other.0.remove::<D>(param.id) {
            let sum = match self.sum.0.remove::<D>(param.id) {
                Some(gradient) => gradient + other,
                None => other,
            };
            self.sum.0.register(param.id, sum);
        }
    }
}
