//! The actions of a domain in one problem.

use super::domain::{ActionRule, EffectRule, MAX_PARAMETERS};
use super::facts::{Facts, Key};
use super::formula::{Formula, MAX_VARIABLES};
use super::search::{Fact, Search, SearchCompiler, Values};

/// An action with the values of its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ground {
    /// The number of the action in the domain.
    pub(super) action: u16,
    pub(super) arguments: [u16; MAX_PARAMETERS],
}

impl Ground {
    fn values(&self) -> Values {
        let mut values = [0; MAX_VARIABLES];
        values[..MAX_PARAMETERS].copy_from_slice(&self.arguments);
        values
    }
}

/// A compiled action.
#[derive(Debug)]
pub(super) struct CompiledAction {
    possible: Search,
    parameters: usize,
    /// The facts that the precondition requires to hold or not to hold.
    required: Box<[(Fact, bool)]>,
    /// Whether the precondition has a part that actions can change.
    pub(super) depends_on_state: bool,
    effects: Box<[CompiledEffect]>,
}

#[derive(Debug)]
struct CompiledEffect {
    /// The values of the effect's own variables for which its condition holds.
    condition: Search,
    /// The same, but every fact that actions can change is taken as possible.
    relaxed: Search,
    is_conditional: bool,
    positive: bool,
    fact: Fact,
}

/// The facts in the order in which texts see changes: what holds, what was shown to hold, and what was
/// shown to hold no longer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub(super) truth: Facts,
    /// The facts that texts show. Like in the original, the effects of an action change them even if
    /// the condition of an effect does not hold.
    pub(super) shown: Facts,
    /// The facts that an action has made false: those for which `not_…` holds in texts.
    pub(super) denied: Facts,
}

impl CompiledAction {
    pub(super) fn new(rule: &ActionRule, compiler: &SearchCompiler) -> Self {
        let mut required = Vec::new();
        literals(&rule.precondition, true, compiler, &mut required);
        let mut depends_on_state = false;
        rule.precondition.each(&mut |formula| {
            if let Formula::Fact(atom) = formula {
                depends_on_state |= compiler.predicates[atom.predicate as usize].fluent;
            }
        });
        let bound = (1u32 << rule.parameters.len()) - 1;
        let effect = |effect: &EffectRule| {
            let relaxed = SearchCompiler { relaxed: true, ..*compiler };
            CompiledEffect {
                condition: compiler.search(&effect.variables, &effect.condition, bound),
                relaxed: relaxed.search(&effect.variables, &effect.condition, bound),
                is_conditional: effect.condition != Formula::All(Vec::new()),
                positive: effect.positive,
                fact: Fact::new(&effect.atom, compiler.objects),
            }
        };
        Self {
            possible: compiler.search(&rule.parameters, &rule.precondition, 0),
            parameters: rule.parameters.len(),
            required: required.into(),
            depends_on_state,
            effects: rule.effects.iter().map(effect).collect(),
        }
    }

    /// Upper bound on the number of checks to find the possible values of the parameters.
    pub(super) fn checks(&self) -> u64 {
        let of_effects =
            self.effects.iter().map(|effect| effect.relaxed.checks()).fold(1, u64::saturating_add);
        self.possible.checks().saturating_add(self.answers().saturating_mul(of_effects))
    }

    /// Upper bound on the number of changes that the action makes.
    pub(super) fn changes(&self) -> u64 {
        let of = |effect: &CompiledEffect| {
            effect.condition.checks().saturating_add(effect.relaxed.checks())
        };
        self.effects.iter().map(of).fold(0, u64::saturating_add)
    }

    /// Upper bound on the number of possible values of the parameters.
    pub(super) fn answers(&self) -> u64 {
        self.possible.answers()
    }

