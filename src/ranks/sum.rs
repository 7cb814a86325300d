//! Sums over the vectors of all ranks.
//!
//! Floating-point sums depend on their order, and the order of a reduction by a communication library
//! depends on the number of ranks. [`Ranks::sum_in_order`] has each rank add up one slice of all vectors,
//! in their order, and gathers the slices: the sum is that of one process. With one vector a rank, a rank
//! sends and receives about twice a vector's size, whatever the number of ranks, as in the library's own
//! all-reduce; with `k` vectors, `k` + 1 times its size.
//!
//! [`Ranks::sum_of_ranks`] is that all-reduce, of one vector a rank. In any order, a sum of `n` numbers
//! `g_i` is off by at most `(n - 1) u Σ|g_i|`, with `u = 2⁻²⁴` for 32-bit numbers and but for terms of
//! `u²` (Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition 2002, section 4.2). Two sums
//! in different orders therefore differ by at most twice that.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::communicator::slice;
use super::group::Ranks;
use crate::error::{Error, Result};

/// How the gradients of the parts of a minibatch are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GradientSum {
    /// In the order of the parts: the same bytes with any number of processes.
    #[default]
    ByPart,
    /// Each process adds those of its own parts, and MPI adds the sums of the processes in its own order:
    /// the traffic of one part a process, and last digits that depend on the number of processes.
    ByRank,
}

/// A vector to add, of several fields: some may be absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Addend {
    /// A few numbers that are always there.
    pub head: Vec<f32>,
    /// `[fields]`: whether each is there.
    pub present: Vec<bool>,
    /// The fields one after the other. The numbers of an absent one have no meaning.
    pub values: Vec<f32>,
}

impl Ranks {
    /// The sum of `count` vectors, of which this rank has its [own](Ranks::own), from the first to the
    /// last. `lengths` are those of the fields. A field is absent from the sum if no vector has it.
    ///
    /// # Errors
    /// Returns the error of the first rank that has one.
    pub(crate) fn sum_in_order(
        &self,
        count: usize,
        lengths: &[usize],
        own: Result<Vec<Addend>>,
    ) -> Result<Addend> {
        let fitting = |own: Vec<Addend>| own.into_iter().map(|one| checked(one, lengths)).collect();
        let own: Result<Vec<Addend>> = own.and_then(fitting);
        let (own, heads): (Result<Vec<Vec<f32>>>, Result<Vec<_>>) = match own {
            Ok(own) => {
                let split = |one: Addend| (one.values, (one.head, one.present));
                let (values, heads): (Vec<_>, Vec<_>) = own.into_iter().map(split).unzip();
                (Ok(values), Ok(heads))
            }
            Err(error) => (Ok(Vec::new()), Err(error)),
        };
        let heads: Vec<(Vec<f32>, Vec<bool>)> = self.gather_values(count, heads)?;
        let own = own?;
        let total: usize = lengths.iter().sum();
        let ranks = self.size();
        let slices: Vec<Range<usize>> = (0..ranks).map(|rank| slice(total, rank, ranks)).collect();
        let outgoing = slices.iter().map(|slice| {
            let parts = own.iter().map(|values| bytemuck::cast_slice(&values[slice.clone()]));
            parts.flat_map(|bytes: &[u8]| bytes).copied().collect()
        });
        let incoming = self.all_to_all(outgoing.collect())?;
        let incoming = incoming.iter().map(|bytes| bytemuck::pod_collect_to_vec(bytes));
        let incoming: Vec<Vec<f32>> = incoming.collect();
        let slice = slices[self.rank()].clone();
        let of_vector = |number: usize| {
            let place = number / self.size() * slice.len();
            incoming[number % self.size()].get(place..place + slice.len())
        };
        let vectors: Option<Vec<&[f32]>> = (0..count).map(of_vector).collect();
        let vectors = vectors.ok_or_else(|| Error::Run("a rank sent part of a vector".into()))?;
        let mut sum = vec![0.0; slice.len()];
        let mut first = 0;
        for (field, &length) in lengths.iter().enumerate() {
            let place = first.max(slice.start)..(first + length).min(slice.end);
            first += length;
            if place.is_empty() {
                continue;
            }
            let place = place.start - slice.start..place.end - slice.start;
            let having = vectors.iter().zip(&heads).filter(|(_, (_, present))| present[field]);
            let having = having.map(|(vector, _)| &vector[place.clone()]);
            add(&mut sum[place.clone()], having);
        }
        let gathered = self.all_gather(bytemuck::cast_slice(&sum).to_vec())?;
        let mut values = Vec::with_capacity(total);
        for bytes in &gathered {
            values.extend(bytemuck::pod_collect_to_vec::<u8, f32>(bytes));
        }
        Ok(of_heads(&heads, values))
    }

