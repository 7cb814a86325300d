//! A planning problem, read into a typed world.

use std::collections::HashMap;

use super::super::goal::Goal;
use super::super::relation::Relation;
use super::super::state::{State, mark};
use super::super::world::{MOST, NONE, Object, Parts, Receptacle, World, ability, device};
use super::names;
use super::tokens::Tokens;
use crate::error::Result;

/// The most entities that a problem may declare. The published games declare at most 726, many of
/// which no fact speaks of.
const MAX_DECLARED: usize = 10_000;

/// The most bytes of an entity's id. The published games' have at most 87.
const LONGEST_ID: usize = 500;

/// What a problem says.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) world: World,
    pub(crate) goal: Goal,
}

/// The sort of an entity, as the domain declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Agent,
    Location,
    Receptacle,
    Object,
    ReceptacleType,
    ObjectType,
}

/// An entity that the problem declares.
struct Entity<'a> {
    id: &'a str,
    sort: Sort,
    /// Facts speak of it. The others, mere names of types, cannot be met in play.
    mentioned: bool,
}

/// A fact of the initial state: what it says, and of which entities.
type Fact = (Meaning, u32, u32);

/// The problem's declarations and facts, entities numbered as they were declared.
#[derive(Default)]
struct Facts<'a> {
    entities: Vec<Entity<'a>>,
    index: HashMap<&'a str, u32>,
    facts: Vec<Fact>,
}

/// Reads a problem. Case does not count in PDDL, so that `text` must be in lower case.
pub(crate) fn parse(text: &str) -> Result<Problem> {
    let mut tokens = Tokens::new(text);
    tokens.expect("(")?;
    tokens.expect("define")?;
    let mut facts = Facts::default();
    let mut goal = None;
    loop {
        match tokens.word()? {
            "(" => {}
            ")" => break,
            other => return Err(tokens.error(format!("expected a bracket, found '{other}'"))),
        }
        match tokens.word()? {
            "problem" | ":domain" | ":metric" | ":requirements" => tokens.skip()?,
            ":objects" => facts.read_entities(&mut tokens)?,
            ":init" => facts.read_init(&mut tokens)?,
            ":goal" => {
                goal = Some(tokens.clone());
                tokens.skip()?;
            }
            other => return Err(tokens.error(format!("unknown section '{other}'"))),
        }
    }
    let world = facts.world(&tokens)?;
    let mut goal = goal.ok_or_else(|| tokens.error("there is no (:goal …)"))?;
    let goal = Goal::parse(&mut goal, &world)?;
    Ok(Problem { world, goal })
}

impl<'a> Facts<'a> {
    fn read_entities(&mut self, tokens: &mut Tokens<'a>) -> Result<()> {
        let mut untyped = self.entities.len();
        loop {
            let id = match tokens.word()? {
                ")" if untyped == self.entities.len() => return Ok(()),
                ")" => return Err(tokens.error("the last objects have no type")),
                id => id,
            };
            if id != "-" {
                if id.len() > LONGEST_ID {
                    return Err(tokens.error(format!("an id has more than {LONGEST_ID} bytes")));
                }
                if self.entities.len() == MAX_DECLARED {
                    return Err(tokens.error(format!("more than {MAX_DECLARED} objects")));
                }
                self.index.insert(id, self.entities.len() as u32);
                self.entities.push(Entity { id, sort: Sort::Agent, mentioned: false });
                continue;
            }
            let sort = match tokens.word()? {
                "agent" => Sort::Agent,
                "location" => Sort::Location,
                "receptacle" => Sort::Receptacle,
                "object" => Sort::Object,
                "rtype" => Sort::ReceptacleType,
                "otype" => Sort::ObjectType,
                other => return Err(tokens.error(format!("unknown type '{other}'"))),
            };
            self.entities[untyped..].iter_mut().for_each(|entity| entity.sort = sort);
            untyped = self.entities.len();
        }
    }

