//! Shared code of the ALFWorld tests: the published games, the transcripts of the original engine, and
//! helpers for sessions.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proxmo::env::alfworld::{AlfWorld, AlfWorldConfig};
use proxmo::env::{Environment, Session, Texts};
use serde::Deserialize;

use super::shared::shared;

/// The archive of the published games.
pub fn archive() -> Option<PathBuf> {
    shared("alfworld/json_2.1.1.tar.xz")
}

/// All published games, read once from their archive.
pub fn games() -> Option<&'static AlfWorld> {
    static GAMES: OnceLock<AlfWorld> = OnceLock::new();
    let archive = archive()?;
    let config = AlfWorldConfig { max_steps: 1000, ..Default::default() };
    Some(GAMES.get_or_init(|| AlfWorld::load(&archive, None, config).unwrap()))
}

/// The text of the first game file in the archive.
pub fn game_file() -> Option<String> {
    let file = std::fs::File::open(archive()?).unwrap();
    let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(file));
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut entry = entries.find(|entry| entry.path().unwrap().ends_with("game.tw-pddl")).unwrap();
    let mut text = String::new();
    entry.read_to_string(&mut text).unwrap();
    Some(text)
}

/// Writes a game file `folder/name/game.tw-pddl`.
pub fn put_game(folder: &Path, name: &str, text: &str) {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("game.tw-pddl"), text).unwrap();
}

/// An episode of the original engine. The first entry is the start, the others are steps.
#[derive(Deserialize)]
pub struct Transcript {
    pub game: String,
    pub kind: String,
    pub steps: Vec<Entry>,
}

/// A command and the answer of the original engine.
#[derive(Deserialize)]
pub struct Entry {
    #[serde(default)]
    pub cmd: String,
    pub obs: String,
    pub adm: Vec<String>,
    #[serde(default)]
    pub score: u8,
    #[serde(default)]
    pub done: bool,
    #[serde(default)]
    pub won: bool,
}

/// The transcripts of the original engine.
pub fn transcripts() -> Option<Vec<Transcript>> {
    let file = std::fs::File::open(shared("alfworld/transcripts.jsonl.xz")?).unwrap();
    let text = std::io::read_to_string(liblzma::read::XzDecoder::new(file)).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The number of the task with a given name.
pub fn task(world: &AlfWorld, name: &str) -> usize {
    (0..world.tasks()).find(|&task| world.task_name(task) == name).unwrap()
}

/// The current observation.
pub fn observation(session: &dyn Session) -> String {
    let mut text = String::new();
    session.observe(&mut text);
    text
}

/// The admissible actions.
pub fn admissible(session: &dyn Session) -> Vec<String> {
    let mut texts = Texts::new();
    session.admissible(&mut texts);
    texts.iter().map(str::to_string).collect()
}
