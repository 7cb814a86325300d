//! A backend's tensor with operators, so that formulas read like formulas.

use std::ops::{Add, Div, Mul, Range, Sub};

use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, BoolDType, Slice, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{DType, Shape, TensorData};

/// A matrix, or a tensor that broadcasts against one.
#[derive(Debug)]
pub(super) struct Array<B: Backend>(pub FloatTensor<B>);

impl<B: Backend> Clone for Array<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

macro_rules! operator {
    ($name:ident, $method:ident, $tensors:ident, $scalar:ident) => {
        impl<B: Backend> $name for Array<B> {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                Self(B::$tensors(self.0, other.0))
            }
        }

        impl<B: Backend> $name<f32> for Array<B> {
            type Output = Self;

            fn $method(self, other: f32) -> Self {
                Self(B::$scalar(self.0, other.into()))
            }
        }
    };
}

operator!(Add, add, float_add, float_add_scalar);
operator!(Sub, sub, float_sub, float_sub_scalar);
operator!(Mul, mul, float_mul, float_mul_scalar);
operator!(Div, div, float_div, float_div_scalar);

impl<B: Backend> Array<B> {
    /// Numbers from the host, on the device and of the type of this array.
    pub fn constant(&self, values: Vec<f32>, shape: [usize; 2]) -> Self {
        let tensor = B::float_from_data(TensorData::new(values, shape), &self.0.device());
        let dtype = self.0.dtype();
        Self(if dtype == DType::F32 { tensor } else { B::float_cast(tensor, dtype.into()) })
    }

    pub fn rows(&self, rows: Range<usize>) -> Self {
        let columns = self.0.shape()[1];
        Self(B::float_slice(self.0.clone(), &[rows.into(), Slice::from(0..columns)]))
    }

    pub fn column(&self, column: usize) -> Self {
        let rows = self.0.shape()[0];
        Self(B::float_slice(self.0.clone(), &[(0..rows).into(), Slice::from(column..column + 1)]))
    }

    /// Arrays stacked by rows.
    pub fn stack(parts: Vec<Self>) -> FloatTensor<B> {
        B::float_cat(parts.into_iter().map(|part| part.0).collect(), 0)
    }

    /// Two arrays side by side.
    pub fn beside(self, other: Self) -> Self {
        Self(B::float_cat(vec![self.0, other.0], 1))
    }

    pub fn reshape<const D: usize>(tensor: FloatTensor<B>, shape: [usize; D]) -> FloatTensor<B> {
        B::float_reshape(tensor, Shape::from(shape))
    }

    pub fn matmul(self, other: Self) -> Self {
        Self(B::float_matmul(self.0, other.0))
    }

    pub fn transpose(self) -> Self {
        Self(B::float_transpose(self.0))
    }

    /// The sum of each row, as a column.
    pub fn sum(self) -> Self {
        Self(B::float_sum_dim(self.0, 1))
    }

    /// The greatest of each row, as a column.
    pub fn max(self) -> Self {
        Self(B::float_max_dim(self.0, 1))
    }

    pub fn abs(self) -> Self {
        Self(B::float_abs(self.0))
    }

    pub fn exp(self) -> Self {
        Self(B::float_exp(self.0))
    }

    pub fn sqrt(self) -> Self {
        Self(B::float_sqrt(self.0))
    }

    pub fn power(self, exponent: f32) -> Self {
        Self(B::float_powf_scalar(self.0, exponent.into()))
    }

    /// `value` in the places of `mask`.
    pub fn fill(self, mask: BoolTensor<B>, value: f32) -> Self {
        Self(B::float_mask_fill(self.0, mask, value.into()))
    }

    pub fn above(&self, bound: f32) -> BoolTensor<B> {
        B::float_greater_elem(self.0.clone(), bound.into(), self.bools())
    }

    pub fn below(&self, bound: f32) -> BoolTensor<B> {
        B::float_lower_elem(self.0.clone(), bound.into(), self.bools())
    }

    /// The mask of NaN and infinities.
    pub fn non_finite(&self) -> BoolTensor<B> {
        let nan = B::float_is_nan(self.0.clone(), self.bools());
        B::bool_or(nan, B::float_is_inf(self.0.clone(), self.bools()))
    }

    /// 1 in the places of `mask` and 0 elsewhere, with the shape of this array.
    pub fn flags(&self, mask: BoolTensor<B>) -> Self {
        let zeros = B::float_zeros(self.0.shape(), &self.0.device(), self.0.dtype().into());
        Self(zeros).fill(mask, 1.0)
    }

    /// A mask stretched over the columns of this array.
    pub fn stretched(&self, mask: BoolTensor<B>) -> BoolTensor<B> {
        B::bool_expand(mask, self.0.shape())
    }

    fn bools(&self) -> BoolDType {
        get_or_init_device_settings::<B>(&self.0.device()).bool_dtype
    }
}
