//! A cache of measured update times, by machine and by size of the run.
//!
//! `backends.json` holds the newest measurements, each with everything that it depends on. A malformed
//! file counts as empty and is replaced.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::device::{Adapter, Backend};
use crate::files::write_atomic;
use crate::policy::PolicyConfig;
use crate::train::Config;

/// Maximum number of measurements in the file.
const MAX_ENTRIES: usize = 64;

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
    /// Milliseconds per update, one for each of the key's adapters.
    milliseconds: Vec<f64>,
}

/// The file.
pub(super) struct Cache(PathBuf);

impl Cache {
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join("backends.json"))
    }

    /// All measurements, oldest first.
    fn entries(&self) -> Vec<Entry> {
        let bytes = fs::read(&self.0).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Milliseconds per update of each of the key's adapters, if they are known.
    pub fn find(&self, key: &Key) -> Option<Vec<f64>> {
        let valid = |entry: &Entry| {
            entry.milliseconds.len() == key.adapters.len()
                && entry.milliseconds.iter().all(|&time| time > 0.0 && time.is_finite())
        };
        let entries = self.entries();
        let found = entries.into_iter().rev().find(|entry| entry.key == *key && valid(entry));
        found.map(|entry| entry.milliseconds)
    }

    /// Adds a measurement. A write error is ignored, because the times can be measured again.
    pub fn keep(&self, key: Key, milliseconds: &[f64]) {
        let mut entries = self.entries();
        entries.retain(|entry| entry.key != key);
        entries.push(Entry { key, milliseconds: milliseconds.to_vec() });
        let old = entries.len().saturating_sub(MAX_ENTRIES);
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
    use crate::policy::scorer::ScorerConfig;

    fn key() -> Key {
        Key::of(&Config::default(), &candidates(Backend::Flex)[..1])
    }

    #[test]
    fn a_measurement_is_found_by_an_equal_key_only() {
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
        others[4].policy = ScorerConfig { hidden: 65, ..ScorerConfig::default() }.into();
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
        assert_eq!(cache.entries().len(), MAX_ENTRIES);
    }

    #[test]
    fn a_malformed_file_counts_as_empty_and_is_replaced() {
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
    fn a_folder_that_cannot_be_created_is_not_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let cache = Cache::in_folder(&folder.path().join("file/below"));
        cache.keep(key(), &[1.0]);
        assert_eq!(cache.find(&key()), None);
    }
}