    fn read_init(&mut self, tokens: &mut Tokens<'a>) -> Result<()> {
        loop {
            match tokens.word()? {
                ")" => return Ok(()),
                "(" => self.read_fact(tokens)?,
                other => return Err(tokens.error(format!("expected a fact, found '{other}'"))),
            }
        }
    }

    fn read_fact(&mut self, tokens: &mut Tokens<'a>) -> Result<()> {
        let name = tokens.word()?;
        if name == "=" {
            return tokens.skip(); // Costs, which play no part in a game.
        }
        let &(_, sorts, meaning) = PREDICATES
            .iter()
            .find(|(known, ..)| *known == name)
            .ok_or_else(|| tokens.error(format!("unknown predicate '{name}'")))?;
        let mut entities = [0; 2];
        for (entity, &sort) in entities.iter_mut().zip(sorts) {
            let id = tokens.word()?;
            let number = self.index.get(id).copied().unwrap_or(u32::MAX);
            match self.entities.get_mut(number as usize) {
                Some(found) if found.sort == sort => found.mentioned = true,
                Some(_) => {
                    return Err(tokens.error(format!("'{id}' is of the wrong type in a fact")));
                }
                None => return Err(tokens.error(format!("'{id}' has not been declared"))),
            }
            *entity = number;
        }
        self.facts.push((meaning, entities[0], entities[1]));
        tokens.expect(")")
    }

    /// Numbers the entities and puts the world together.
    fn world(&self, tokens: &Tokens) -> Result<World> {
        let mut order: Vec<usize> = (0..self.entities.len()).collect();
        order.retain(|&entity| self.entities[entity].mentioned);
        order.sort_by_key(|&entity| self.entities[entity].id);
        let mut numbers = vec![NONE; self.entities.len()];
        let mut counts = [0; 6];
        for &entity in &order {
            let count = &mut counts[self.entities[entity].sort as usize];
            if *count == MOST {
                return Err(tokens.error(format!("more than {MOST} entities of one type")));
            }
            numbers[entity] = *count as u8;
            *count += 1;
        }
        let ids: Vec<&str> = order.iter().map(|&entity| self.entities[entity].id).collect();
        let shown = names::shown(&ids);
        let of_sort = |sort: Sort, names: &[String]| -> Vec<String> {
            let of_sort = order.iter().zip(names).filter(|(e, _)| self.entities[**e].sort == sort);
            of_sort.map(|(_, name)| name.clone()).collect()
        };
        let ids: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
        let counted = |sort: Sort| counts[sort as usize];
        let mut parts = Parts {
            receptacles: vec![
                Receptacle { kind: NONE, location: NONE, device: 0 };
                counted(Sort::Receptacle)
            ],
            objects: vec![Object { kind: NONE, ability: 0 }; counted(Sort::Object)],
            locations: counted(Sort::Location) as u8,
            receptacle_names: of_sort(Sort::Receptacle, &shown),
            object_names: of_sort(Sort::Object, &shown),
            receptacle_kinds: of_sort(Sort::ReceptacleType, &ids).iter().collect(),
            object_kinds: of_sort(Sort::ObjectType, &ids).iter().collect(),
            fits: Relation::default(),
            nested: Relation::default(),
            start: State::new(counted(Sort::Receptacle), counted(Sort::Object)),
        };
        for &(meaning, first, second) in &self.facts {
            let (first, second) = (numbers[first as usize], numbers[second as usize]);
            meaning.add(&mut parts, first, second).map_err(|fault| tokens.error(fault))?;
        }
        Ok(World::new(parts))
    }
}

/// What a predicate says of its one or two entities.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    AgentAt,
    ReceptacleAt,
    ObjectAt,
    Inside,
    Nested,
    ReceptacleKind,
    ObjectKind,
    Fits,
    Openable,
    Opened,
    /// A bit of [`ability`].
    Able(u8),
    /// A bit of [`mark`].
    Marked(u8),
    /// Nothing that an action, a goal or a text of the domain asks for.
    Nothing,
}

