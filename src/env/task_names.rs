//! Finds tasks by the forms in which files of others name them.

use std::collections::{HashMap, HashSet};

/// File names after the name of a game.
const FILES: [&str; 3] = ["game.tw-pddl", "traj_data.json", "initial_state.pddl"];

/// An index of task names. Names of the form `<split>/<task>/<trial>` are also found as absolute or
/// relative paths of their files, without their split, and by their task or trial alone.
#[derive(Debug, Default)]
pub(crate) struct TaskNames {
    tasks: HashMap<String, Vec<usize>>,
    splits: HashSet<String>,
}

impl TaskNames {
    /// An index of names, which are numbered from 0.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut index = Self::default();
        for (number, name) in names.into_iter().enumerate() {
            index.push(name, number);
        }
        index
    }

    /// Adds the name of the task `number`.
    pub(crate) fn push(&mut self, name: &str, number: usize) {
        let mut add = |key: String| self.tasks.entry(key).or_default().push(number);
        add(name.to_string());
        if let [split, task, trial] = name.split('/').collect::<Vec<_>>()[..] {
            add(format!("{task}/{trial}"));
            add(format!("{split}/{task}"));
            add(task.to_string());
            if trial != task {
                add(trial.to_string());
            }
            self.splits.insert(split.to_string());
        }
    }

    /// The tasks that a text names.
    pub(crate) fn find(&self, text: &str) -> &[usize] {
        let get = |key: &str| self.tasks.get(key).map(Vec::as_slice);
        if let Some(found) = get(text) {
            return found;
        }
        let text = text.trim().replace('\\', "/");
        let mut parts: Vec<&str> =
            text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        parts.pop_if(|last| FILES.contains(last));
        for length in [3, 2, 1] {
            let Some(start) = parts.len().checked_sub(length) else { continue };
            if let Some(found) = get(&parts[start..].join("/")) {
                return found;
            }
            // A path with the name of a split does not name a game of another split.
            if length == 3 && self.splits.contains(parts[start]) {
                return &[];
            }
        }
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_found_in_every_public_form_of_their_names() {
        let names = TaskNames::new(["train/a-1/t_1", "train/a-1/t_2", "valid/b-2/t_3", "plain"]);
        for (text, expected) in [
            ("train/a-1/t_1", &[0][..]),
            ("/home/me/json_2.1.1/train/a-1/t_2/game.tw-pddl", &[1]),
            ("C:\\data\\json_2.1.1\\valid\\b-2\\t_3\\game.tw-pddl", &[2]),
            ("json_2.1.1/valid/b-2/t_3/", &[2]),
            ("./b-2/t_3", &[2]),
            ("other_split/b-2/t_3/traj_data.json", &[2]),
            ("t_2", &[1]),
            ("a-1", &[0, 1]),
            ("train/a-1", &[0, 1]),
            ("plain", &[3]),
            ("valid/a-1/t_1", &[]),
            ("valid/b-2/t_9", &[]),
            ("", &[]),
        ] {
            assert_eq!(names.find(text), expected, "{text}");
        }
    }
}