    /// Appends the possible values of the parameters in a state.
    pub(super) fn possible(&self, number: u16, state: &State, out: &mut Vec<Ground>) {
        let mut values = [0; MAX_VARIABLES];
        let start = out.len();
        self.possible.each(&state.truth, &mut values, &mut |values| {
            let mut arguments = [0; MAX_PARAMETERS];
            let count = self.parameters.min(MAX_PARAMETERS);
            arguments[..count].copy_from_slice(&values[..count]);
            let ground = Ground { action: number, arguments };
            if self.is_effective(&ground, state) {
                out.push(ground);
            }
            true
        });
        // Variables inside the precondition can give the same values more than once.
        out[start..].sort_unstable();
        let mut place = start;
        for index in start..out.len() {
            if index == start || out[index] != out[index - 1] {
                out.swap(place, index);
                place += 1;
            }
        }
        out.truncate(place);
    }

    /// Whether the action has an effect that its precondition does not already state. Like in the
    /// original, other actions do not exist.
    fn is_effective(&self, ground: &Ground, state: &State) -> bool {
        let mut values = ground.values();
        let required: Vec<(u16, Option<Key>, bool)> = self
            .required
            .iter()
            .map(|(fact, holds)| (fact.predicate, fact.key(&values), *holds))
            .collect();
        self.effects.iter().any(|effect| {
            !effect.relaxed.each(&state.truth, &mut values, &mut |values| {
                let key = effect.fact.key(values);
                let stated = required.contains(&(effect.fact.predicate, key, effect.positive));
                let is_added = !effect.positive
                    && self.effects.iter().any(|other| {
                        other.positive
                            && !other.is_conditional
                            && other.fact.predicate == effect.fact.predicate
                            && other.fact.key(values) == key
                    });
                key.is_none() || stated || is_added
            })
        })
    }

    /// Applies the action. It must be possible.
    pub(super) fn apply(&self, ground: &Ground, state: &mut State) {
        let mut values = ground.values();
        let mut changes = Vec::new();
        let mut shown = Vec::new();
        for effect in &self.effects {
            let mut collect = |search: &Search, out: &mut Vec<(bool, u16, Key)>| {
                search.each(&state.truth, &mut values, &mut |values| {
                    let key = effect.fact.key(values);
                    out.extend(key.map(|key| (effect.positive, effect.fact.predicate, key)));
                    true
                });
            };
            collect(&effect.condition, &mut changes);
            collect(&effect.relaxed, &mut shown);
        }
        // An addition counts more than a removal of the same fact.
        for &(_, predicate, key) in changes.iter().filter(|(positive, ..)| !positive) {
            state.truth.remove(predicate, key);
        }
        for &(_, predicate, key) in changes.iter().filter(|(positive, ..)| *positive) {
            state.truth.insert(predicate, key);
        }
        let unconditional: Vec<(u16, Option<Key>)> = self
            .effects
            .iter()
            .filter(|effect| effect.positive && !effect.is_conditional)
            .map(|effect| (effect.fact.predicate, effect.fact.key(&ground.values())))
            .collect();
        for &(_, predicate, key) in shown.iter().filter(|(positive, ..)| *positive) {
            state.shown.insert(predicate, key);
            state.denied.remove(predicate, key);
        }
        for &(_, predicate, key) in shown.iter().filter(|(positive, ..)| !positive) {
            if !unconditional.contains(&(predicate, Some(key))) {
                state.shown.remove(predicate, key);
                state.denied.insert(predicate, key);
            }
        }
    }
}

/// The facts that a formula requires to hold or not to hold.
fn literals(
    formula: &Formula,
    holds: bool,
    compiler: &SearchCompiler,
    out: &mut Vec<(Fact, bool)>,
) {
    match (formula, holds) {
        (Formula::All(parts), true) | (Formula::Any(parts), false) => {
            parts.iter().for_each(|part| literals(part, holds, compiler, out));
        }
        (Formula::Not(part), _) => literals(part, !holds, compiler, out),
        (Formula::Fact(atom), _) => {
            let slots = formula.needs();
            // A variable of a quantifier inside has no value here; those are not visited.
            if slots < 1 << MAX_PARAMETERS {
                out.push((Fact::new(atom, compiler.objects), holds));
            }
        }
        _ => {}
    }
}
