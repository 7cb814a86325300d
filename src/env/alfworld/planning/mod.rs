//! Games with rules of their own: the domain in the game file is compiled instead of being known.
//!
//! The semantics are those of the original: the translator of Fast Downward, which determines the
//! actions that exist and their order, and TextWorld, which writes the texts. An action without a
//! possible effect does not exist; a type that the domain does not declare has no objects; texts see
//! the effects of an action whether or not their conditions hold.

mod actions;
mod domain;
mod facts;
mod form;
mod formula;
mod problem;
mod query;
mod search;
#[cfg(all(test, feature = "fs"))]
mod tests;
mod texts;
mod types;

use std::sync::Arc;

use super::grammar::document::{self, Document};
use super::grammar::{REFUSAL, plain_rule};
use super::task_kind::TaskKind;
use crate::error::{Error, Result};
use actions::{CompiledAction, Ground, State};
pub(crate) use domain::Domain;
use formula::{Formula, MAX_VARIABLES};
use problem::{Objects, Problem};
use query::Bindings;
use search::{Search, SearchCompiler};
use texts::{ActionTemplates, Template, TextCompiler};

/// Maximum number of checks to list the possible actions or to apply one. The published games need at
/// most 3,000,000 by the estimate that this bounds.
const MAX_ACTION_CHECKS: u64 = 100_000_000;

/// Maximum number of possible actions at once, by the same estimate.
const MAX_ACTIONS: u64 = 2_000_000;

/// Maximum number of checks of a goal.
const MAX_GOAL_CHECKS: u64 = 20_000_000;

/// Maximum number of bytes of a grammar's text. The published games have 13,000.
const MAX_GRAMMAR: usize = 1 << 20;

/// A compiled game.
#[derive(Debug)]
pub(crate) struct CompiledGame {
    domain: Arc<Domain>,
    objects: Objects,
    actions: Box<[CompiledAction]>,
    templates: Box<[ActionTemplates]>,
    intro: Template,
    refusal: Box<str>,
    goal: Search,
    kind: TaskKind,
    start: State,
}

/// The state of an episode of a compiled game.
#[derive(Debug, Clone)]
pub(crate) struct CompiledPlay {
    state: State,
    last: Last,
}

/// The event that the observation describes.
#[derive(Debug, Clone, Copy)]
enum Last {
    Start,
    Action(Ground),
    Refusal,
}

impl CompiledGame {
    /// Compiles a problem and a grammar. Returns the game and its task line.
    ///
    /// # Errors
    /// Returns an error if a text cannot be read, if the goal cannot be reached, or if a step could
    /// take too long.
    pub(crate) fn new(domain: Arc<Domain>, problem: &str, grammar: &str) -> Result<(Self, String)> {
        if grammar.len() > MAX_GRAMMAR {
            let message = format!("expected at most {MAX_GRAMMAR} bytes, found {}", grammar.len());
            return Err(Error::input("grammar", message));
        }
        let document = document::parse(grammar)?;
        let task = plain_rule(&document, "task")?
            .ok_or_else(|| Error::input("grammar", "the rule 'task' is missing"))?;
        let refusal = plain_rule(&document, "refusal")?.unwrap_or_else(|| REFUSAL.to_string());
        let Problem { objects, start, goal } = Problem::parse(&domain, problem)?;
        let compiler = SearchCompiler {
            predicates: &domain.predicates,
            objects: &objects,
            start: &start,
            relaxed: false,
        };
        let actions: Box<[CompiledAction]> =
            domain.actions.iter().map(|rule| CompiledAction::new(rule, &compiler)).collect();
        check_costs(&domain, &actions)?;
        let (search, kind) = compile_goal(&domain, &compiler, &goal)?;
        let state = State {
            truth: start.clone(),
            shown: start.clone(),
            denied: facts::Facts::new(domain.predicates.len()),
        };
        let (intro, templates) = compile_texts(&document, &domain, &objects, &state)?;
        let game = Self {
            actions,
            templates,
            intro,
            refusal: refusal.into(),
            goal: search,
            kind,
            start: state,
            objects,
            domain,
        };
        Ok((game, task))
    }

    /// The kind of task.
    pub(crate) fn kind(&self) -> TaskKind {
        self.kind
    }

    /// The state at the start of an episode.
    pub(crate) fn start(&self) -> CompiledPlay {
        CompiledPlay { state: self.start.clone(), last: Last::Start }
    }

    /// Whether the goal is reached.
    pub(crate) fn is_reached(&self, play: &CompiledPlay) -> bool {
        self.goal.succeeds(&play.state.truth, &mut [0; MAX_VARIABLES])
    }

    /// Appends the observation.
    pub(crate) fn observe(&self, play: &CompiledPlay, out: &mut String) {
        let state = &play.state;
        match &play.last {
            Last::Start => self.intro.write(&self.objects, state, &Bindings::default(), out),
            Last::Refusal => out.push_str(&self.refusal),
            Last::Action(ground) => {
                let templates = &self.templates[ground.action as usize];
                let bindings = bindings(templates, ground);
                templates.feedback.write(&self.objects, state, &bindings, out);
            }
        }
    }

    /// The commands that are possible now, sorted and each of them once.
    pub(crate) fn admissible(&self, play: &CompiledPlay) -> Vec<String> {
        let mut commands: Vec<String> = self
            .possible(play, |_| true)
            .iter()
            .map(|ground| self.command(&play.state, ground))
            .collect();
        commands.sort_unstable();
        commands.dedup();
        commands
    }

    /// Whether a command is possible now.
    pub(crate) fn is_possible(&self, play: &CompiledPlay, command: &str) -> bool {
        self.find(play, command).is_some()
    }