/// The domain's predicates in lower case, the sorts of their arguments, and what they say. The most
/// frequent come first.
const PREDICATES: &[(&str, &[Sort], Meaning)] = &[
    ("cancontain", &[Sort::ReceptacleType, Sort::ObjectType], Meaning::Fits),
    ("objecttype", &[Sort::Object, Sort::ObjectType], Meaning::ObjectKind),
    ("objectatlocation", &[Sort::Object, Sort::Location], Meaning::ObjectAt),
    ("pickupable", &[Sort::Object], Meaning::Able(ability::PICK_UP)),
    ("inreceptacle", &[Sort::Object, Sort::Receptacle], Meaning::Inside),
    ("receptacletype", &[Sort::Receptacle, Sort::ReceptacleType], Meaning::ReceptacleKind),
    ("receptacleatlocation", &[Sort::Receptacle, Sort::Location], Meaning::ReceptacleAt),
    ("cleanable", &[Sort::Object], Meaning::Able(ability::CLEAN)),
    ("coolable", &[Sort::Object], Meaning::Able(ability::COOL)),
    ("openable", &[Sort::Receptacle], Meaning::Openable),
    ("heatable", &[Sort::Object], Meaning::Able(ability::HEAT)),
    ("isreceptacleobject", &[Sort::Object], Meaning::Able(ability::CONTAIN)),
    ("sliceable", &[Sort::Object], Meaning::Able(ability::SLICE)),
    ("toggleable", &[Sort::Object], Meaning::Able(ability::TOGGLE)),
    ("inreceptacleobject", &[Sort::Object, Sort::Object], Meaning::Nested),
    ("atlocation", &[Sort::Agent, Sort::Location], Meaning::AgentAt),
    ("opened", &[Sort::Receptacle], Meaning::Opened),
    ("iscool", &[Sort::Object], Meaning::Marked(mark::COOL)),
    ("ishot", &[Sort::Object], Meaning::Marked(mark::HOT)),
    ("isclean", &[Sort::Object], Meaning::Marked(mark::CLEAN)),
    ("issliced", &[Sort::Object], Meaning::Marked(mark::SLICED)),
    ("istoggled", &[Sort::Object], Meaning::Marked(mark::TOGGLED)),
    ("ison", &[Sort::Object], Meaning::Nothing),
    ("moveable", &[Sort::Object], Meaning::Nothing),
    ("isreceptacleobjectfull", &[Sort::Object], Meaning::Nothing),
    ("wasinreceptacle", &[Sort::Object, Sort::Receptacle], Meaning::Nothing),
    ("checked", &[Sort::Receptacle], Meaning::Nothing),
    ("full", &[Sort::Receptacle], Meaning::Nothing),
    ("examined", &[Sort::Location], Meaning::Nothing),
];

impl Meaning {
    /// Writes a fact into the world. The sorts of the entities have been checked, so that their
    /// numbers are indices.
    fn add(self, parts: &mut Parts, first: u8, second: u8) -> Result<(), &'static str> {
        let entity = first as usize;
        let start = &mut parts.start;
        match self {
            Meaning::AgentAt => only(&mut start.location, second)?,
            Meaning::ReceptacleAt => only(&mut parts.receptacles[entity].location, second)?,
            Meaning::ObjectAt => start.at.insert(second, first),
            Meaning::Inside => start.inside.insert(second, first),
            Meaning::Nested => parts.nested.insert(second, first),
            Meaning::ReceptacleKind => {
                let receptacle = &mut parts.receptacles[entity];
                only(&mut receptacle.kind, second)?;
                receptacle.device |= device_of(parts.receptacle_kinds.get(second));
            }
            Meaning::ObjectKind => {
                let object = &mut parts.objects[entity];
                only(&mut object.kind, second)?;
                if matches!(parts.object_kinds.get(second), "knifetype" | "butterknifetype") {
                    object.ability |= ability::CUT;
                }
            }
            Meaning::Fits => parts.fits.insert(first, second),
            Meaning::Openable => parts.receptacles[entity].device |= device::OPENABLE,
            Meaning::Opened => start.set_open(first, true),
            Meaning::Able(abilities) => parts.objects[entity].ability |= abilities,
            Meaning::Marked(marks) => start.set(first, marks),
            Meaning::Nothing => {}
        }
        Ok(())
    }
}

