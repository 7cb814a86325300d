//! Goals: formulas of a problem, checked on the typed world.

mod checks;

use super::fact::{Predicate, Sort};
use super::pddl::tokens::Tokens;
use super::state::{State, mark};
use super::world::{NONE, World};
use crate::error::Result;

/// How many variables a goal may have.
const VARIABLES: usize = 16;

/// How deep formulas may be nested.
const DEEPEST: usize = 64;

/// How many formulas a goal may have in all. The published games' have at most 17.
const MAX_FORMULAS: usize = 1_000;

/// A goal: there are things for which all of its tests hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    search: Search,
}

/// Variables that are given values one after the other. Each test is made as soon as the values
/// that it needs are there, so that most values are dropped at once.
#[derive(Debug, Clone, PartialEq)]
struct Search {
    /// Tests that need no variable of this search.
    before: Box<[Test]>,
    steps: Box<[Step]>,
}

#[derive(Debug, Clone, PartialEq)]
struct Step {
    variable: u8,
    sort: Sort,
    tests: Box<[Test]>,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// An object or a receptacle is of a kind, [`NONE`] where nothing in the world is.
    Kind {
        variable: u8,
        sort: Sort,
        kind: u8,
    },
    Fact(Predicate, u8, u8),
    Same {
        first: u8,
        second: u8,
        same: bool,
    },
    Any(Box<[Search]>),
}

type Values = [u8; VARIABLES];

/// The six kinds of task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskKind {
    Pick,
    Look,
    Clean,
    Heat,
    Cool,
    Pick2,
}

impl TaskKind {
    pub(crate) const ALL: [TaskKind; 6] = [
        TaskKind::Pick,
        TaskKind::Look,
        TaskKind::Clean,
        TaskKind::Heat,
        TaskKind::Cool,
        TaskKind::Pick2,
    ];

    /// The kinds' names as reports show them, in the order of [`TaskKind::ALL`].
    pub(crate) const NAMES: [&'static str; 6] = ["Pick", "Look", "Clean", "Heat", "Cool", "Pick2"];
}

impl Goal {
    /// Reads a goal from just after the word `:goal` to the bracket that ends its section.
    pub(crate) fn parse(tokens: &mut Tokens, world: &World) -> Result<Self> {
        let mut parser = Parser { world, variables: Vec::new(), count: 0, formulas: 0, depth: 0 };
        let mut found = Found::default();
        tokens.expect("(")?;
        parser.formula(tokens, &mut found)?;
        tokens.expect(")")?;
        let goal = Self { search: found.search(&[]) };
        goal.expect_few_checks(world).map_err(|message| tokens.error(message))?;
        Ok(goal)
    }

    /// Whether the goal is reached.
    pub(crate) fn is_reached(&self, world: &World, state: &State) -> bool {
        self.search.succeeds(world, state, &mut [0; VARIABLES])
    }

    /// The goal in the notation of a problem.
    pub(crate) fn formula(&self, world: &World) -> String {
        self.search.formula(world)
    }

    /// The kinds of things that the goal names: of the object that is wanted, of the receptacle that
    /// it goes to, and of the lamp that shines on it.
    pub(crate) fn named<'w>(&self, world: &'w World) -> [Option<&'w str>; 3] {
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

    /// The kind of task that this goal sets.
    pub(crate) fn kind(&self) -> TaskKind {
        let marked = |wanted: u8| {
            self.search.tests().any(
                |test| matches!(test, Test::Fact(Predicate::Marked(mark), ..) if *mark == wanted),
            )
        };
        let is_pair = |test: &Test| matches!(test, Test::Same { same: false, .. });
        if marked(mark::TOGGLED) {
            TaskKind::Look
        } else if marked(mark::CLEAN) {
            TaskKind::Clean
        } else if marked(mark::HOT) {
            TaskKind::Heat
        } else if marked(mark::COOL) {
            TaskKind::Cool
        } else if self.search.tests().any(is_pair) {
            TaskKind::Pick2
        } else {
            TaskKind::Pick
        }
    }
}

impl Search {
    fn tests(&self) -> impl Iterator<Item = &Test> {
        self.before.iter().chain(self.steps.iter().flat_map(|step| &step.tests))
    }

    fn formula(&self, world: &World) -> String {
        let tests: Vec<String> = self.tests().map(|test| test.formula(world)).collect();
        let tests = format!("(and {})", tests.join(" "));
        if self.steps.is_empty() {
            return tests;
        }
        let variables: Vec<String> = self
            .steps
            .iter()
            .map(|step| format!("?v{} - {}", step.variable, step.sort.name()))
            .collect();
        format!("(exists ({}) {tests})", variables.join(" "))
    }

