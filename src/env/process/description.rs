//! What a program says of itself: whether it makes sense, and what follows from it.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::answer::Description;
use super::program::lock;
use super::words::plain;
use crate::env::protocol::VERSION;
use crate::error::{Error, Result};

/// The most tasks that a program may have.
const MAX_TASKS: u64 = 1_000_000;

/// The largest step limit that a program may have.
const MAX_STEPS: u64 = 100_000;

/// The most splits and the most kinds of task, and how long their names may be.
const MAX_NAMES: usize = 64;
const LONGEST_NAME: usize = 64;

/// The splits of a program that does not tell any: to train on, and held out.
const SPLITS: [&str; 2] = ["train", "valid"];

/// A program's own name for something, as messages quote it.
pub(super) fn quote(name: &str) -> String {
    plain(name, LONGEST_NAME)
}

/// Checks that a description makes sense.
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
        if name.is_empty() || name.len() > LONGEST_NAME || plain(name, LONGEST_NAME) != name {
            return Err(format!(
                "one of its {what} is named '{}', expected 1 to {LONGEST_NAME} bytes of plain text",
                quote(name)
            ));
        }
        if !seen.insert(name) || seen.len() > MAX_NAMES {
            return Err(format!("its {what} are not at most {MAX_NAMES}, all of other names"));
        }
    }
    Ok(())
}

/// The number of a split's first task, and how many it has.
pub(super) fn find_split(described: &Description, wanted: &str) -> Result<(usize, usize)> {
    let refuse = |message: String| Err(Error::setting("split", message));
    let tasks = described.tasks;
    let divided = [tasks - tasks.div_ceil(5), tasks.div_ceil(5)];
    let divided = SPLITS.into_iter().zip(divided);
    let splits: Vec<(&str, u64)> = match described.splits.as_slice() {
        [] => divided.collect(),
        splits => splits.iter().map(|split| (split.name.as_str(), split.tasks)).collect(),
    };
    let mut first = 0;
    for &(name, tasks) in &splits {
        match (name == wanted, tasks) {
            (true, 0) => {
                let message = format!("the program has no task in '{wanted}', expected 1 or more");
                return refuse(message);
            }
            (true, tasks) => return Ok((first as usize, tasks as usize)),
            (false, tasks) => first += tasks,
        }
    }
    let names: Vec<&str> = splits.iter().map(|split| split.0).collect();
    refuse(format!("'{wanted}' is unknown, expected '{}'", names.join("' or '")))
}

/// Names of kinds live as long as the process. There are few, and each is kept once.
pub(super) fn keep_for_good(name: &str) -> &'static str {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut kept = lock(&KEPT);
    if let Some(name) = kept.get(name) {
        return name;
    }
    let name: &'static str = Box::leak(name.into());
    kept.insert(name);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::protocol::Split;

    fn described(splits: &[(&str, u64)], tasks: u64) -> Description {
        let split = |&(name, tasks): &(&str, u64)| Split { name: name.to_string(), tasks };
        let (splits, name) = (splits.iter().map(split).collect(), "x".to_string());
        Description { protocol: 1, name, tasks, max_steps: 9, splits, kinds: Vec::new() }
    }

    #[test]
    fn splits_are_those_told_or_a_fifth_is_held_out() {
        let told = described(&[("a", 3), ("none", 0), ("b", 4)], 7);
        check(&told).unwrap();
        assert_eq!(find_split(&told, "a").unwrap(), (0, 3));
        assert_eq!(find_split(&told, "b").unwrap(), (3, 4));
        let message = |wanted: &str| find_split(&told, wanted).unwrap_err().to_string();
        assert!(message("train").contains("expected 'a' or 'none' or 'b'"), "{}", message("train"));
        assert!(message("none").contains("no task in 'none'"));
        for (tasks, train) in [(2, 1), (9, 7), (10, 8), (200, 160), (1_000_000, 800_000)] {
            let plain = described(&[], tasks);
            check(&plain).unwrap();
            assert_eq!(find_split(&plain, "train").unwrap(), (0, train));
            assert_eq!(find_split(&plain, "valid").unwrap(), (train, tasks as usize - train));
        }
        // One task cannot be both learnt from and held out.
        find_split(&described(&[], 1), "train").unwrap_err();
        for wrong in
            [&[("a", 3), ("b", 3)][..], &[("a", u64::MAX), ("b", 8)], &[("a", 7), ("a", 0)]]
        {
            check(&described(wrong, 7)).unwrap_err();
        }
    }

    #[test]
    fn names_of_kinds_are_kept_once() {
        let first = keep_for_good("a kind of its own");
        assert!(std::ptr::eq(first, keep_for_good(&String::from("a kind of its own"))));
    }
}
