//! The commands of a grammar: written for an action and parsed back.

use super::super::action::{Action, Verb};
use super::super::world::World;

/// The form of the commands of one verb.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    pub(crate) verb: Verb,
    pub(crate) pieces: Box<[Piece]>,
}

/// A piece of a command: a literal text or the name of an operand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Text(Box<str>),
    FirstObject,
    SecondObject,
    FirstReceptacle,
    SecondReceptacle,
}

/// Groups commands by their initial literal text, in the order of these texts.
pub(super) fn grouped(mut commands: Vec<Command>) -> Box<[Box<[Command]>]> {
    commands.sort_by(|a, b| a.opening().cmp(b.opening()));
    commands.chunk_by(|a, b| a.opening() == b.opening()).map(Into::into).collect()
}

impl Command {
    /// The initial literal text of the command.
    fn opening(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Appends the command for `action`.
    pub(crate) fn write(&self, world: &World, action: Action, out: &mut String) {
        for piece in &self.pieces {
            out.push_str(piece.text(world, action));
        }
    }

    /// Whether `text` is the command for `action`.
    pub(crate) fn matches(&self, world: &World, action: Action, text: &str) -> bool {
        let rest = self
            .pieces
            .iter()
            .try_fold(text, |rest, piece| rest.strip_prefix(piece.text(world, action)));
        rest == Some("")
    }

    /// The names of the operands in a command of this form, or `None` if `text` has another form. The
    /// name of a missing operand is empty.
    pub(super) fn names<'a>(&self, text: &'a str) -> Option<[&'a str; 2]> {
        let mut names = [""; 2];
        let mut count = 0;
        let mut rest = text;
        for (index, piece) in self.pieces.iter().enumerate() {
            if let Piece::Text(literal) = piece {
                rest = rest.strip_prefix(&**literal)?;
                continue;
            }
            let end = match self.pieces.get(index + 1) {
                Some(Piece::Text(literal)) => rest.find(&**literal)?,
                _ => rest.len(),
            };
            (*names.get_mut(count)?, rest) = rest.split_at(end);
            count += 1;
        }
        rest.is_empty().then_some(names)
    }

    /// Whether `text` can be this command with some operands.
    pub(crate) fn can_match(&self, text: &str) -> bool {
        text.starts_with(self.opening())
    }

    /// A number that sorts the command for `action` among the commands with the same opening.
    pub(crate) fn rank(&self, world: &World, action: Action) -> u32 {
        let mut ranks = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::FirstObject => Some(world.object_rank(action.first)),
            Piece::SecondObject => Some(world.object_rank(action.second)),
            Piece::FirstReceptacle => Some(world.receptacle_rank(action.first)),
            Piece::SecondReceptacle => Some(world.receptacle_rank(action.second)),
        });
        let first = ranks.next().unwrap_or(0);
        u32::from(first) << 16 | u32::from(ranks.next().unwrap_or(0))
    }
}

impl Piece {
    fn text<'a>(&'a self, world: &'a World, action: Action) -> &'a str {
        match self {
            Piece::Text(text) => text,
            Piece::FirstObject => world.object_names.get(action.first),
            Piece::SecondObject => world.object_names.get(action.second),
            Piece::FirstReceptacle => world.receptacle_names.get(action.first),
            Piece::SecondReceptacle => world.receptacle_names.get(action.second),
        }
    }
}
