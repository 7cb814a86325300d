//! Entry points to the parsers of untrusted input, with the properties that must hold. The fuzz targets
//! in `fuzz/` and the tests of this module use them.

use std::sync::OnceLock;

use crate::env::alfworld::{AlfWorld, AlfWorldConfig, GameReader};
use crate::env::process::{Answer, read_answer, tasks_of};
use crate::env::{Environment, Session, Texts};
use crate::error::{Error, Result};

/// A valid grammar: the one of generated tasks.
pub const GRAMMAR: &str = crate::env::alfworld::HOUSEHOLD_GRAMMAR;

/// The name of the games of [`read_game`] and [`read_problem`] in errors.
pub const GAME_NAME: &str = "house/game";

/// Maximum number of bytes of an observation, and of all admissible actions together.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// Number of steps that are played in a game.
const STEPS: usize = 12;

/// Reads a game like [`AlfWorld::read`] but takes every domain for the published one, because the
/// repository does not contain its text.
///
/// # Errors
/// Returns the errors of [`AlfWorld::read`], apart from that about the domain.
pub fn read_game(bytes: &[u8]) -> Result<AlfWorld> {
    AlfWorld::read_with(
        &GameReader::accepting_any_domain(),
        GAME_NAME,
        bytes,
        AlfWorldConfig::default(),
    )
}

/// Reads a game with a given problem and the grammar [`GRAMMAR`], which is compiled only once.
///
/// # Errors
/// Returns the errors of [`AlfWorld::read`], apart from that about the domain.
pub fn read_problem(problem: &str) -> Result<AlfWorld> {
    static READER: OnceLock<GameReader> = OnceLock::new();
    let reader = READER.get_or_init(GameReader::accepting_any_domain);
    AlfWorld::read_with(reader, GAME_NAME, &game_file(problem, GRAMMAR), AlfWorldConfig::default())
}

/// The contents of a game file with a given problem and grammar.
pub fn game_file(problem: &str, grammar: &str) -> Vec<u8> {
    let file = serde_json::json!({
        "pddl_domain": "", "grammar": grammar, "pddl_problem": problem,
    });
    file.to_string().into_bytes()
}

/// Plays a game from untrusted input. The expert and arbitrary admissible actions alternate.
///
/// # Panics
/// Panics if a property of valid games does not hold.
pub fn play(world: &AlfWorld) {
    let mut session = world.session(0, 0).expect("there is a task");
    let mut expert = world.expert(0).expect("there is a task");
    let (mut observation, mut actions) = (String::new(), Texts::new());
    for step in 0..STEPS {
        observation.clear();
        actions.clear();
        session.observe(&mut observation);
        session.admissible(&mut actions);
        let length: usize = actions.iter().map(str::len).sum();
        assert!(observation.len() <= MAX_TEXT_BYTES && length <= MAX_TEXT_BYTES);
        assert!(actions.len() >= 3, "look, inventory and help are always admissible");
        let chosen = match step % 2 {
            0 => expert.act(&observation, &actions),
            _ => (7 * step + observation.len()) % actions.len(),
        };
        let action = actions.get(chosen).expect("the chosen action is admissible");
        let done = session.step(action).expect("an action never fails");
        // The engine trims white space from a command, like the original.
        assert!(done.valid || action.trim() != action, "{action:?} was admissible and rejected");
        assert!(done.reward.is_finite() && done.success == Some(done.terminated));
    }
    for command in world.walkthrough(0).iter().take(STEPS) {
        session.step(command).expect("a command never fails");
    }
}

/// Checks an error about invalid input: one line of bounded length that begins with one of `places`.
///
/// # Panics
/// Panics if the error has another form.
pub fn expect_readable(error: &Error, places: &[&str]) {
    let text = error.to_string();
    assert!(text.chars().count() < 5_000, "{} characters", text.chars().count());
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(
        places.iter().any(|place| text.starts_with(place)),
        "{text} does not begin with one of {places:?}"
    );
    assert_eq!(error.exit_code(), 2, "{text}");
}

/// Parses a line that an environment program answered and checks it as far as possible without the
/// program. `split` is the split that the user requested.
///
/// # Errors
/// Returns a message if the line is not an answer or its description is invalid.
///
/// # Panics
/// Panics if a property of answers does not hold.
pub fn check_answer(line: &[u8], split: &str) -> std::result::Result<(), String> {
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
            assert!(state.reward.is_none_or(f64::is_finite));
            Ok(())
        }
        Answer::Refusal { error: text, .. } | Answer::Malformed { message: text, .. } => {
            assert!(is_plain(&text), "{text:?}");
            Ok(())
        }
    }
}

