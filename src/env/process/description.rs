//! A program's description of itself: checks, and the tasks that it stands for.

use std::collections::BTreeSet;

use super::answer::Description;
use super::words::plain;
use crate::env::environment::Split;
use crate::env::protocol::VERSION;
use crate::error::{Error, Result};

/// Maximum number of tasks of a program.
const MAX_TASKS: u64 = 1_000_000;

/// Maximum step limit of a program.
const MAX_STEPS: u64 = 100_000;

/// Maximum number of splits, and of kinds of task.
const MAX_NAMES: usize = 64;

/// Maximum length of their names, in bytes.
const MAX_NAME: usize = 64;

/// The splits of a program that describes none: tasks to train on, and held-out tasks.
const SPLITS: [&str; 2] = ["train", "valid"];

/// A name that a program chose, as messages quote it.
pub(in crate::env) fn quote(name: &str) -> String {
    plain(name, MAX_NAME)
}

/// Checks a description.
pub(super) fn check(described: &Description) -> Result<(), String> {
    let Description { protocol, tasks, max_steps, splits, kinds, .. } = described;
    let range = |what: &str, found: u64, most: u64| match (1..=most).contains(&found) {
        true => Ok(()),
        false => Err(format!("{what} is {found}, expected 1 to {most}")),
    };
    if *protocol != u64::from(VERSION) {
        return Err(format!("it speaks protocol {protocol}, expected {VERSION}"));
    }
    range("'tasks'", *tasks, MAX_TASKS)?;
    range("'max_steps'", *max_steps, MAX_STEPS)?;
    check_names("splits", splits.iter().map(|split| split.name.as_str()))?;
    check_names("kinds", kinds.iter().map(String::as_str))?;
    let total = splits.iter().try_fold(0_u64, |total, split| total.checked_add(split.tasks));
    if !splits.is_empty() && total != Some(*tasks) {
        let total = total.map_or("too many".into(), |total| total.to_string());
        return Err(format!("its splits have {total} tasks together, expected all {tasks}"));
    }
    Ok(())
}

fn check_names<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() || name.len() > MAX_NAME || plain(name, MAX_NAME) != name {
            return Err(format!(
                "one of its {what} is named '{}', expected 1 to {MAX_NAME} bytes of plain text",
                quote(name)
            ));
        }
        if !seen.insert(name) || seen.len() > MAX_NAMES {
            return Err(format!("its {what} are not at most {MAX_NAMES} different names"));
        }
    }
    Ok(())
}

/// The tasks that are opened: consecutive splits of a program.
#[derive(Debug, PartialEq)]
pub(in crate::env) struct Selection {
    /// Number of the first task among all tasks of the program.
    pub(in crate::env) first: usize,
    /// The splits, in the order of their tasks.
    pub(in crate::env) splits: Vec<Split>,
}

/// Selects one split, or all splits that have tasks.
pub(in crate::env) fn select(described: &Description, wanted: Option<&str>) -> Result<Selection> {
    let refuse = |message: String| Err(Error::setting("split", message));
    let splits = match described.splits.as_slice() {
        [] => {
            let held_out = described.tasks.div_ceil(5);
            let sizes = [described.tasks - held_out, held_out];
            let split = |(name, tasks): (&str, u64)| Split { name: name.into(), tasks };
            SPLITS.into_iter().zip(sizes).map(split).collect()
        }
        splits => splits.to_vec(),
    };
    let Some(wanted) = wanted else {
        let splits = splits.into_iter().filter(|split| split.tasks > 0).collect();
        return Ok(Selection { first: 0, splits });
    };
    let named = splits.iter().position(|split| split.name == wanted);
    let Some(place) = named.or_else(|| own_held_out(&splits, wanted)) else {
        let names: Vec<&str> = splits.iter().map(|split| split.name.as_str()).collect();
        let expected = names.join("' or '");
        return refuse(format!("'{wanted}' is unknown, expected '{expected}'"));
    };
    if splits[place].tasks == 0 && described.splits.is_empty() {
        return refuse(format!(
            "the environment has a single task, so '{wanted}' has none; a held-out set needs two tasks or \
             more. Describe more tasks, or 'splits' of your own"
        ));
    }
    if splits[place].tasks == 0 {
        return refuse(format!("the environment has no task in '{wanted}', expected 1 or more"));
    }
    let first = splits[..place].iter().map(|split| split.tasks as usize).sum();
    Ok(Selection { first, splits: vec![splits[place].clone()] })
}

