//! Gradients of a module's parameters: sums, norms, scaling.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

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
