//! Reading `config.toml`, and making it independent of the working directory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::known::all_settings;
use crate::error::{Error, Result};
use crate::settings::set;
use crate::train::Config;

/// Maximum size of a `config.toml` in bytes. One with every setting and its comments has some 15,000.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a `config.toml`.
pub fn read_config(path: &Path) -> Result<Config> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(Error::io("read", path))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Error::file(path, format!("expected at most {MAX_BYTES} bytes of settings")));
    }
    let text = String::from_utf8(text)
        .map_err(|_| Error::file(path, "expected UTF-8 text, found other bytes"))?;
    Config::from_toml(&text, &path.display().to_string())
}

/// Makes every path of a configuration absolute, so that the `config.toml` of a run is valid in any
/// working directory.
pub fn make_paths_absolute(config: &mut Config) -> Result<()> {
    let mut tree = config.to_tree()?;
    for setting in all_settings() {
        let value = setting.key.split('.').try_fold(&tree, |place, key| place.get(key));
        let path = value.and_then(Value::as_str).unwrap_or_default().to_string();
        let is_path = setting.schema.get("format").is_some_and(|format| format == "path");
        // Demonstrations come from a file or a source that a word names.
        let is_file = setting.key == "imitation.from" && Path::new(&path).is_file();
        if path.is_empty() || !(is_path || is_file) {
            continue;
        }
        let absolute = std::path::absolute(&path).map_err(Error::io("find", Path::new(&path)))?;
        set(&mut tree, setting, absolute.to_string_lossy().into());
    }
    *config = Config::from_tree(tree).map_err(|message| Error::setting("config", message))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_or_not_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for (content, expected) in [
            (vec![b'#'; 1 << 21], "config.toml: expected at most 1048576 bytes"),
            (b"[run]\nseed = \"\xff\"".to_vec(), "config.toml: expected UTF-8"),
        ] {
            std::fs::write(&path, content).unwrap();
            let message = read_config(&path).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn paths_become_absolute_and_words_stay() {
        let mut config = Config::default();
        config.run.init = "runs/first".into();
        config.imitation.from = "expert".into();
        make_paths_absolute(&mut config).unwrap();
        assert!(config.run.init.is_absolute() && config.run.init.ends_with("runs/first"));
        assert_eq!(config.imitation.from, "expert");
    }
}
