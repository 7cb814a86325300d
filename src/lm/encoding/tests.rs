//! Decoding against values that the Python package `gguf` 0.19 gives for the same blocks.

use super::*;

/// A block of a fixed pattern, with the given 16-bit floats at their places.
fn block(encoding: Encoding, scales: &[usize]) -> Vec<u8> {
    let size = encoding.block().1;
    let mut block: Vec<u8> = (0..size).map(|i| (i * 167 + 13 * (i / 7) + 41) as u8).collect();
    for (place, value) in scales.iter().zip([0.125, -0.75]) {
        block[*place..place + 2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
    }
    block
}

#[test]
fn every_block_format_has_the_values_of_the_reference_implementation() {
    const SMALL: [usize; 4] = [0, 1, 17, 31];
    const LARGE: [usize; 8] = [0, 1, 31, 32, 100, 161, 200, 255];
    // The sum weighs number i by i % 7 + 1. All values are exact.
    for (encoding, scales, places, expected, sum) in [
        (Encoding::Q4_0, &[0][..], &SMALL[..], &[-0.125, 0.75, -0.875, -0.375][..], -17.25),
        (Encoding::Q4_1, &[0, 2], &SMALL, &[-0.125, 0.75, 0.0, 0.5], 12.625),
        (Encoding::Q5_0, &[0], &SMALL, &[0.375, 0.875, -0.5, -2.0], -0.625),
        (Encoding::Q5_1, &[0, 2], &SMALL, &[3.0, -0.125, 1.375, 1.875], 126.875),
        (Encoding::Q8_0, &[0], &SMALL, &[14.875, 3.75, -11.0, -3.5], 96.75),
        (
            Encoding::Q4_K,
            &[0, 2],
            &LARGE,
            &[36.375, 40.75, 34.5, 76.25, 32.375, 25.25, 37.25, 64.5],
            50358.25,
        ),
        (
            Encoding::Q5_K,
            &[0, 2],
            &LARGE,
            &[48.875, 41.375, 35.125, 169.75, 48.125, 31.625, 39.75, 79.5],
            75093.125,
        ),
        (
            Encoding::Q6_K,
            &[208],
            &LARGE,
            &[-175.0, 0.0, -360.75, -52.25, 146.25, 102.375, -240.5, 191.25],
            -14291.0,
        ),
    ] {
        let mut values = Vec::new();
        let one = block(encoding, scales);
        encoding.decode(&[one.as_slice(), &one, &one[..5]].concat(), &mut values);
        let (numbers, _) = encoding.block();
        assert_eq!(values.len(), 2 * numbers, "{encoding}");
        assert_eq!(values[..numbers], values[numbers..], "{encoding}");
        let found: Vec<f32> = places.iter().map(|&place| values[place]).collect();
        assert_eq!(found, expected, "{encoding}");
        let weigh = |(i, &value): (usize, &f32)| f64::from(value) * (i % 7 + 1) as f64;
        let found: f64 = values[..numbers].iter().enumerate().map(weigh).sum();
        assert_eq!(found, sum, "{encoding}");
    }
}

#[test]
fn floats_of_every_width_are_decoded() {
    for (encoding, bytes) in [
        (Encoding::F32, (-1.5f32).to_le_bytes().to_vec()),
        (Encoding::F16, f16::from_f32(-1.5).to_le_bytes().to_vec()),
        (Encoding::BF16, bf16::from_f32(-1.5).to_le_bytes().to_vec()),
    ] {
        let mut values = Vec::new();
        encoding.decode(&bytes, &mut values);
        assert_eq!(values, [-1.5], "{encoding}");
    }
}
