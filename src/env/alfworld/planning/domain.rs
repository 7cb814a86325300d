//! The rules of a domain: its types, predicates and actions.

use super::form::{self, Content, Form};
use super::formula::{Atom, Formula, FormulaParser, MAX_ARGUMENTS, Predicate, Variable};
use super::types::Types;
use crate::error::Result;

/// Maximum number of parameters of an action.
pub(crate) const MAX_PARAMETERS: usize = 8;

/// Maximum number of effects of all actions.
const MAX_EFFECTS: usize = 1_000;

/// Maximum number of predicates, and of actions.
const MAX_RULES: usize = 256;

/// A parsed domain.
#[derive(Debug, Default)]
pub(crate) struct Domain {
    pub(super) types: Types,
    pub(super) predicates: Vec<Predicate>,
    /// Objects of all problems, with their types.
    pub(super) constants: Vec<(Box<str>, u16)>,
    pub(super) actions: Vec<ActionRule>,
}

/// An action.
#[derive(Debug)]
pub(super) struct ActionRule {
    pub(super) name: Box<str>,
    /// The names of the parameters without the question mark. Their slots are 0, 1, ….
    pub(super) names: Vec<Box<str>>,
    pub(super) parameters: Vec<Variable>,
    pub(super) precondition: Formula,
    pub(super) effects: Vec<EffectRule>,
}

/// An effect: for all values of the variables for which the condition holds, the fact becomes true or
/// false.
#[derive(Debug)]
pub(super) struct EffectRule {
    pub(super) variables: Vec<Variable>,
    pub(super) condition: Formula,
    pub(super) positive: bool,
    pub(super) atom: Atom,
}

impl Domain {
    /// Parses a domain in lower case.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let form = form::read(text, form::Place::Domain)?;
        let mut domain = Self::default();
        let (head, sections) = form.head()?;
        if head != "define" {
            return Err(form.error(format!("expected 'define', found '{head}'")));
        }
        for section in sections {
            if let (":types", rest) = section.head()? {
                domain.types.read(section, rest)?;
            }
        }
        for section in sections {
            let (name, rest) = section.head()?;
            match name {
                "domain" | ":requirements" | ":functions" | ":types" => {}
                ":predicates" => domain.read_predicates(rest)?,
                ":constants" => domain.read_constants(section, rest)?,
                ":action" => {}
                ":derived" => {
                    return Err(section.error("derived predicates are not supported"));
                }
                other => return Err(section.error(format!("unknown section '{other}'"))),
            }
        }
        // Actions can stand before the predicates that they use.
        let mut effects = 0;
        for section in sections {
            if let (":action", rest) = section.head()? {
                let action = domain.action(section, rest)?;
                effects += action.effects.len();
                if domain.actions.len() == MAX_RULES || effects > MAX_EFFECTS {
                    return Err(section
                        .error(format!("more than {MAX_RULES} actions or {MAX_EFFECTS} effects")));
                }
                domain.actions.push(action);
            }
        }
        domain.mark_fluents();
        Ok(domain)
    }

    fn read_predicates(&mut self, forms: &[Form]) -> Result<()> {
        for form in forms {
            let (name, arguments) = form.head()?;
            let arguments = form::typed(arguments)?;
            let arity = arguments.len();
            if arity > MAX_ARGUMENTS {
                let message = format!("'{name}' has more than {MAX_ARGUMENTS} arguments");
                return Err(form.error(message));
            }
            if self.predicates.len() == MAX_RULES {
                return Err(form.error(format!("more than {MAX_RULES} predicates")));
            }
            if self.predicates.iter().any(|known| *known.name == *name) {
                return Err(form.error(format!("the predicate '{name}' is declared twice")));
            }
            let kind = |kind: Option<&str>| self.types.find(kind.unwrap_or("object"));
            let kinds = arguments.iter().map(|(_, found)| kind(*found)).collect();
            self.predicates.push(Predicate { name: name.into(), arity, kinds, fluent: false });
        }
        Ok(())
    }

    fn read_constants(&mut self, section: &Form, forms: &[Form]) -> Result<()> {
        for (name, kind) in form::typed(forms)? {
            let kind = kind.unwrap_or("object");
            let number = self.types.find(kind);
            let number = number.ok_or_else(|| section.error(format!("unknown type '{kind}'")))?;
            self.constants.push((name.into(), number));
        }
        Ok(())
    }

    fn action(&self, section: &Form, rest: &[Form]) -> Result<ActionRule> {
        let Some((name, fields)) = rest.split_first() else {
            return Err(section.error("an action has no name"));
        };
        let name = name.word()?;
        if self.actions.iter().any(|known| *known.name == *name) {
            return Err(section.error(format!("the action '{name}' is declared twice")));
        }
        let mut parser = FormulaParser::new(&self.types, &self.predicates);
        let mut action = ActionRule {
            name: name.into(),
            names: Vec::new(),
            parameters: Vec::new(),
            precondition: Formula::always(),
            effects: Vec::new(),
        };
        for field in fields.chunks(2) {
            let [key, value] = field else {
                return Err(field[0].error("expected a value after this"));
            };
            match key.word()? {
                ":parameters" => {
                    let names = form::typed(value.list()?)?;
                    if names.len() > MAX_PARAMETERS {
                        return Err(value.error(format!("more than {MAX_PARAMETERS} parameters")));
                    }
                    let plain = |(name, _): &(&str, _)| name.trim_start_matches('?').into();
                    action.names = names.iter().map(plain).collect();
                    action.parameters = parser.declare(value, value.list()?)?;
                }
                ":precondition" => action.precondition = parser.formula(value)?,
                ":effect" => {
                    effect(&mut parser, value, Vec::new(), Vec::new(), &mut action.effects)?;
                }
                other => return Err(key.error(format!("unknown field '{other}'"))),
            }
        }
        Ok(action)
    }

    fn mark_fluents(&mut self) {
        for effect in self.actions.iter().flat_map(|action| &action.effects) {
            self.predicates[effect.atom.predicate as usize].fluent = true;
        }
    }

    /// The number of a predicate.
    pub(super) fn predicate(&self, name: &str) -> Option<u16> {
        self.predicates.iter().position(|known| *known.name == *name).map(|number| number as u16)
    }
}

