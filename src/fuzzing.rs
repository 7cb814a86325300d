//! Doors to what reads untrusted text, and what is asked of it, for the fuzzer in `fuzz/` and for the
//! tests beside it.

use std::sync::OnceLock;

use crate::env::alfworld::{AlfWorld, AlfWorldConfig, Expert, GameReader};
use crate::env::process::{Answer, read_answer, tasks_of};
use crate::env::{Session, Texts};
use crate::error::{Error, Result};

/// A grammar of the crate's own.
pub const GRAMMAR: &str = crate::env::alfworld::HOUSEHOLD_GRAMMAR;

/// The name of [`game`] in errors.
pub const GAME: &str = "house/game";

/// The longest text that an observation may be, and all actions together.
pub const LONGEST: usize = 16 << 20;

/// How many steps of a game are played.
const STEPS: usize = 12;

/// Reads a game as [`AlfWorld::read`] does, whatever its domain: the text of the known one is not
/// ours to keep beside the tests.
///
/// # Errors
/// As [`AlfWorld::read`], but for the domain.
pub fn game(bytes: &[u8]) -> Result<AlfWorld> {
    AlfWorld::read_by(&GameReader::of_any_domain(), GAME, bytes, AlfWorldConfig::default())
}

/// Reads the game of a problem in the crate's own [`GRAMMAR`], which is compiled once.
///
/// # Errors
/// As [`AlfWorld::read`].
pub fn game_of(problem: &str) -> Result<AlfWorld> {
    static READER: OnceLock<GameReader> = OnceLock::new();
    let reader = READER.get_or_init(GameReader::of_any_domain);
    AlfWorld::read_by(reader, GAME, &game_file(problem, GRAMMAR), AlfWorldConfig::default())
}

/// The file of a game with a problem and a grammar.
pub fn game_file(problem: &str, grammar: &str) -> Vec<u8> {
    let file = serde_json::json!({
        "pddl_domain": "", "grammar": grammar, "pddl_problem": problem,
    });
    file.to_string().into_bytes()
}

/// Plays a game that somebody made up. Every other step is the expert's; those between go through the
/// actions that there are.
///
/// # Panics
/// Where something does not hold that should.
pub fn play(world: &AlfWorld) {
    let mut session = world.session(0, 0).expect("there is a task");
    let mut expert = Expert::new(world, 0).expect("there is a task");
    let (mut observation, mut actions) = (String::new(), Texts::new());
    for step in 0..STEPS {
        observation.clear();
        actions.clear();
        session.observe(&mut observation);
        session.admissible(&mut actions);
        let length: usize = actions.iter().map(str::len).sum();
        assert!(observation.len() <= LONGEST && length <= LONGEST);
        assert!(actions.len() >= 3, "looking is always possible");
        let chosen = match step % 2 {
            0 => expert.act(&observation, &actions),
            _ => (7 * step + observation.len()) % actions.len(),
        };
        let action = actions.get(chosen).expect("what is taken is there");
        let done = session.step(action).expect("an action never fails");
        // The engine takes blanks off a command, as the original does.
        assert!(done.valid || action.trim() != action, "{action:?} was offered and refused");
        assert!(done.reward.is_finite() && done.success == done.terminated);
    }
    for command in world.walkthrough(0).iter().take(STEPS) {
        session.step(command).expect("a command never fails");
    }
}

/// An error that bad input earns is one line of bounded length that begins with its place, one of
/// `places`.
///
/// # Panics
/// Where it is not.
pub fn expect_readable(error: &Error, places: &[&str]) {
    let text = error.to_string();
    assert!(text.chars().count() < 5_000, "{} characters", text.chars().count());
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(places.iter().any(|place| text.starts_with(place)), "{text} names no place");
    assert_eq!(error.exit_code(), 2, "{text}");
}

/// Takes in a line that another program answered, as far as it goes without that program. The split
/// is one that the user asked for.
///
/// # Errors
/// Says why the line is no answer, or its description makes no sense.
///
/// # Panics
/// Where something does not hold that should.
pub fn answer(line: &[u8], split: &str) -> std::result::Result<(), String> {
    let is_plain = |text: &str| text.chars().count() <= 1_000 && !text.contains(char::is_control);
    let answer = read_answer(line).inspect_err(|error| assert!(is_plain(error), "{error:?}"))?;
    match answer {
        Answer::Description(described) => match tasks_of(&described, split) {
            Ok((first, count)) => {
                assert!(count > 0 && (first + count) as u64 <= described.tasks);
                assert!(described.tasks <= 1_000_000);
                Ok(())
            }
            Err(error) => {
                expect_readable(&error, &["setting "]);
                Err(error.to_string())
            }
        },
        Answer::State(state) => {
            assert!(state.reward.is_none_or(f32::is_finite));
            Ok(())
        }
        Answer::Refusal { error: said, .. } | Answer::Malformed { message: said, .. } => {
            assert!(is_plain(&said), "{said:?}");
            Ok(())
        }
    }
}

/// Does to the lines of an episode file what `proxmo credit` does. The file is `episodes.jsonl` in
/// errors.
///
/// # Errors
/// As the command.
#[cfg(feature = "cli")]
pub fn with_credit(text: &[u8], config: &crate::credit::CreditConfig) -> Result<String> {
    crate::cli::with_credit(text, config)
}

/// Reads a command line and resolves its settings.
///
/// # Errors
/// As the command.
#[cfg(feature = "cli")]
pub fn arguments(words: &[std::ffi::OsString]) -> Result<()> {
    crate::cli::check(words)
}

#[cfg(test)]
mod tests;
