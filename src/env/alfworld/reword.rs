//! Tasks in the words of other games.

use super::AlfWorld;
use super::game::Game;
use crate::env::{Environment, Session};
use crate::error::{Error, Result};

/// A task in the words of a game of its kind among `models`.
///
/// # Errors
/// Fails where there is no such game.
pub(super) fn reword(tasks: &AlfWorld, task: usize, models: &AlfWorld) -> Result<Game> {
    let game = tasks.game(task)?;
    let (line, model) = task_line(game, models)?;
    let at_task = |error| Error::input(&game.name, format!("in other words: {error}"));
    model.grammar.check_costs(&game.world, &line).map_err(at_task)?;
    Ok(Game {
        name: game.name.clone(),
        world: game.world.clone(),
        goal: game.goal.clone(),
        task: line.into(),
        grammar: model.grammar.clone(),
        walkthrough: walkthrough(tasks, task, model)?,
    })
}

/// The task line of `game` in the words of a published game of the same kind, and that game.
fn task_line<'a>(game: &Game, models: &'a AlfWorld) -> Result<(String, &'a Game)> {
    let kind = game.goal.kind();
    let words = |game: &Game| -> Vec<String> {
        let bare = |kind: &str| kind.strip_suffix("type").unwrap_or(kind).to_string();
        game.goal.named(&game.world).into_iter().flatten().map(bare).collect()
    };
    let wanted = words(game);
    if wanted.iter().any(String::is_empty) {
        let message = "its goal asks for something that the world does not have";
        return Err(Error::input(&game.name, message));
    }
    let model = models.games.iter().find(|model| {
        let words = words(model);
        let is_word =
            |word: &String| model.task.split(|c: char| !c.is_alphanumeric()).any(|w| w == word);
        model.goal.kind() == kind && words.len() == wanted.len() && words.iter().all(is_word)
    });
    let Some(model) = model else {
        let message = format!("there is no game of the kind {kind:?} to take the task line from");
        return Err(Error::input(models.task_name(0), message));
    };
    let words = words(model);
    let line: String = model
        .task
        .split_inclusive(|c: char| !c.is_alphanumeric())
        .map(|piece| {
            let word = piece.trim_end_matches(|c: char| !c.is_alphanumeric());
            match words.iter().position(|known| known == word) {
                Some(index) => format!("{}{}", wanted[index], &piece[word.len()..]),
                None => piece.to_string(),
            }
        })
        .collect();
    Ok((line, model))
}

/// The walkthrough in the commands of another game's grammar.
fn walkthrough(tasks: &AlfWorld, task: usize, model: &Game) -> Result<Vec<String>> {
    let mut session = tasks.session(task, 0)?;
    let mut commands = Vec::new();
    for command in tasks.walkthrough(task) {
        let action = session.find(command).ok_or_else(|| {
            let place = format!("{}: walkthrough", tasks.task_name(task));
            Error::input(place, format!("'{command}' is not possible"))
        })?;
        commands.push(model.grammar.command(&tasks.game(task)?.world, action));
        session.step(command)?;
    }
    Ok(commands)
}
