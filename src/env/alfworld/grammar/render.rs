//! Compiled templates and their rendering for a state.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::query::{Bindings, Condition, Scene};

/// A compiled piece of text. References to rules have been expanded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// A literal text.
    Text(Box<str>),
    /// The task line, which differs from game to game.
    Task,
    /// The name of the object in a slot.
    Object(u8),
    /// The name of the receptacle in a slot.
    Receptacle(u8),
    /// The first branch whose query has an answer. The last branch has no query.
    Choice(Box<[Branch]>),
    /// A text for each answer of a query.
    List(Box<List>),
}

/// A text that is used if its query has an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Branch {
    pub(crate) query: Option<Box<[Condition]>>,
    pub(crate) template: Template,
}

/// A text for each answer of a query, with separators between them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List {
    pub(crate) query: Box<[Condition]>,
    pub(crate) body: Template,
    /// The text if there is no answer.
    pub(crate) empty: Template,
    pub(crate) separator: Template,
    pub(crate) last_separator: Template,
}

/// A compiled text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Template(pub(crate) Box<[Node]>);

impl Template {
    /// Appends the text to `out`.
    pub(crate) fn write(&self, scene: &Scene, bindings: &Bindings, out: &mut String) {
        for node in &self.0 {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Task => out.push_str(scene.task),
                Node::Object(slot) => {
                    out.push_str(scene.world.object_names.get(bindings.get(*slot)));
                }
                Node::Receptacle(slot) => {
                    out.push_str(scene.world.receptacle_names.get(bindings.get(*slot)));
                }
                Node::Choice(branches) => {
                    let holds = |branch: &&Branch| {
                        branch
                            .query
                            .as_deref()
                            .is_none_or(|query| scene.has_answer(query, bindings))
                    };
                    if let Some(chosen) = branches.iter().find(holds) {
                        chosen.template.write(scene, bindings, out);
                    }
                }
                Node::List(list) => list.write(scene, bindings, out),
            }
        }
    }
}

impl List {
    fn write(&self, scene: &Scene, bindings: &Bindings, out: &mut String) {
        if let Some(shuffle) = scene.shuffle {
            return self.write_shuffled(scene, bindings, &mut shuffle.borrow_mut(), out);
        }
        // The separator before an entry depends on whether another entry follows.
        let mut pending: Option<Bindings> = None;
        let mut written = 0;
        scene.for_each_answer(&self.query, bindings, &mut |answer| {
            if let Some(entry) = pending.replace(*answer) {
                self.write_entry(scene, &entry, written > 0, false, out);
                written += 1;
            }
            true
        });
        match pending {
            Some(entry) => self.write_entry(scene, &entry, written > 0, true, out),
            None => self.empty.write(scene, bindings, out),
        }
    }

    fn write_shuffled(
        &self,
        scene: &Scene,
        bindings: &Bindings,
        rng: &mut ChaCha8Rng,
        out: &mut String,
    ) {
        let mut answers = Vec::new();
        scene.for_each_answer(&self.query, bindings, &mut |answer| {
            answers.push(*answer);
            true
        });
        answers.shuffle(rng);
        // Entries contain no lists, so they do not need the generator, which is borrowed here.
        let scene = Scene { shuffle: None, ..*scene };
        if answers.is_empty() {
            self.empty.write(&scene, bindings, out);
        }
        for (index, answer) in answers.iter().enumerate() {
            self.write_entry(&scene, answer, index > 0, index + 1 == answers.len(), out);
        }
    }

    fn write_entry(
        &self,
        scene: &Scene,
        entry: &Bindings,
        is_next: bool,
        is_last: bool,
        out: &mut String,
    ) {
        if is_next {
            let separator = if is_last { &self.last_separator } else { &self.separator };
            separator.write(scene, entry, out);
        }
        self.body.write(scene, entry, out);
    }
}