    /// The sum of the vectors of all ranks, at most one each, in the order of the communicator. The heads
    /// are added by rank.
    ///
    /// # Errors
    /// As [`Ranks::sum_in_order`].
    pub(crate) fn sum_of_ranks(
        &self,
        lengths: &[usize],
        own: Result<Option<Addend>>,
    ) -> Result<Addend> {
        let none = || Addend {
            head: Vec::new(),
            present: vec![false; lengths.len()],
            values: vec![0.0; lengths.iter().sum()],
        };
        let own = own.and_then(|own| own.map_or_else(|| Ok(none()), |one| checked(one, lengths)));
        let (head, mut values) = match own {
            Ok(Addend { head, present, values }) => (Ok(vec![(head, present)]), values),
            Err(error) => (Err(error), Vec::new()),
        };
        // An error of a rank reaches the others here, so that all of them take part in the sum, or none.
        let heads: Vec<(Vec<f32>, Vec<bool>)> = self.gather_values(self.size(), head)?;
        let mut rest = values.as_mut_slice();
        for (&length, &present) in lengths.iter().zip(&heads[self.rank()].1) {
            let (field, others) = rest.split_at_mut(length);
            if !present {
                field.fill(0.0);
            }
            rest = others;
        }
        let values = self.all_reduce(values)?;
        let heads: Vec<_> = heads.into_iter().filter(|(head, _)| !head.is_empty()).collect();
        Ok(of_heads(&heads, values))
    }
}

/// A sum with these values, and the sums of the heads. A field is there if a head says so.
fn of_heads(heads: &[(Vec<f32>, Vec<bool>)], values: Vec<f32>) -> Addend {
    let mut head = vec![0.0; heads.first().map_or(0, |(head, _)| head.len())];
    add(&mut head, heads.iter().map(|(head, _)| head.as_slice()));
    let fields = heads.first().map_or(0, |(_, present)| present.len());
    let has = |field: usize| heads.iter().any(|(_, present)| present[field]);
    Addend { head, present: (0..fields).map(has).collect(), values }
}

/// A vector, if it has the lengths that it should.
fn checked(one: Addend, lengths: &[usize]) -> Result<Addend> {
    let fits =
        one.present.len() == lengths.len() && one.values.len() == lengths.iter().sum::<usize>();
    if fits { Ok(one) } else { Err(Error::Run("a gradient has another shape".into())) }
}

