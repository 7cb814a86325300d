//! Sums in a fixed order.
//!
//! Floating-point sums depend on their order, and the order of a reduction by a communication library
//! depends on the number of ranks. Here each rank adds up one slice of all vectors, in their order, and
//! the slices are gathered. Every rank sends and receives about twice a vector's size (with one vector a
//! rank), whatever their number, as in the library's own all-reduce; the sum is that of one process.

use super::group::Ranks;
use crate::error::{Error, Result};

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
        let slices: Vec<_> = (0..self.size()).map(|rank| self.slice(rank, total)).collect();
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
        let mut head = vec![0.0; heads.first().map_or(0, |(head, _)| head.len())];
        add(&mut head, heads.iter().map(|(head, _)| head.as_slice()));
        let has = |field: usize| heads.iter().any(|(_, present)| present[field]);
        Ok(Addend { head, present: (0..lengths.len()).map(has).collect(), values })
    }

    /// The slice of a vector that a rank adds up.
    fn slice(&self, rank: usize, total: usize) -> std::ops::Range<usize> {
        total * rank / self.size()..total * (rank + 1) / self.size()
    }
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn sums_have_the_same_bits_on_any_number_of_ranks(
            lengths in prop::collection::vec(0usize..9, 1..5),
            count in 1usize..7,
            size in 1usize..6,
            seed in any::<u64>(),
        ) {
            use rand::{Rng, SeedableRng};
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let total: usize = lengths.iter().sum();
            let mut vector = || Addend {
                head: vec![rng.random_range(-1e3..1e3), -0.0],
                present: lengths.iter().map(|_| rng.random_bool(0.8)).collect(),
                values: (0..total).map(|_| rng.random_range(-1e3f32..1e-3)).collect(),
            };
            let vectors: Vec<Addend> = (0..count).map(|_| vector()).collect();
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
            let sums: Vec<Addend> = thread::scope(|scope| {
                let spawn = |one| scope.spawn(|| sum(Ranks::new(one)));
                let ranks: Vec<_> = threads(size).into_iter().map(spawn).collect();
                ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
            });
            for sum in &sums {
                prop_assert_eq!(bits(sum), bits(&expected));
            }
        }
    }
}
