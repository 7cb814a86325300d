//! Tasks in the wording of other games.

use std::sync::Arc;

use super::config::AlfWorldConfig;
use super::game::{Game, Published, Rules};
use super::session::AlfWorldSession;
use crate::env::environment::Session;
use crate::error::{Error, Result};

/// A game in the wording of a game of its kind from `models`.
///
/// # Errors
/// Returns an error if `models` has no game of this kind.
pub(super) fn reword(game: &Arc<Game>, models: &[Arc<Game>]) -> Result<Game> {
    let (line, model) = task_line(game, models)?;
    let at_task =
        |error| Error::input(&game.name, format!("in the wording of another game: {error}"));
    let (own, grammar) = (game.published()?, &model.published()?.grammar);
    grammar.check_costs(&own.world, &line).map_err(at_task)?;
    Ok(Game {
        name: game.name.clone(),
        task: line.into(),
        rules: Rules::Published(Published { grammar: grammar.clone(), ..own.clone() }),
        walkthrough: walkthrough(game, model)?,
    })
}

/// The task line of `game` in the wording of a game of the same kind, and that game.
fn task_line<'a>(game: &Game, models: &'a [Arc<Game>]) -> Result<(String, &'a Game)> {
    let kind = game.kind();
    let kind_names = |game: &Game| -> Result<Vec<String>> {
        let name = |kind: &str| kind.strip_suffix("type").unwrap_or(kind).to_string();
        let Published { world, goal, .. } = game.published()?;
        Ok(goal.named_kinds(world).into_iter().flatten().map(name).collect())
    };
    let wanted = kind_names(game)?;
    if wanted.iter().any(String::is_empty) {
        let message = "its goal requires a kind that the world does not have";
        return Err(Error::input(&game.name, message));
    }
    let model = models.iter().find(|model| {
        let Ok(names) = kind_names(model) else { return false };
        let is_in_task =
            |word: &String| model.task.split(|c: char| !c.is_alphanumeric()).any(|w| w == word);
        model.kind() == kind && names.len() == wanted.len() && names.iter().all(is_in_task)
    });
    let Some(model) = model else {
        let message = format!("there is no game of the kind {kind:?} to take the task line from");
        return Err(Error::input(models.first().map_or("", |first| &first.name), message));
    };
    let names = kind_names(model)?;
    let line: String = model
        .task
        .split_inclusive(|c: char| !c.is_alphanumeric())
        .map(|piece| {
            let word = piece.trim_end_matches(|c: char| !c.is_alphanumeric());
            match names.iter().position(|known| known == word) {
                Some(index) => format!("{}{}", wanted[index], &piece[word.len()..]),
                None => piece.to_string(),
            }
        })
        .collect();
    Ok((line, model))
}

/// The walkthrough of a game in the commands of another game's grammar.
fn walkthrough(game: &Arc<Game>, model: &Game) -> Result<Vec<String>> {
    let (world, grammar) = (&game.published()?.world, &model.published()?.grammar);
    let mut session = AlfWorldSession::new(game.clone(), AlfWorldConfig::default());
    let mut commands = Vec::new();
    for command in &game.walkthrough {
        let action = session.find(command).ok_or_else(|| {
            let place = format!("{}: walkthrough", game.name);
            Error::input(place, format!("'{command}' is not possible"))
        })?;
        commands.push(grammar.command(world, action));
        session.step(command)?;
    }
    Ok(commands)
}
