//! Goals: formulas of a planning problem, evaluated on the typed world.

mod cost;
mod parse;
mod search;

use super::pddl_tokens::Tokens;
use super::predicate::{Predicate, Sort};
use super::state::{State, mark};
use super::task_kind::TaskKind;
use super::world::World;
use crate::error::Result;
use search::{MAX_VARIABLES, Search, Test};

/// A goal, which is reached when there are things for which all of its tests hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    search: Search,
}

impl Goal {
    /// Parses a goal, from just after the word `:goal` to the bracket that ends its section.
    pub(crate) fn parse(tokens: &mut Tokens, world: &World) -> Result<Self> {
        let search = parse::parse(tokens, world)?;
        cost::check_cost(&search, world).map_err(|message| tokens.error(message))?;
        Ok(Self { search })
    }

    /// Whether the goal is reached.
    pub(crate) fn is_reached(&self, world: &World, state: &State) -> bool {
        self.search.succeeds(world, state, &mut [0; MAX_VARIABLES])
    }

    /// Whether the goal could be reached if actions could make all facts true that they change.
    pub(crate) fn is_possible(&self, world: &World) -> bool {
        self.search.is_possible(world, &mut [0; MAX_VARIABLES])
    }

    /// The goal in the notation of a problem.
    #[cfg(feature = "fs")]
    pub(crate) fn formula(&self, world: &World) -> String {
        self.search.formula(world)
    }

    /// The goal with another kind in place of the kind `old` of objects or receptacles.
    pub(crate) fn with_kind(&self, sort: Sort, old: u8, new: u8) -> Self {
        Self { search: self.search.with_kind(sort, old, new) }
    }

    /// Whether the goal requires an object with one of `marks`.
    pub(crate) fn requires(&self, marks: u8) -> bool {
        self.search.tests().any(
            |test| matches!(test, Test::Fact(Predicate::Marked(mark), ..) if *mark & marks != 0),
        )
    }

    /// The kinds that the goal names: those of the object, of the target receptacle and of the lamp.
    pub(crate) fn named_kinds<'w>(&self, world: &'w World) -> [Option<&'w str>; 3] {
        let of = |wanted: u8| {
            self.search.tests().find_map(|test| match test {
                Test::Kind { variable, sort: Sort::Receptacle, kind } if *variable == wanted => {
                    Some(world.receptacle_kinds.get(*kind))
                }
                Test::Kind { variable, kind, .. } if *variable == wanted => {
                    Some(world.object_kinds.get(*kind))
                }
                _ => None,
            })
        };
        let fact = |wanted: Predicate| {
            self.search.tests().find_map(|test| match test {
                Test::Fact(predicate, first, second) if *predicate == wanted => {
                    Some((*first, *second))
                }
                _ => None,
            })
        };
        let lamp = fact(Predicate::Marked(mark::TOGGLED)).map(|(lamp, _)| lamp);
        let held = fact(Predicate::Holds).map(|(_, object)| object);
        let inside = fact(Predicate::Inside);
        let object = held.or(inside.map(|(object, _)| object));
        let receptacle = inside.map(|(_, receptacle)| receptacle);
        [object, receptacle, lamp].map(|variable| of(variable?))
    }

    /// The kind of task of this goal.
    pub(crate) fn kind(&self) -> TaskKind {
        let is_pair = |test: &Test| matches!(test, Test::Same { same: false, .. });
        if self.requires(mark::TOGGLED) {
            TaskKind::Look
        } else if self.requires(mark::CLEAN) {
            TaskKind::Clean
        } else if self.requires(mark::HOT) {
            TaskKind::Heat
        } else if self.requires(mark::COOL) {
            TaskKind::Cool
        } else if self.search.tests().any(is_pair) {
            TaskKind::Pick2
        } else {
            TaskKind::Pick
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pddl::problem::tests::KITCHEN;
    use super::super::pddl::{Problem, parse};
    use super::*;

    fn goal(formula: &str) -> Result<(World, Goal)> {
        let (before, _) = KITCHEN.split_once("(:goal").unwrap();
        let Problem { world, goal } = parse(&format!("{before}(:goal {formula}))"))?;
        Ok((world, goal))
    }

    #[test]
    fn a_formula_holds_if_some_values_satisfy_it() {
        let cases = [
            ("(exists (?o - object) (coolable ?o))", true),
            ("(exists (?o - object) (heatable ?o))", false),
            ("(exists (?o - object) (and (objecttype ?o mugtype) (objecttype ?o cuptype)))", false),
            ("(exists (?o ?p - object) (and (pickupable ?o) (not (= ?o ?p))))", true),
            ("(exists (?o ?p - object) (and (coolable ?o) (coolable ?p) (not (= ?o ?p))))", false),
            ("(exists (?o ?p - object) (and (coolable ?o) (coolable ?p) (= ?o ?p)))", true),
            (
                "(or (exists (?o - object) (isclean ?o)) (exists (?r - receptacle) (openable ?r)))",
                true,
            ),
            ("(exists (?r - receptacle) (exists (?o - object) (inreceptacle ?o ?r)))", true),
            (
                "(exists (?o - object) (exists (?r - receptacle) (and (openable ?r) (inreceptacle ?o ?r))))",
                false,
            ),
            ("(exists (?a - agent ?l - location) (atlocation ?a ?l))", true),
            ("(exists (?a - agent ?o - object) (holds ?a ?o))", false),
        ];
        for (formula, expected) in cases {
            let (world, goal) = goal(formula).unwrap();
            assert_eq!(goal.is_reached(&world, &world.start), expected, "{formula}");
            let parsed_again =
                Goal::parse(&mut Tokens::new(&format!("{})", goal.formula(&world))), &world);
            let again = parsed_again.unwrap().is_reached(&world, &world.start);
            assert_eq!(again, expected, "{formula} written as {}", goal.formula(&world));
        }
    }

    #[test]
    fn unsupported_formulas_are_rejected() {
        for formula in [
            "(forall (?o - object) (coolable ?o))",
            "(not (exists (?o - object) (coolable ?o)))",
            "(exists (?o - object) (heavy ?o))",
            "(exists (?o - object) (openable ?o))",
            "(exists (?o) (coolable ?o))",
            "(exists (?o - object ?r - receptacle) (= ?o ?r))",
            &"(and ".repeat(100_000),
        ] {
            let message = goal(formula).expect_err(formula).to_string();
            assert!(message.starts_with("pddl_problem, line 1"), "{message}");
        }
    }
}
