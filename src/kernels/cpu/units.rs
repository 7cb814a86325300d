//! Embeddings scaled to unit length.

use super::lanes;

/// Rows of unit length, or all zero.
pub(super) struct Units {
    /// The numbers: `[rows, width]`.
    pub values: Vec<f32>,
    /// 1 / the length of each row, 0 for a row of zeros.
    pub scales: Vec<f64>,
    /// Whether a row holds a NaN or an infinity; such a row counts as zeros.
    pub non_finite: Vec<bool>,
}

impl Units {
    pub fn of(embeddings: &[f32], width: usize) -> Self {
        let rows = embeddings.len() / width;
        let mut units = Self {
            values: vec![0.0; embeddings.len()],
            scales: Vec::with_capacity(rows),
            non_finite: Vec::with_capacity(rows),
        };
        for (row, unit) in embeddings.chunks_exact(width).zip(units.values.chunks_exact_mut(width))
        {
            // As magnitudes, bits of numbers are in order, and non-finite ones come last.
            let magnitudes = row.iter().map(|value| value.to_bits() & 0x7fff_ffff);
            let non_finite = magnitudes.fold(0, u32::max) >= f32::INFINITY.to_bits();
            for (unit, &value) in unit.iter_mut().zip(row) {
                *unit = flushed(value);
            }
            // A square of 32-bit numbers neither overflows nor vanishes in 64.
            let length = lanes::dot(unit, unit).sqrt();
            let scale = if non_finite || length == 0.0 { 0.0 } else { 1.0 / length };
            if scale > 0.0 {
                unit.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
            } else {
                unit.fill(0.0);
            }
            units.scales.push(scale);
            units.non_finite.push(non_finite);
        }
        units
    }
}

/// The number, or 0 if it is denormal, as GPUs may flush it.
fn flushed(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}
