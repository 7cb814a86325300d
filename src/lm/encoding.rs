//! The number formats of stored weights: floats, and the block formats of GGUF files.
//!
//! A block format stores a group of numbers as small integers with shared scales, `x = d q` or
//! `x = d q − m`. The layouts are those of ggml (`ggml-quants`); scales are 16-bit floats.

use std::fmt;

use half::{bf16, f16};

/// How the numbers of a weight are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(non_camel_case_types)] // The names that the files' tools use.
pub enum Encoding {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// The upper halves of 32-bit floats.
    BF16,
    /// 4 bits, one scale for 32 numbers.
    Q4_0,
    /// 4 bits, one scale and one minimum for 32 numbers.
    Q4_1,
    /// 5 bits, one scale for 32 numbers.
    Q5_0,
    /// 5 bits, one scale and one minimum for 32 numbers.
    Q5_1,
    /// 8 bits, one scale for 32 numbers.
    Q8_0,
    /// 4 bits, 6-bit scales and minima for 32 numbers each, blocks of 256.
    Q4_K,
    /// 5 bits, 6-bit scales and minima for 32 numbers each, blocks of 256.
    Q5_K,
    /// 6 bits, 8-bit scales for 16 numbers each, blocks of 256.
    Q6_K,
}

impl Encoding {
    /// All of them, with the numbers that GGUF files have for them.
    const GGUF: [(u32, Self); 11] = [
        (0, Self::F32),
        (1, Self::F16),
        (2, Self::Q4_0),
        (3, Self::Q4_1),
        (6, Self::Q5_0),
        (7, Self::Q5_1),
        (8, Self::Q8_0),
        (12, Self::Q4_K),
        (13, Self::Q5_K),
        (14, Self::Q6_K),
        (30, Self::BF16),
    ];

    /// The encoding of a number in a GGUF file; `None` if it is not supported.
    pub fn of_gguf(number: u32) -> Option<Self> {
        Self::GGUF.iter().find(|(own, _)| *own == number).map(|(_, encoding)| *encoding)
    }

    /// Numbers in a block, and bytes of a block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q4_K => (256, 144),
            Self::Q5_K => (256, 176),
            Self::Q6_K => (256, 210),
        }
    }

    /// Appends the numbers of whole blocks to `values`. An incomplete block at the end is not read.
    pub fn decode(self, bytes: &[u8], values: &mut Vec<f32>) {
        match self {
            Self::F32 => values.extend(bytes.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x))),
            Self::F16 => values.extend(bytes.as_chunks().0.iter().map(|&x| half(x))),
            Self::BF16 => {
                let wide = |&x: &[u8; 2]| bf16::from_le_bytes(x).to_f32();
                values.extend(bytes.as_chunks().0.iter().map(wide));
            }
            Self::Q4_0 => each(bytes, |block| q4_0(block, values)),
            Self::Q4_1 => each(bytes, |block| q4_1(block, values)),
            Self::Q5_0 => each(bytes, |block| q5_0(block, values)),
            Self::Q5_1 => each(bytes, |block| q5_1(block, values)),
            Self::Q8_0 => each(bytes, |block| q8_0(block, values)),
            Self::Q4_K => each(bytes, |block| q4_k(block, values)),
            Self::Q5_K => each(bytes, |block| q5_k(block, values)),
            Self::Q6_K => each(bytes, |block| q6_k(block, values)),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

fn each<const N: usize>(bytes: &[u8], read: impl FnMut(&[u8; N])) {
    bytes.as_chunks().0.iter().for_each(read);
}

fn half(bytes: [u8; 2]) -> f32 {
    f16::from_le_bytes(bytes).to_f32()
}

/// The 16-bit float at a place of a block.
fn half_at(block: &[u8], at: usize) -> f32 {
    half([block[at], block[at + 1]])
}

/// The lower, then the upper half of each byte: the order of a block's first and second 16 numbers.
fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().map(|byte| byte & 15).chain(bytes.iter().map(|byte| byte >> 4))
}