/// Adds credit to the lines of an episode file, like `proxmo credit`. Errors name the file
/// `episodes.jsonl`.
///
/// # Errors
/// Returns the errors of the command.
#[cfg(feature = "cli")]
pub fn with_credit(text: &[u8], config: &crate::credit::CreditConfig) -> Result<String> {
    crate::cli::with_credit(text, config)
}

/// Parses a command line and resolves its settings.
///
/// # Errors
/// Returns the errors of the command.
#[cfg(feature = "cli")]
pub fn arguments(words: &[std::ffi::OsString]) -> Result<()> {
    crate::cli::check(words)
}

/// Reads a model's `config.json`, writes it and reads it again. Errors name the file `config.json`.
///
/// # Errors
/// Returns the errors of reading.
///
/// # Panics
/// Panics if the configuration changes by writing and reading.
#[cfg(feature = "lm")]
pub fn lm_config(text: &str) -> Result<()> {
    use crate::lm::ModelConfig;

    let read = |text: &str| {
        ModelConfig::parse(text).map_err(|message| Error::input("config.json", message))
    };
    let config = read(text)?;
    let written = config.to_json("float32").to_string();
    let again = read(&written).expect("a written configuration can be read");
    // The JSON reader rounds some numbers by one unit in the last place.
    let is_close = |one: f64, other: f64| (one - other).abs() <= 1e-12 * one.abs();
    assert!(is_close(config.rope_theta, again.rope_theta));
    assert!(is_close(config.norm_epsilon, again.norm_epsilon));
    assert_eq!(config.rope_scaling.is_some(), again.rope_scaling.is_some());
    let (rope_theta, norm_epsilon) = (config.rope_theta, config.norm_epsilon);
    let rope_scaling = config.rope_scaling.clone();
    assert_eq!(ModelConfig { rope_theta, norm_epsilon, rope_scaling, ..again }, config);
    Ok(())
}

/// Opens a model's folder or GGUF file, loads its tokenizer, if it has one, and its weights onto the CPU.
///
/// # Errors
/// Returns the errors of loading.
#[cfg(feature = "lm")]
pub fn load_model(path: &std::path::Path) -> Result<()> {
    let device = crate::device::open(crate::device::Backend::Flex, 0)?.device;
    crate::lm::Decoder::open(path, &device)?;
    crate::lm::Tokenizer::open_if_present(path).map(drop)
}

/// Adds the adapter of a folder to a small model: one layer of width 2 without grouped queries.
///
/// # Errors
/// Returns the errors of loading.
#[cfg(feature = "lm")]
pub fn load_adapter(folder: &std::path::Path) -> Result<()> {
    let config = r#"{"model_type": "llama", "vocab_size": 4, "hidden_size": 2, "intermediate_size": 2,
        "num_hidden_layers": 1, "num_attention_heads": 1, "max_position_embeddings": 8}"#;
    let refuse = |message: String| Error::input("config.json", message);
    let config = crate::lm::ModelConfig::parse(config).map_err(refuse)?;
    let device = crate::device::open(crate::device::Backend::Flex, 0)?.device;
    crate::lm::Decoder::untrained(&config, 0, &device)?.with_adapter(folder).map(drop)
}

/// Renders a chat with an untrusted template.
///
/// # Errors
/// Returns the errors of the template.
#[cfg(feature = "lm")]
pub fn render(template: &str) -> std::result::Result<String, String> {
    use crate::lm::{Chat, ChatTemplate};
    let chat = Chat {
        add_generation_prompt: true,
        ..Chat::new([("system", "Act."), ("user", " look "), ("assistant", "go to shelf 1")])
    };
    let special = [("bos_token".to_string(), "<s>".to_string())];
    ChatTemplate::parse(template)?.render(&chat, &special.into())
}

/// Encodes a text with an untrusted `tokenizer.json`, and decodes the tokens at once and one by one.
///
/// # Errors
/// Returns the errors of the tokenizer.
///
/// # Panics
/// Panics if a property of tokenizers does not hold.
#[cfg(feature = "lm")]
pub fn tokenize(file: &[u8], text: &str) -> std::result::Result<(), String> {
    use crate::lm::tokenizer::{Parts, Tokenizer};
    let tokenizer = Tokenizer::from_parts(Parts::parse(file)?)?;
    let ids = tokenizer.encode(text).map_err(|error| error.to_string())?;
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.size()));
    tokenizer.decode(&ids).map_err(|error| error.to_string())?;
    let mut stream = tokenizer.stream();
    for id in ids {
        stream.push(id).map_err(|error| error.to_string())?;
    }
    stream.finish().map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