/// What the domain's actions use a type of receptacle for.
fn device_of(kind: &str) -> u8 {
    match kind {
        "sinktype" | "sinkbasintype" => device::SINK,
        "microwavetype" => device::MICROWAVE,
        "fridgetype" => device::FRIDGE,
        _ => 0,
    }
}

/// Sets what can be one thing only.
fn only(value: &mut u8, to: u8) -> Result<(), &'static str> {
    if *value != NONE && *value != to {
        return Err("an entity has two types, or a place is given twice");
    }
    *value = to;
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A kitchen with a mug on a table and an empty, closed fridge at one location.
    pub(crate) const KITCHEN: &str = "(define (problem p) (:domain d) (:objects
        agent1 - agent
        table_bar_1 fridge_bar_1 - receptacle
        mug_bar_1 mug_bar_2 unseen - object
        here there - location
        tabletype fridgetype - rtype ; both
        mugtype - otype)
        (:init (= (total-cost) 0) (atlocation agent1 here)
        (receptacletype table_bar_1 tabletype) (receptacleatlocation table_bar_1 there)
        (receptacletype fridge_bar_1 fridgetype) (receptacleatlocation fridge_bar_1 there)
        (openable fridge_bar_1) (cancontain fridgetype mugtype)
        (objecttype mug_bar_1 mugtype) (objecttype mug_bar_2 mugtype) (coolable mug_bar_1)
        (pickupable mug_bar_1) (inreceptacle mug_bar_1 table_bar_1)
        (objectatlocation mug_bar_1 there))
        (:goal (and (exists (?r - receptacle) (exists (?o - object) (and
        (objecttype ?o mugtype) (receptacletype ?r fridgetype) (inreceptacle ?o ?r)))))))";

    #[test]
    fn entities_of_facts_are_numbered_by_id() {
        let world = parse(KITCHEN).unwrap().world;
        assert_eq!(world.receptacle_names.iter().collect::<Vec<_>>(), ["fridge 1", "table 1"]);
        assert_eq!(world.object_names.iter().collect::<Vec<_>>(), ["mug 2", "mug 1"]);
        assert_eq!(world.start.inside.pairs().collect::<Vec<_>>(), [(1, 0)]);
        assert!(world.is(0, device::FRIDGE) && world.is(0, device::OPENABLE));
        assert!(world.can(0, ability::COOL) && !world.can(1, ability::COOL));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let cases = [
            (
                "(openable fridge_bar_1)",
                "(heavy fridge_bar_1)",
                "line 11: unknown predicate 'heavy'",
            ),
            (
                "(openable fridge_bar_1)",
                "(openable mug_bar_1)",
                "line 11: 'mug_bar_1' is of the wrong",
            ),
            ("(openable fridge_bar_1)", "(openable oven)", "line 11: 'oven' has not been declared"),
            ("here there - location", "here there - spot", "line 5: unknown type 'spot'"),
            ("(coolable mug_bar_1)", "(objecttype mug_bar_1", "line 13: '(' has not been declared"),
            ("(inreceptacle ?o ?r)", "(inreceptacle ?x ?r)", "line 16: unknown variable '?x'"),
            ("(:goal (and", "(:gaol (and", "unknown section ':gaol'"),
        ];
        for (part, other, expected) in cases {
            let text = KITCHEN.replace(part, other);
            assert_ne!(text, KITCHEN);
            let message = parse(&text).expect_err(other).to_string();
            assert!(message.contains(expected), "{message:?} does not say {expected:?}");
        }
        assert!(parse(&KITCHEN[..400]).unwrap_err().to_string().contains("ends too early"));
    }
}
