//! Attention over a cache: agreement with its definition on every device.

use burn::tensor::{Device, Tensor, TensorData};
use proxmo::device::{Backend, open, read};
use proxmo::kernels::{CacheSpans, PAGE, Span, cached_attention};

/// Arbitrary numbers from −1 to 1.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn matrix(values: &[f32], rows: usize, device: &Device) -> Tensor<2> {
    let shape = [rows, values.len() / rows];
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// A case: head counts, the width of a head, and by sequence the tokens before and the new ones.
struct Case {
    heads: [usize; 2],
    width: usize,
    sequences: Vec<[usize; 2]>,
}

impl Case {
    /// Spans over pages in no order.
    fn spans(&self) -> (Vec<Span>, usize) {
        let mut next = 0;
        let mut spans = Vec::new();
        for &[before, new] in &self.sequences {
            let pages = (before + new).div_ceil(PAGE) as u32;
            spans.push(Span { pages: (next..next + pages).rev().collect(), before, new });
            next += pages;
        }
        (spans, next as usize * PAGE)
    }

    /// Checks results against the definition in 64 bits, and what the cache holds afterwards.
    fn agrees_on(&self, device: &Device) {
        let [heads, kv_heads] = self.heads;
        let (width, narrow) = (self.width, kv_heads * self.width);
        let (spans, slots) = self.spans();
        let tokens: usize = self.sequences.iter().map(|[_, new]| new).sum();
        let queries = numbers(tokens * heads * width, 1);
        let (keys, values) = (numbers(tokens * narrow, 2), numbers(tokens * narrow, 3));
        let mut cells = numbers(slots * 2 * narrow, 4);
        let inputs = [&queries, &keys, &values].map(|values| matrix(values, tokens, device));
        let cache = matrix(&cells, slots, device);
        let given = CacheSpans::new(spans.clone(), self.heads, width);
        let (mixed, cache) = cached_attention(inputs, cache, &given).unwrap();
        let mixed = read(mixed).unwrap();

        let mut token = 0;
        for span in &spans {
            for at in span.before..span.before + span.new {
                let cell = &mut cells[span.slot(at) * 2 * narrow..][..2 * narrow];
                cell[..narrow].copy_from_slice(&keys[token * narrow..][..narrow]);
                cell[narrow..].copy_from_slice(&values[token * narrow..][..narrow]);
                for head in 0..heads {
                    let query = &queries[(token * heads + head) * width..][..width];
                    let first = head / (heads / kv_heads) * width;
                    let of = |key: usize, column: usize| {
                        f64::from(cells[span.slot(key) * 2 * narrow + first + column])
                    };
                    let score = |key: usize| {
                        let products =
                            (0..width).map(|column| f64::from(query[column]) * of(key, column));
                        (products.sum::<f64>() / (width as f64).sqrt()).exp()
                    };
                    let weights: Vec<f64> = (0..=at).map(score).collect();
                    let total: f64 = weights.iter().sum();
                    for column in 0..width {
                        let value = |key: usize| weights[key] * of(key, narrow + column);
                        let expected = (0..=at).map(value).sum::<f64>() / total;
                        let found = mixed[(token * heads + head) * width + column];
                        assert!((f64::from(found) - expected).abs() < 1e-5, "{found}, {expected}");
                    }
                }
                token += 1;
            }
        }
        assert_eq!(read(cache).unwrap(), cells);
    }
}

fn cases() -> Vec<Case> {
    let case = |heads, width, sequences: &[[usize; 2]]| Case {
        heads,
        width,
        sequences: sequences.to_vec(),
    };
    vec![
        case([1, 1], 2, &[[0, 1]]),
        case([4, 2], 64, &[[0, 1], [15, 1], [16, 1], [100, 1]]),
        case([9, 3], 64, &[[0, 37], [5, 1], [31, 70]]),
        case([5, 1], 12, &[[3, 1], [0, 2], [40, 1]]),
        case([6, 6], 20, &[[17, 20], [0, 7]]),
        case([16, 1], 36, &[[2, 1], [2, 5]]),
    ]
}

#[test]
fn attention_over_a_cache_agrees_with_its_definition_on_the_cpu() {
    let device = open(Backend::Flex, 0).unwrap().device;
    cases().iter().for_each(|case| case.agrees_on(&device));
    cases()[1].agrees_on(&device.autodiff());
}

#[cfg(feature = "wgpu")]
#[test]
fn attention_over_a_cache_agrees_with_its_definition_on_vulkan() {
    let Ok(opened) = open(Backend::Vulkan, 0) else {
        println!("SKIPPED: no device for Vulkan");
        return;
    };
    cases().iter().for_each(|case| case.agrees_on(&opened.device));
}

#[test]
fn a_number_that_is_not_finite_spoils_its_own_sequence_only() {
    let device = open(Backend::Flex, 0).unwrap().device;
    for [before, new] in [[20, 1], [3, 40]] {
        for bad in [f32::NAN, f32::INFINITY] {
            let case = Case { heads: [2, 1], width: 16, sequences: vec![[before, new], [9, 2]] };
            let (spans, slots) = case.spans();
            let tokens = new + 2;
            let mut queries = numbers(tokens * 32, 1);
            queries[(new - 1) * 32] = bad;
            let inputs = [queries, numbers(tokens * 16, 2), numbers(tokens * 16, 3)];
            let inputs = inputs.map(|values| matrix(&values, tokens, &device));
            let cache = matrix(&numbers(slots * 32, 4), slots, &device);
            let spans = CacheSpans::new(spans, case.heads, case.width);
            let mixed = read(cached_attention(inputs, cache, &spans).unwrap().0).unwrap();
            assert!(mixed[(new - 1) * 32].is_nan());
            assert!(mixed[..(new - 1) * 32].iter().all(|number| number.is_finite()));
            assert!(mixed[new * 32..].iter().all(|number| number.is_finite()));
        }
    }
}

#[test]
fn spans_whose_pages_do_not_hold_their_tokens_are_refused() {
    let device = open(Backend::Flex, 0).unwrap().device;
    for (pages, new, says) in [
        (vec![0], 17, "spans[0]: has pages that do not hold its 17 tokens"),
        (vec![1], 3, "spans[0]: has pages"),
    ] {
        let spans = CacheSpans::new(vec![Span { pages, before: 0, new }], [2, 1], 4);
        let inputs = [8, 4, 4].map(|columns| Tensor::zeros([new, columns], &device));
        let error = cached_attention(inputs, Tensor::zeros([16, 8], &device), &spans).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}