/// The 5-bit integers of a block of 32: their fifth bits, then their lower four.
fn five_bits(high: &[u8], low: &[u8]) -> impl Iterator<Item = u8> {
    nibbles(low).zip(0..).map(move |(low, at)| low | (high[at / 8] >> (at % 8) & 1) << 4)
}

fn q4_0(block: &[u8; 18], values: &mut Vec<f32>) {
    let scale = half_at(block, 0);
    values.extend(nibbles(&block[2..]).map(|q| scale * (f32::from(q) - 8.0)));
}

fn q4_1(block: &[u8; 20], values: &mut Vec<f32>) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    values.extend(nibbles(&block[4..]).map(|q| scale * f32::from(q) + least));
}

fn q5_0(block: &[u8; 22], values: &mut Vec<f32>) {
    let scale = half_at(block, 0);
    let bits = five_bits(&block[2..6], &block[6..]);
    values.extend(bits.map(|q| scale * (f32::from(q) - 16.0)));
}

fn q5_1(block: &[u8; 24], values: &mut Vec<f32>) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    values.extend(five_bits(&block[4..8], &block[8..]).map(|q| scale * f32::from(q) + least));
}

fn q8_0(block: &[u8; 34], values: &mut Vec<f32>) {
    let scale = half_at(block, 0);
    values.extend(block[2..].iter().map(|&q| scale * f32::from(q as i8)));
}

/// The 6-bit scale and minimum of one of the eight groups of a block, packed in 12 bytes: the lower four
/// bits of the last four groups' numbers are in bytes 8 to 11, and their upper two bits lie above the
/// 6-bit numbers of the first four groups.
fn scale_and_minimum(packed: &[u8], group: usize) -> (f32, f32) {
    let (scale, least) = match group {
        0..4 => (packed[group] & 63, packed[group + 4] & 63),
        _ => (
            packed[group + 4] & 15 | packed[group - 4] >> 6 << 4,
            packed[group + 4] >> 4 | packed[group] >> 6 << 4,
        ),
    };
    (f32::from(scale), f32::from(least))
}

fn q4_k(block: &[u8; 144], values: &mut Vec<f32>) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    for (pair, bytes) in block[16..].chunks_exact(32).enumerate() {
        // Two groups share bytes: one has the lower halves, the next the upper ones.
        for (group, shift) in [(2 * pair, 0), (2 * pair + 1, 4)] {
            let (own_scale, own_least) = scale_and_minimum(&block[4..16], group);
            let (d, m) = (scale * own_scale, least * own_least);
            values.extend(bytes.iter().map(|byte| d * f32::from(byte >> shift & 15) - m));
        }
    }
}

fn q5_k(block: &[u8; 176], values: &mut Vec<f32>) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    let high = &block[16..48];
    for (pair, bytes) in block[48..].chunks_exact(32).enumerate() {
        for (group, shift) in [(2 * pair, 0), (2 * pair + 1, 4)] {
            let (own_scale, own_least) = scale_and_minimum(&block[4..16], group);
            let (d, m) = (scale * own_scale, least * own_least);
            values.extend(bytes.iter().zip(high).map(|(byte, high)| {
                let q = byte >> shift & 15 | (high >> group & 1) << 4;
                d * f32::from(q) - m
            }));
        }
    }
}

fn q6_k(block: &[u8; 210], values: &mut Vec<f32>) {
    let scale = half_at(block, 208);
    for part in 0..2 {
        let low = &block[64 * part..][..64];
        let high = &block[128 + 32 * part..][..32];
        let scales = &block[192 + 8 * part..][..8];
        for quarter in 0..4 {
            let low = &low[32 * (quarter % 2)..][..32];
            for (at, (low, high)) in low.iter().zip(high).enumerate() {
                let q = low >> (4 * (quarter / 2)) & 15 | (high >> (2 * quarter) & 3) << 4;
                let own = f32::from(scales[2 * quarter + at / 16] as i8);
                values.push(scale * own * (f32::from(q) - 32.0));
            }
        }
    }
}