    /// Plays a command. Returns whether it was possible.
    pub(crate) fn step(&self, play: &mut CompiledPlay, command: &str) -> bool {
        let Some(ground) = self.find(play, command) else {
            play.last = Last::Refusal;
            return false;
        };
        self.actions[ground.action as usize].apply(&ground, &mut play.state);
        play.last = Last::Action(ground);
        true
    }

    /// The action of a command. If several agents can do it, the first one in the original's order of
    /// actions does: actions that depend on no changing fact come first, in the order of names; the
    /// others follow with the last agent first.
    fn find(&self, play: &CompiledPlay, command: &str) -> Option<Ground> {
        let opens = |templates: &ActionTemplates| command.starts_with(templates.command.opening());
        let mut found = self.possible(play, opens);
        found.retain(|ground| self.command(&play.state, ground) == command);
        found.into_iter().min_by_key(|ground| {
            let depends = self.actions[ground.action as usize].depends_on_state;
            let [agent, rest @ ..] = ground.arguments;
            let agent = if depends { u16::MAX - agent } else { agent };
            (depends, agent, self.domain.actions[ground.action as usize].name.clone(), rest)
        })
    }

    /// The possible actions, of those whose texts are `wanted`.
    fn possible(
        &self,
        play: &CompiledPlay,
        wanted: impl Fn(&ActionTemplates) -> bool,
    ) -> Vec<Ground> {
        let mut found = Vec::new();
        for (number, (action, templates)) in self.actions.iter().zip(&self.templates).enumerate() {
            if wanted(templates) {
                action.possible(number as u16, &play.state, &mut found);
            }
        }
        found
    }

    fn command(&self, state: &State, ground: &Ground) -> String {
        let templates = &self.templates[ground.action as usize];
        let mut text = String::new();
        let bindings = bindings(templates, ground);
        templates.command.write(&self.objects, state, &bindings, &mut text);
        text
    }

    /// The names of all things of the type `object` that occur in initial facts.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.domain.types.find("object");
        let named = self.objects.names.iter().zip(&self.objects.kinds);
        named
            .filter(move |(name, kind)| Some(**kind) == own && !name.is_empty())
            .map(|(name, _)| &**name)
    }

    /// The names in the facts of a predicate of two arguments.
    pub(crate) fn pairs<'a>(
        &'a self,
        play: &'a CompiledPlay,
        predicate: &str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let number = self.domain.predicate(predicate);
        let facts = number.map_or(&[] as &[_], |number| play.state.truth.of(number));
        let name = |object: u16| self.objects.names.get(object as usize).map_or("", |name| name);
        facts.iter().map(move |&key| (name(facts::argument(key, 0)), name(facts::argument(key, 1))))
    }
}

fn bindings(templates: &ActionTemplates, ground: &Ground) -> Bindings {
    let mut bindings = Bindings::default();
    for (slot, value) in templates.slots.iter().zip(ground.arguments) {
        bindings.set(*slot, value);
    }
    bindings
}

fn check_costs(domain: &Domain, actions: &[CompiledAction]) -> Result<()> {
    let mut all = (0u64, 0u64);
    for (rule, action) in domain.actions.iter().zip(actions) {
        let checks = action.checks().max(action.changes());
        all = (all.0.saturating_add(checks), all.1.saturating_add(action.answers()));
        if all.0 > MAX_ACTION_CHECKS || all.1 > MAX_ACTIONS {
            let place = format!("pddl_domain, action '{}'", rule.name);
            let message = format!(
                "in this world a step can take more than {MAX_ACTION_CHECKS} checks or have more \
                 than {MAX_ACTIONS} possible actions"
            );
            return Err(Error::input(place, message));
        }
    }
    Ok(())
}

/// The compiled goal and its kind of task.
fn compile_goal(
    domain: &Domain,
    compiler: &SearchCompiler,
    goal: &Formula,
) -> Result<(Search, TaskKind)> {
    let search = compiler.search(&[], goal, 0);
    if search.checks() > MAX_GOAL_CHECKS {
        return Err(Error::input(
            "pddl_problem",
            format!("the goal can take more than {MAX_GOAL_CHECKS} tests to check in this world"),
        ));
    }
    let relaxed = SearchCompiler { relaxed: true, ..*compiler }.search(&[], goal, 0);
    if !relaxed.succeeds(compiler.start, &mut [0; MAX_VARIABLES]) {
        return Err(Error::input(
            "pddl_problem",
            "the goal cannot be reached: it requires a fact that no action can change",
        ));
    }
    let mentions = |wanted: &str| {
        let mut found = false;
        goal.each(&mut |formula| {
            if let Formula::Fact(atom) = formula {
                found |= *domain.predicates[atom.predicate as usize].name == *wanted;
            }
        });
        found
    };
    let mut is_pair = false;
    goal.each(&mut |formula| {
        let Formula::Not(part) = formula else { return };
        is_pair |= matches!(**part, Formula::Same(..));
    });
    let kind = match () {
        () if mentions("istoggled") => TaskKind::Look,
        () if mentions("isclean") => TaskKind::Clean,
        () if mentions("ishot") => TaskKind::Heat,
        () if mentions("iscool") => TaskKind::Cool,
        () if is_pair => TaskKind::Pick2,
        () => TaskKind::Pick,
    };
    Ok((search, kind))
}

fn compile_texts(
    document: &Document,
    domain: &Domain,
    objects: &Objects,
    start: &State,
) -> Result<(Template, Box<[ActionTemplates]>)> {
    let mut compiler = TextCompiler::new(document, domain, objects, start);
    let intro = compiler.intro()?;
    let templates = (0..domain.actions.len()).map(|number| compiler.action(number));
    Ok((intro, templates.collect::<Result<_>>()?))
}