/// Adds up vectors. The first is copied, so that its zeros keep their signs.
fn add<'a>(sum: &mut [f32], vectors: impl Iterator<Item = &'a [f32]>) {
    for (number, vector) in vectors.enumerate() {
        match number {
            0 => sum.copy_from_slice(vector),
            _ => sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::threads;
    use proptest::prelude::*;
    use std::thread;

    /// The most that two sums of `count` 32-bit numbers in different orders differ by, to first order, if
    /// the absolute values of the numbers add up to `size`.
    fn rounding_bound(count: usize, size: f64) -> f64 {
        count.saturating_sub(1) as f64 * f64::from(f32::EPSILON) * size
    }

    fn on_ranks<T: Send>(size: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
        thread::scope(|scope| {
            let work = &work;
            let spawn = |one| scope.spawn(move || work(Ranks::new(one)));
            let ranks: Vec<_> = threads(size).into_iter().map(spawn).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    /// `count` vectors with fields of these lengths, some of them absent.
    fn vectors(lengths: &[usize], count: usize, seed: u64) -> Vec<Addend> {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let total: usize = lengths.iter().sum();
        let mut vector = || Addend {
            head: vec![rng.random_range(-1e3..1e3), -0.0],
            present: lengths.iter().map(|_| rng.random_bool(0.8)).collect(),
            values: (0..total).map(|_| rng.random_range(-1e3f32..1e-3)).collect(),
        };
        (0..count).map(|_| vector()).collect()
    }

    #[test]
    fn an_error_of_one_rank_ends_the_sum_of_all() {
        let errors = on_ranks(3, |ranks| {
            let own = match ranks.rank() {
                1 => Err(Error::Device("is gone".into())),
                _ => Ok(None),
            };
            ranks.sum_of_ranks(&[2], own).unwrap_err().to_string()
        });
        assert!(errors.iter().all(|error| error.ends_with("is gone")), "{errors:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn sums_in_the_order_of_ranks_are_within_the_bound_and_equal_on_all_ranks(
            lengths in prop::collection::vec(0usize..9, 1..5),
            count in 1usize..7,
            size in 1usize..6,
            seed in any::<u64>(),
        ) {
            let vectors = vectors(&lengths, count, seed);
            let in_order = |ranks: &Ranks| {
                let own = ranks.own(count).into_iter().map(|one| vectors[one].clone()).collect();
                ranks.sum_in_order(count, &lengths, Ok(own)).unwrap()
            };
            let sums = on_ranks(size, |ranks| {
                // What a rank adds up by itself.
                let own: Vec<Addend> =
                    ranks.own(count).into_iter().map(|one| vectors[one].clone()).collect();
                let alone = Ranks::alone();
                let own = (!own.is_empty())
                    .then(|| alone.sum_in_order(own.len(), &lengths, Ok(own)).unwrap());
                ranks.sum_of_ranks(&lengths, Ok(own)).unwrap()
            });
            let exact = in_order(&Ranks::alone());
            for sum in &sums {
                let bits = |sum: &Addend| {
                    let all = sum.head.iter().chain(&sum.values);
                    all.map(|value| value.to_bits()).collect::<Vec<_>>()
                };
                prop_assert_eq!(bits(sum), bits(&sums[0]), "ranks differ");
                prop_assert_eq!(&sum.present, &exact.present);
                let mut first = 0;
                for (field, &length) in lengths.iter().enumerate() {
                    for at in first..first + length {
                        let added = vectors.iter().filter(|one| one.present[field]);
                        let size = added.map(|one| f64::from(one.values[at].abs())).sum();
                        let difference = f64::from(sum.values[at]) - f64::from(exact.values[at]);
                        // The terms of second order are below a millionth of the bound.
                        let bound = rounding_bound(count, size) * (1.0 + 1e-6);
                        prop_assert!(difference.abs() <= bound, "{} > {}", difference, bound);
                    }
                    first += length;
                }
            }
        }

        #[test]
        fn sums_have_the_same_bits_on_any_number_of_ranks(
            lengths in prop::collection::vec(0usize..9, 1..5),
            count in 1usize..7,
            size in 1usize..6,
            seed in any::<u64>(),
        ) {
            let vectors = vectors(&lengths, count, seed);
            let sum = |ranks: Ranks| {
                let own = ranks.own(count).into_iter().map(|one| vectors[one].clone()).collect();
                ranks.sum_in_order(count, &lengths, Ok(own)).unwrap()
            };
            let expected = sum(Ranks::alone());
            let bits = |sum: &Addend| {
                let mut first = 0;
                let mut kept = Vec::new();
                for (length, present) in lengths.iter().zip(&sum.present) {
                    if *present {
                        kept.extend(&sum.values[first..first + length]);
                    }
                    first += length;
                }
                let all = sum.head.iter().chain(kept);
                (sum.present.clone(), all.map(|value| value.to_bits()).collect::<Vec<_>>())
            };
            let sums = on_ranks(size, sum);
            for sum in &sums {
                prop_assert_eq!(bits(sum), bits(&expected));
            }
        }
    }
}