    fn succeeds(&self, world: &World, state: &State, values: &mut Values) -> bool {
        all(&self.before, world, state, values) && try_steps(&self.steps, world, state, values)
    }
}

impl Test {
    fn formula(&self, world: &World) -> String {
        match self {
            // A kind of which there is nothing has no name here; an empty "or" is never true.
            Test::Kind { kind: NONE, .. } => "(or)".to_string(),
            Test::Kind { variable, sort: Sort::Receptacle, kind } => {
                format!("(receptacletype ?v{variable} {})", world.receptacle_kinds.get(*kind))
            }
            Test::Kind { variable, kind, .. } => {
                format!("(objecttype ?v{variable} {})", world.object_kinds.get(*kind))
            }
            Test::Fact(predicate, first, second) => {
                let second =
                    if predicate.is_binary() { format!(" ?v{second}") } else { String::new() };
                format!("({} ?v{first}{second})", predicate.name())
            }
            Test::Same { first, second, same: true } => format!("(= ?v{first} ?v{second})"),
            Test::Same { first, second, same: false } => format!("(not (= ?v{first} ?v{second}))"),
            Test::Any(searches) => {
                let formulas: Vec<String> =
                    searches.iter().map(|search| search.formula(world)).collect();
                format!("(or {})", formulas.join(" "))
            }
        }
    }
}

fn try_steps(steps: &[Step], world: &World, state: &State, values: &mut Values) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    (0..step.sort.count(world)).any(|value| {
        values[step.variable as usize] = value as u8;
        all(&step.tests, world, state, values) && try_steps(rest, world, state, values)
    })
}

fn all(tests: &[Test], world: &World, state: &State, values: &mut Values) -> bool {
    tests.iter().all(|test| match test {
        Test::Kind { variable, sort, kind } => {
            is_of_kind(world, *sort, values[*variable as usize] as usize, *kind)
        }
        Test::Fact(predicate, first, second) => {
            predicate.holds(world, state, values[*first as usize], values[*second as usize])
        }
        Test::Same { first, second, same } => {
            (values[*first as usize] == values[*second as usize]) == *same
        }
        Test::Any(searches) => searches.iter().any(|search| search.succeeds(world, state, values)),
    })
}

fn is_of_kind(world: &World, sort: Sort, value: usize, kind: u8) -> bool {
    let found = match sort {
        Sort::Receptacle => world.receptacles[value].kind,
        _ => world.objects[value].kind,
    };
    found == kind && found != NONE
}

/// The variables and tests of a formula that is being read.
#[derive(Default)]
struct Found {
    variables: Vec<(u8, Sort)>,
    /// Each test with a bit for every variable that it needs.
    tests: Vec<(Test, u16)>,
}

impl Found {
    /// Orders variables and tests. `known` are variables that have values beforehand.
    fn search(mut self, known: &[(u8, Sort)]) -> Search {
        // Objects first: of a kind there are few, and most tests need an object.
        self.variables.sort_by_key(|&(_, sort)| sort);
        self.tests.sort_by_key(|(test, _)| !matches!(test, Test::Kind { .. }));
        let mut ready = known.iter().fold(0u16, |mask, (variable, _)| mask | 1 << variable);
        let mut take = |ready: u16| -> Box<[Test]> {
            let is_ready = |(_, needs): &mut (Test, u16)| *needs & !ready == 0;
            self.tests.extract_if(.., is_ready).map(|(test, _)| test).collect()
        };
        let before = take(ready);
        let steps = self.variables.iter().map(|&(variable, sort)| {
            ready |= 1 << variable;
            Step { variable, sort, tests: take(ready) }
        });
        Search { before, steps: steps.collect() }
    }
}

struct Parser<'a, 'w> {
    world: &'w World,
    /// The variables in scope: name, number, sort.
    variables: Vec<(&'a str, u8, Sort)>,
    /// How many variables there have been in all.
    count: u8,
    /// How many formulas there have been in all.
    formulas: usize,
    /// How many formulas surround the one that is being read.
    depth: usize,
}

impl<'a> Parser<'a, '_> {
    /// Reads a formula after its opening bracket, and adds what it says to `found`.
    fn formula(&mut self, tokens: &mut Tokens<'a>, found: &mut Found) -> Result<()> {
        if self.depth == DEEPEST {
            return Err(tokens.error(format!("more than {DEEPEST} formulas inside each other")));
        }
        if self.formulas == MAX_FORMULAS {
            return Err(tokens.error(format!("more than {MAX_FORMULAS} formulas in a goal")));
        }
        self.formulas += 1;
        self.depth += 1;
        self.inner_formula(tokens, found)?;
        self.depth -= 1;
        Ok(())
    }

