//! Estimated values of states, which a policy with a value head gives.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::batch::{Batch, MAX_REWARD};
use crate::error::{Error, Result};

/// Estimates of the discounted rewards that follow a state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Values {
    /// The value of each row's state, before its action: `[rows]`.
    pub states: Vec<f64>,
    /// The value of the state after each episode's last step: `[episodes]`. 0 for an episode that
    /// terminated, since no reward follows; of one that was cut short at the step limit, the estimate.
    pub ends: Vec<f64>,
}

impl Values {
    /// Those of some rows and episodes, in the given order.
    pub(super) fn select(&self, rows: &[usize], episodes: &[usize]) -> Self {
        let pick = |all: &[f64], chosen: &[usize]| chosen.iter().map(|&one| all[one]).collect();
        Self { states: pick(&self.states, rows), ends: pick(&self.ends, episodes) }
    }

    /// These values followed by others.
    pub(super) fn join(&self, other: &Self) -> Self {
        Self {
            states: [&self.states[..], &other.states].concat(),
            ends: [&self.ends[..], &other.ends].concat(),
        }
    }
}

impl Batch {
    /// The estimated values of states, if the batch has them.
    pub fn values(&self) -> Option<&Values> {
        self.values.as_deref()
    }

    /// The same batch with these values of states.
    ///
    /// # Errors
    /// Returns an error if there is not one value for each row and one for each episode, or if a value is
    /// NaN or larger than [`MAX_REWARD`] in absolute value.
    pub fn with_values(&self, values: Values) -> Result<Self> {
        for (name, found, expected, of) in [
            ("values", &values.states, self.rows(), "row"),
            ("final_values", &values.ends, self.episodes(), "episode"),
        ] {
            if found.len() != expected {
                let message = format!(
                    "expected {expected} numbers, one for each {of}, found {}",
                    found.len()
                );
                return Err(Error::input(name, message));
            }
            let fits = |value: &f64| (-MAX_REWARD..=MAX_REWARD).contains(value);
            if let Some(at) = found.iter().position(|value| !fits(value)) {
                let message = format!(
                    "expected a number from {:e} to {MAX_REWARD:e}, found {:e}",
                    -MAX_REWARD, found[at]
                );
                return Err(Error::input(format!("{name}[{at}]"), message));
            }
        }
        Ok(Self { values: Some(Arc::new(values)), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::Episode;

    fn batch() -> Batch {
        let long = || Episode::new().step("hall", 0.0).step("attic", 1.0);
        Batch::builder().group([long()]).group([Episode::new(), long()]).build().unwrap()
    }

    #[test]
    fn values_go_along_with_their_groups() {
        let states = vec![1.0, 2.0, 3.0, 4.0];
        let values = Values { states, ends: vec![0.0, 5.0, 6.0] };
        let batch = batch().with_values(values.clone()).unwrap();
        let second = Values { states: vec![3.0, 4.0], ends: vec![5.0, 6.0] };
        assert_eq!(batch.select_groups(&[1]).values(), Some(&second));
        let turned = batch.select_groups(&[1, 0]);
        let whole = batch.select_groups(&[0]).concat(&batch.select_groups(&[1])).unwrap();
        assert_eq!(whole.values(), Some(&values));
        assert_eq!(turned.values().map(|all| all.ends.clone()), Some(vec![5.0, 6.0, 0.0]));
        assert_eq!(batch.with_rewards(vec![0.0; 4]).unwrap().values(), Some(&values));
        assert_eq!(batch.concat(&self::batch()).unwrap().values(), None);
    }

    #[test]
    fn values_of_another_number_or_that_are_not_finite_are_refused() {
        let refused = |states: &[f64], ends: &[f64]| {
            let values = Values { states: states.to_vec(), ends: ends.to_vec() };
            batch().with_values(values).unwrap_err().to_string()
        };
        let short = refused(&[0.0], &[0.0; 3]);
        assert_eq!(short, "values: expected 4 numbers, one for each row, found 1");
        let short = refused(&[0.0; 4], &[]);
        assert_eq!(short, "final_values: expected 3 numbers, one for each episode, found 0");
        let nan = refused(&[0.0; 4], &[0.0, f64::NAN, 0.0]);
        assert_eq!(nan, "final_values[1]: expected a number from -1e30 to 1e30, found NaN");
    }
}
