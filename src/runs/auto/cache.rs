//! What updates took, by machine and by the size of the run.
//!
//! `backends.json` holds the newest measurements. One counts as long as everything that it depends on
//! is the same; a file that is damaged counts as empty and is written anew.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::device::{Adapter, Backend};
use crate::files::write_atomic;
use crate::train::{Config, PolicyConfig};

/// How many measurements are kept.
const KEPT: usize = 64;

/// Everything that a measurement depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Key {
    version: String,
    threads: usize,
    adapters: Vec<Candidate>,
    /// The settings of the environment that decide how long an update takes.
    env: String,
    policy: PolicyConfig,
    minibatch: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Candidate {
    backend: Backend,
    name: String,
    driver: String,
}

impl Key {
    pub fn of(config: &Config, candidates: &[Adapter]) -> Self {
        let candidate = |adapter: &Adapter| Candidate {
            backend: adapter.backend,
            name: adapter.name.clone(),
            driver: adapter.driver.clone(),
        };
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            threads: threads(),
            adapters: candidates.iter().map(candidate).collect(),
            env: config.env.workload(),
            policy: config.policy.clone(),
            minibatch: config.update.minibatch,
        }
    }
}

#[cfg(feature = "parallel")]
fn threads() -> usize {
    rayon::current_num_threads()
}

#[cfg(not(feature = "parallel"))]
fn threads() -> usize {
    1
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    key: Key,
    /// Milliseconds an update, one for each of the key's adapters.
    milliseconds: Vec<f64>,
}

/// The file.
pub(super) struct Cache(PathBuf);

impl Cache {
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join("backends.json"))
    }

    /// What is known, oldest first.
    fn entries(&self) -> Vec<Entry> {
        let bytes = fs::read(&self.0).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Milliseconds an update of each of the key's adapters, where they are known.
    pub fn find(&self, key: &Key) -> Option<Vec<f64>> {
        let sound = |entry: &Entry| {
            entry.milliseconds.len() == key.adapters.len()
                && entry.milliseconds.iter().all(|&time| time > 0.0 && time.is_finite())
        };
        let entries = self.entries();
        let found = entries.into_iter().rev().find(|entry| entry.key == *key && sound(entry));
        found.map(|entry| entry.milliseconds)
    }

    /// Keeps a measurement. One that cannot be kept will be made again: that is no error.
    pub fn keep(&self, key: Key, milliseconds: &[f64]) {
        let mut entries = self.entries();
        entries.retain(|entry| entry.key != key);
        entries.push(Entry { key, milliseconds: milliseconds.to_vec() });
        let old = entries.len().saturating_sub(KEPT);
        if let (Ok(text), Some(folder)) =
            (serde_json::to_vec_pretty(&entries[old..]), self.0.parent())
        {
            let _ = fs::create_dir_all(folder);
            let _ = write_atomic(&self.0, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::candidates;

    fn key() -> Key {
        Key::of(&Config::default(), &candidates(Backend::Flex)[..1])
    }

    #[test]
    fn what_is_kept_is_found_by_its_own_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(&folder.path().join("a/b"));
        assert_eq!(cache.find(&key()), None);
        cache.keep(key(), &[1.0]);
        cache.keep(key(), &[2.0]);
        assert_eq!((cache.find(&key()), cache.entries().len()), (Some(vec![2.0]), 1));
        let mut others = vec![key(); 7];
        others[0].version = "0.0.0".into();
        others[1].threads += 1;
        others[2].adapters[0].name = "another".into();
        others[3].adapters[0].driver = "newer".into();
        others[4].policy.hidden += 1;
        others[5].minibatch += 1;
        others[6].env = "another".into();
        for other in &others {
            assert_eq!(cache.find(other), None, "{other:?}");
        }
        for other in others.iter().cycle().take(100) {
            let mut other = other.clone();
            other.env = cache.entries().len().to_string();
            cache.keep(other, &[3.0]);
        }
        assert_eq!(cache.entries().len(), KEPT);
    }

    #[test]
    fn a_damaged_file_counts_as_empty_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path());
        cache.keep(key(), &[1.0]);
        let whole = fs::read(&cache.0).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&cache.0, &whole[..length]).unwrap();
            assert_eq!(cache.find(&key()), None);
        }
        for milliseconds in ["[]", "[0.0]", "[1.0, 2.0]", "[-1.0]"] {
            let text = String::from_utf8(whole.clone()).unwrap();
            let begin = text.find("\"milliseconds\"").unwrap();
            let text = format!("{}\"milliseconds\": {milliseconds}}}]", &text[..begin]);
            fs::write(&cache.0, text).unwrap();
            assert_eq!((cache.entries().len(), cache.find(&key())), (1, None), "{milliseconds}");
        }
        fs::write(&cache.0, "nonsense").unwrap();
        cache.keep(key(), &[4.0]);
        assert_eq!(cache.find(&key()), Some(vec![4.0]));
    }

    #[test]
    fn a_folder_that_cannot_be_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let cache = Cache::in_folder(&folder.path().join("file/below"));
        cache.keep(key(), &[1.0]);
        assert_eq!(cache.find(&key()), None);
    }
}