/// The names of held-out splits that are in common use, best first.
const HELD_OUT: [&str; 5] = ["validation", "val", "dev", "test", "eval"];

/// The program's own held-out split, if the default name `valid` is wanted: the first one with a common
/// name, else the only one beside `train`.
fn own_held_out(splits: &[Split], wanted: &str) -> Option<usize> {
    let [train, valid] = SPLITS;
    if wanted != valid {
        return None;
    }
    let place = |name: &str| splits.iter().position(|split| split.name == name && split.tasks > 0);
    HELD_OUT.into_iter().find_map(place).or_else(|| {
        place(train)?;
        let mut others = (0..splits.len()).filter(|&one| splits[one].name != train);
        others.next().filter(|_| others.next().is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(splits: &[(&str, u64)], tasks: u64) -> Description {
        let split = |&(name, tasks): &(&str, u64)| Split { name: name.to_string(), tasks };
        let (splits, name) = (splits.iter().map(split).collect(), "x".to_string());
        Description { protocol: 1, name, tasks, max_steps: 9, splits, kinds: Vec::new() }
    }

    /// The number of a split's first task and the number of its tasks.
    fn range(described: &Description, split: &str) -> (usize, u64) {
        let selection = select(described, Some(split)).unwrap();
        assert_eq!(selection.splits.len(), 1);
        (selection.first, selection.splits[0].tasks)
    }

    #[test]
    fn described_splits_are_selected() {
        let described = described(&[("a", 3), ("none", 0), ("b", 4)], 7);
        check(&described).unwrap();
        assert_eq!(range(&described, "a"), (0, 3));
        assert_eq!(range(&described, "b"), (3, 4));
        let message = |wanted| select(&described, Some(wanted)).unwrap_err().to_string();
        assert!(message("train").contains("expected 'a' or 'none' or 'b'"), "{}", message("train"));
        assert!(message("none").contains("no task in 'none'"));
        let all = select(&described, None).unwrap();
        let names: Vec<&str> = all.splits.iter().map(|split| split.name.as_str()).collect();
        assert_eq!((all.first, names), (0, vec!["a", "b"]));
    }

    #[test]
    fn a_programs_own_held_out_split_stands_for_the_default_name() {
        let own = described(&[("train", 3), ("test", 2), ("dev", 1)], 6);
        assert_eq!(range(&own, "valid"), (5, 1));
        let single = described(&[("train", 3), ("unseen", 2)], 5);
        assert_eq!(range(&single, "valid"), (3, 2));
        let unclear = described(&[("train", 3), ("hard", 2), ("easy", 1)], 6);
        let message = select(&unclear, Some("valid")).unwrap_err().to_string();
        assert!(message.contains("expected 'train' or 'hard' or 'easy'"), "{message}");
        // Another name is never replaced.
        select(&own, Some("validation")).unwrap_err();
    }

    #[test]
    fn without_splits_the_last_fifth_is_held_out() {
        for (tasks, train) in [(2, 1), (9, 7), (10, 8), (200, 160), (1_000_000, 800_000)] {
            let plain = described(&[], tasks);
            check(&plain).unwrap();
            assert_eq!(range(&plain, "train"), (0, train));
            assert_eq!(range(&plain, "valid"), (train as usize, tasks - train));
        }
        // A single task cannot be in both splits.
        let message = select(&described(&[], 1), Some("train")).unwrap_err().to_string();
        assert!(message.contains("a held-out set needs two tasks"), "{message}");
    }

    #[test]
    fn splits_must_add_up_and_have_different_names() {
        for wrong in
            [&[("a", 3), ("b", 3)][..], &[("a", u64::MAX), ("b", 8)], &[("a", 7), ("a", 0)]]
        {
            check(&described(wrong, 7)).unwrap_err();
        }
    }
}