/// Parses an effect inside conditions and for all values of variables.
fn effect<'a>(
    parser: &mut FormulaParser<'a, '_>,
    form: &Form<'a>,
    variables: Vec<Variable>,
    conditions: Vec<Formula>,
    effects: &mut Vec<EffectRule>,
) -> Result<()> {
    if effects.len() > MAX_EFFECTS {
        return Err(form.error(format!("more than {MAX_EFFECTS} effects")));
    }
    let (head, rest) = form.head()?;
    match (head, rest) {
        ("", _) => Ok(()),
        // Costs have no effect in a game.
        ("increase", _) => Ok(()),
        ("and", parts) => parts.iter().try_for_each(|part| {
            effect(parser, part, variables.clone(), conditions.clone(), effects)
        }),
        ("forall", [declared, part]) => parser.scoped(|parser| {
            let mut variables = variables;
            variables.extend(parser.declare(declared, declared.list()?)?);
            effect(parser, part, variables, conditions, effects)
        }),
        ("when", [condition, part]) => {
            let mut conditions = conditions;
            conditions.push(parser.formula(condition)?);
            effect(parser, part, variables, conditions, effects)
        }
        ("forall" | "when", _) => Err(form.error(format!("expected two lists after '{head}'"))),
        ("assign" | "decrease" | "scale-up" | "scale-down", _) => {
            Err(form.error(format!("the effect '{head}' is not supported")))
        }
        _ => {
            let (positive, form) = match rest {
                [part @ Form { content: Content::List(_), .. }] if head == "not" => (false, part),
                _ => (true, form),
            };
            let atom = parser.atom(form)?;
            let condition = Formula::All(conditions);
            effects.push(EffectRule { variables, condition, positive, atom });
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_with_all_forms_of_conditions_and_effects_are_read() {
        let domain = Domain::parse(
            "(define (domain d) (:requirements :adl) (:types box lid - thing thing)
             (:constants top - lid) (:functions (total-cost) - number)
             (:action shut :parameters (?b - box ?l - lid)
              :precondition (and (open ?b) (imply (on ?l ?b) (or (not (= ?l top)) (open ?b)))
                                 (forall (?o - box) (exists (?x - lid) (on ?x ?o))))
              :effect (and (not (open ?b)) (forall (?x - lid) (when (on ?x ?b) (on ?l ?b)))
                           (increase (total-cost) 1)))
             (:predicates (open ?b - box) (on ?l - lid ?b - box)))",
        )
        .unwrap();
        let action = &domain.actions[0];
        assert_eq!((action.names.len(), action.effects.len()), (2, 2));
        assert!(domain.types.includes(domain.types.find("thing").unwrap(), domain.constants[0].1));
        assert!(domain.predicates.iter().all(|predicate| predicate.fluent));
    }

    #[test]
    fn errors_in_a_domain_name_the_line_and_the_cause() {
        let action = |effect: &str| {
            format!(
                "(define (domain d)\n(:predicates (p ?a))\n(:action x :parameters (?a)\n:effect {effect}))"
            )
        };
        let cases = [
            (action("(q ?a)"), "pddl_domain, line 4: unknown predicate 'q'"),
            (action("(p ?b)"), "line 4: unknown variable '?b'"),
            (action("(p ?a ?a)"), "line 4: 'p' takes 1 arguments, found 2"),
            (action("(assign (cost) 1)"), "the effect 'assign' is not supported"),
            ("(define (:derived (p) (q)))".into(), "derived predicates are not supported"),
            ("(define (:rules))".into(), "unknown section ':rules'"),
            ("".into(), "pddl_domain, line 1: unexpected end"),
        ];
        for (text, expected) in cases {
            let message = Domain::parse(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message} does not contain {expected}");
        }
    }
}
