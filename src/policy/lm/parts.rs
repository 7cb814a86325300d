//! How the sequences of a minibatch are divided, so that little is padding.

/// The cost of a part of a minibatch beside that of its tokens, in tokens.
const PART_COST: usize = 256;

/// The sizes of the parts into which sequences are divided. `lengths` are those of the sequences, in
/// descending order. A part's cost is its tokens, with padding, and [`PART_COST`]; the parts are those of
/// least cost among those of at most `limit` tokens. A sequence that is longer is a part of its own.
pub(super) fn part_sizes(lengths: &[usize], limit: usize) -> Vec<usize> {
    // The least cost of the sequences from each on, and the size of their first part.
    let mut best = vec![(0, 0); lengths.len() + 1];
    for first in (0..lengths.len()).rev() {
        let most = (limit / lengths[first].max(1)).clamp(1, lengths.len() - first);
        let cost = |count: usize| lengths[first] * count + PART_COST + best[first + count].0;
        best[first] = (1..=most).map(|count| (cost(count), count)).min().unwrap_or((0, 1));
    }
    let mut sizes = Vec::new();
    let mut first = 0;
    while first < lengths.len() {
        sizes.push(best[first].1);
        first += best[first].1;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least cost over all divisions, by trying each.
    fn least(lengths: &[usize], limit: usize) -> usize {
        let cuts = lengths.len() - 1;
        let division = |mask: usize| {
            let ends = (0..cuts).filter(|cut| mask >> cut & 1 == 1).map(|cut| cut + 1);
            let (mut first, mut cost) = (0, 0);
            for end in ends.chain([lengths.len()]) {
                let tokens = lengths[first] * (end - first);
                if tokens > limit && end - first > 1 {
                    return usize::MAX;
                }
                cost += tokens + PART_COST;
                first = end;
            }
            cost
        };
        (0..1 << cuts).map(division).min().unwrap()
    }

    #[test]
    fn parts_have_the_least_cost_within_the_limit() {
        for (lengths, limit) in [
            (vec![900, 880, 870, 300, 290, 40, 40, 39, 38, 2], 2000),
            (vec![900, 880, 870, 300, 290, 40, 40, 39, 38, 2], 500),
            (vec![100; 9], 350),
            (vec![5000, 4], 8192),
            (vec![7], 1),
        ] {
            let sizes = part_sizes(&lengths, limit);
            assert_eq!(sizes.iter().sum::<usize>(), lengths.len());
            let (mut first, mut cost) = (0, 0);
            for size in sizes {
                assert!(size == 1 || size * lengths[first] <= limit);
                cost += size * lengths[first] + PART_COST;
                first += size;
            }
            assert_eq!(cost, least(&lengths, limit), "{lengths:?}");
        }
        assert!(part_sizes(&[], 10).is_empty());
    }
}