    fn inner_formula(&mut self, tokens: &mut Tokens<'a>, found: &mut Found) -> Result<()> {
        match tokens.word()? {
            "and" => loop {
                match tokens.word()? {
                    "(" => self.formula(tokens, found)?,
                    ")" => return Ok(()),
                    other => {
                        return Err(tokens.error(format!("expected a bracket, found '{other}'")));
                    }
                }
            },
            "or" => self.alternatives(tokens, found),
            "exists" => {
                let scope = self.variables.len();
                self.declarations(tokens, found)?;
                tokens.expect("(")?;
                self.formula(tokens, found)?;
                self.variables.truncate(scope);
                tokens.expect(")")
            }
            "not" => {
                tokens.expect("(")?;
                match tokens.word()? {
                    "=" => self.equality(tokens, found, false)?,
                    _ => return Err(tokens.error("in a goal, only '=' can be negated")),
                }
                tokens.expect(")")
            }
            "=" => self.equality(tokens, found, true),
            predicate => self.fact(predicate, tokens, found),
        }
    }

    fn alternatives(&mut self, tokens: &mut Tokens<'a>, found: &mut Found) -> Result<()> {
        let known: Vec<(u8, Sort)> =
            self.variables.iter().map(|&(_, variable, sort)| (variable, sort)).collect();
        let mut searches = Vec::new();
        loop {
            match tokens.word()? {
                "(" => {
                    let mut inner = Found::default();
                    self.formula(tokens, &mut inner)?;
                    searches.push(inner.search(&known));
                }
                ")" => break,
                other => return Err(tokens.error(format!("expected a bracket, found '{other}'"))),
            }
        }
        let needs = known.iter().fold(0, |mask, (variable, _)| mask | 1 << variable);
        found.tests.push((Test::Any(searches.into()), needs));
        Ok(())
    }

    fn declarations(&mut self, tokens: &mut Tokens<'a>, found: &mut Found) -> Result<()> {
        tokens.expect("(")?;
        let mut names = Vec::new();
        loop {
            match tokens.word()? {
                ")" if names.is_empty() => return Ok(()),
                ")" => return Err(tokens.error("a variable has no type")),
                "-" => {
                    let name = tokens.word()?;
                    let sort = Sort::parse(name)
                        .ok_or_else(|| tokens.error(format!("unknown type '{name}'")))?;
                    for name in names.drain(..) {
                        if self.count as usize == VARIABLES {
                            return Err(tokens.error(format!("more than {VARIABLES} variables")));
                        }
                        self.variables.push((name, self.count, sort));
                        found.variables.push((self.count, sort));
                        self.count += 1;
                    }
                }
                _ if names.len() == VARIABLES => {
                    return Err(tokens.error(format!("more than {VARIABLES} variables")));
                }
                name => names.push(name),
            }
        }
    }

    fn variable(&self, tokens: &mut Tokens<'a>) -> Result<(u8, Sort)> {
        let name = tokens.word()?;
        let known = self.variables.iter().rev().find(|(known, ..)| *known == name);
        known
            .map(|&(_, variable, sort)| (variable, sort))
            .ok_or_else(|| tokens.error(format!("unknown variable '{name}'")))
    }

    fn equality(&self, tokens: &mut Tokens<'a>, found: &mut Found, same: bool) -> Result<()> {
        let ((first, sort), (second, other)) = (self.variable(tokens)?, self.variable(tokens)?);
        if sort != other {
            return Err(tokens.error("'=' compares variables of two types"));
        }
        found.tests.push((Test::Same { first, second, same }, 1 << first | 1 << second));
        tokens.expect(")")
    }

    fn fact(&self, name: &str, tokens: &mut Tokens<'a>, found: &mut Found) -> Result<()> {
        let kinds = match name {
            "objecttype" => Some((Sort::Object, &self.world.object_kinds)),
            "receptacletype" => Some((Sort::Receptacle, &self.world.receptacle_kinds)),
            _ => None,
        };
        if let Some((expected, kinds)) = kinds {
            let (variable, sort) = self.variable(tokens)?;
            if sort != expected {
                return Err(tokens.error(format!("'{name}' of a variable of another type")));
            }
            let kind = kinds.position(tokens.word()?).unwrap_or(NONE);
            found.tests.push((Test::Kind { variable, sort, kind }, 1 << variable));
            return tokens.expect(")");
        }
        let (predicate, sorts) = Predicate::parse(name)
            .ok_or_else(|| tokens.error(format!("a goal with '{name}' is not known")))?;
        let mut variables = [0; 2];
        let mut needs = 0;
        for (variable, &expected) in variables.iter_mut().zip(sorts) {
            let (number, sort) = self.variable(tokens)?;
            if sort != expected {
                return Err(tokens.error(format!("'{name}' of a variable of another type")));
            }
            *variable = number;
            needs |= 1 << number;
        }
        found.tests.push((Test::Fact(predicate, variables[0], variables[1]), needs));
        tokens.expect(")")
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
    fn formulas_hold_where_something_fits_them() {
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
            let again =
                Goal::parse(&mut Tokens::new(&format!("{})", goal.formula(&world))), &world);
            let again = again.unwrap().is_reached(&world, &world.start);
            assert_eq!(again, expected, "{formula} written as {}", goal.formula(&world));
        }
    }

    #[test]
    fn other_formulas_are_refused() {
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
