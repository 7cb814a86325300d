//! The compiled rules against the engine of the published rules, on the published games.

use std::path::{Path, PathBuf};

use rand::Rng;

use super::super::environment::AlfWorld;
use super::super::game::GameReader;
use super::super::game_file::GAME;
use super::super::{AlfWorldConfig, archive};
use crate::env::{Session, Texts};
use crate::stream::{Purpose, Stream};

/// The archive of the published games, which are not in this repository.
fn published() -> Option<PathBuf> {
    let shared = std::env::var_os("PROXMO_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = shared.join("alfworld/json_2.1.1.tar.xz");
    if !path.exists() {
        println!("SKIPPED: {} does not exist", path.display());
        return None;
    }
    Some(path)
}

/// Plays a game in both engines: the walkthrough, with random admissible actions between its commands
/// on the second round. All texts and results must be equal.
fn compare(name: &str, bytes: &[u8], readers: &[GameReader; 2]) {
    let config = AlfWorldConfig::default();
    let [own, compiled] = readers.each_ref().map(|reader| {
        AlfWorld::read_with(reader, name, bytes, config).unwrap_or_else(|error| panic!("{error}"))
    });
    let mut rng = Stream::new(7, Purpose::Environment).at(name.len() as u64).of(0, 0).rng();
    for wanders in [false, true] {
        let mut sessions = [&own, &compiled].map(|world| world.session(0, 0).unwrap());
        let mut commands: Vec<String> = own.walkthrough(0).to_vec();
        if wanders {
            commands.truncate(commands.len().saturating_sub(1));
            commands.extend((0..20).map(|_| String::new()));
        }
        for command in commands {
            let mut listed = [Texts::new(), Texts::new()];
            let mut shown = [String::new(), String::new()];
            for (index, session) in sessions.iter().enumerate() {
                session.admissible(&mut listed[index]);
                session.observe(&mut shown[index]);
            }
            assert_eq!(shown[0], shown[1], "{name}, before {command}");
            assert!(listed[0].iter().eq(listed[1].iter()), "{name}, before {command}");
            let count = listed[0].len();
            let chosen = match command.as_str() {
                "" => listed[0].get(rng.random_range(0..count)).unwrap(),
                command => command,
            };
            let [a, b] = sessions.each_mut().map(|session| session.step(chosen).unwrap());
            assert_eq!((a.valid, a.success, a.reward), (b.valid, b.success, b.reward), "{chosen}");
        }
    }
}

/// Compares every so many games of an archive.
struct Games {
    readers: [GameReader; 2],
    every: usize,
    seen: usize,
    compared: usize,
}

impl archive::Visitor for Games {
    fn wants(&mut self, _: &str, file: &'static str) -> bool {
        file == GAME
    }

    fn found(
        &mut self,
        name: String,
        _: &'static str,
        content: Result<Vec<u8>, String>,
    ) -> crate::error::Result<()> {
        self.seen += 1;
        if self.seen.is_multiple_of(self.every) {
            compare(&name, &content.unwrap(), &self.readers);
            self.compared += 1;
        }
        Ok(())
    }
}

/// By default every 40th published game; all of them with `PROXMO_ALL_GAMES=1`.
#[test]
fn compiled_rules_play_the_published_games_like_the_engine_of_their_rules() {
    let Some(path) = published() else { return };
    let every = if std::env::var_os("PROXMO_ALL_GAMES").is_some() { 1 } else { 40 };
    let readers = [GameReader::default(), GameReader::compiling_all()];
    let mut games = Games { readers, every, seen: 0, compared: 0 };
    archive::unpack(&path, archive::Format::detect(&path).unwrap(), &mut games).unwrap();
    let Games { seen, compared, .. } = games;
    assert_eq!((seen, compared), (4027, 4027 / every));
}
