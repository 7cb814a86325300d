//! Compiled templates, written out for a state.

use super::query::{Bindings, Condition, Scene};

/// A compiled piece of text. References to rules have been replaced by what they refer to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Text(Box<str>),
    /// The task line, which differs from game to game.
    Task,
    /// The name of the object or receptacle that a slot stands for.
    Object(u8),
    Receptacle(u8),
    /// The first branch whose query has an answer; the last has no query.
    Choice(Box<[(Option<Box<[Condition]>>, Template)]>),
    List(Box<List>),
}

/// A text for each answer of a query, with what stands between them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List {
    pub(crate) query: Box<[Condition]>,
    pub(crate) body: Template,
    /// Where there is no answer.
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
                    let holds = |query: &Option<Box<[Condition]>>| {
                        query.as_deref().is_none_or(|query| scene.any(query, bindings))
                    };
                    if let Some((_, chosen)) = branches.iter().find(|(query, _)| holds(query)) {
                        chosen.write(scene, bindings, out);
                    }
                }
                Node::List(list) => list.write(scene, bindings, out),
            }
        }
    }
}

impl List {
    fn write(&self, scene: &Scene, bindings: &Bindings, out: &mut String) {
        // Which separator comes before an entry shows only once the next one is known.
        let mut waiting: Option<Bindings> = None;
        let mut written = 0;
        scene.answers(&self.query, bindings, &mut |answer| {
            if let Some(entry) = waiting.replace(*answer) {
                if written > 0 {
                    self.separator.write(scene, bindings, out);
                }
                self.body.write(scene, &entry, out);
                written += 1;
            }
            true
        });
        let Some(entry) = waiting else { return self.empty.write(scene, bindings, out) };
        if written > 0 {
            self.last_separator.write(scene, bindings, out);
        }
        self.body.write(scene, &entry, out);
    }
}
