//! Places for the names of curves, so that none covers another.

/// The distance between the baselines of two names.
const DISTANCE: f64 = 15.0;

/// Moves `wanted` heights apart, within 0 and `height`, and keeps their order. Where there is no room
/// for all of them, they move closer together.
pub fn spread(wanted: &[f64], height: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let gaps = wanted.len().saturating_sub(1).max(1) as f64;
    let distance = DISTANCE.min(height / gaps);
    let mut places = vec![0.0; wanted.len()];
    let mut next = 0.0;
    for &curve in &order {
        places[curve] = wanted[curve].max(next);
        next = places[curve] + distance;
    }
    let mut last = height;
    for &curve in order.iter().rev() {
        places[curve] = places[curve].min(last);
        last = places[curve] - distance;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_distance_and_their_order() {
        assert_eq!(spread(&[50.0, 10.0], 100.0), [50.0, 10.0]);
        assert_eq!(spread(&[10.0, 10.0, 12.0], 100.0), [10.0, 25.0, 40.0]);
        assert_eq!(spread(&[98.0, 99.0], 100.0), [85.0, 100.0]);
        assert_eq!(spread(&[], 100.0), [0.0; 0]);
    }

    #[test]
    fn many_names_share_the_height() {
        let places = spread(&[0.0; 5], 40.0);
        assert_eq!(places, [0.0, 10.0, 20.0, 30.0, 40.0]);
    }
}
