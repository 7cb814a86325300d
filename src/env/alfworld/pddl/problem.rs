//! Parses a planning problem into a typed world.

use std::collections::HashMap;

use super::super::goal::Goal;
use super::super::id::{MAX_ENTITIES, NONE};
use super::super::pddl_tokens::Tokens;
use super::super::relation::Relation;
use super::super::state::{State, mark};
use super::super::world::{Object, Receptacle, World, WorldParts, ability, device};
use super::names;
use crate::error::Result;

/// Maximum number of entities that a problem declares. The published games declare at most 726; many
/// of these occur in no fact.
const MAX_DECLARED: usize = 10_000;

/// Maximum number of bytes of an entity's id. The published games have at most 87.
const MAX_ID_BYTES: usize = 500;

/// A parsed problem.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) world: World,
    pub(crate) goal: Goal,
}

/// The type of an entity in the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntityType {
    Agent,
    Location,
    Receptacle,
    Object,
    ReceptacleType,
    ObjectType,
}

/// A declared entity.
struct Entity<'a> {
    id: &'a str,
    entity_type: EntityType,
    /// Whether it occurs in a fact. Other entities are not part of the world.
    mentioned: bool,
}

/// A fact of the initial state: its predicate and the numbers of its entities.
type Fact = (InitPredicate, u32, u32);

/// The declarations and facts of a problem. Entities are numbered in the order of declaration.
#[derive(Default)]
struct ProblemBuilder<'a> {
    entities: Vec<Entity<'a>>,
    index: HashMap<&'a str, u32>,
    facts: Vec<Fact>,
}

/// Parses a problem. PDDL ignores case, so `text` must be in lower case.
pub(crate) fn parse(text: &str) -> Result<Problem> {
    let mut tokens = Tokens::new(text);
    tokens.expect("(")?;
    tokens.expect("define")?;
    let mut builder = ProblemBuilder::default();
    let mut goal = None;
    loop {
        match tokens.word()? {
            "(" => {}
            ")" => break,
            other => return Err(tokens.error(format!("expected a bracket, found '{other}'"))),
        }
        match tokens.word()? {
            "problem" | ":domain" | ":metric" | ":requirements" => tokens.skip()?,
            ":objects" => builder.read_entities(&mut tokens)?,
            ":init" => builder.read_init(&mut tokens)?,
            ":goal" => {
                goal = Some(tokens.clone());
                tokens.skip()?;
            }
            other => return Err(tokens.error(format!("unknown section '{other}'"))),
        }
    }
    let world = builder.world(&tokens)?;
    let mut goal = goal.ok_or_else(|| tokens.error("the section (:goal …) is missing"))?;
    let goal = Goal::parse(&mut goal, &world)?;
    Ok(Problem { world, goal })
}

impl<'a> ProblemBuilder<'a> {
    fn read_entities(&mut self, tokens: &mut Tokens<'a>) -> Result<()> {
        let mut untyped = self.entities.len();
        loop {
            let id = match tokens.word()? {
                ")" if untyped == self.entities.len() => return Ok(()),
                ")" => return Err(tokens.error("the last objects have no type")),
                id => id,
            };
            if id != "-" {
                if id.len() > MAX_ID_BYTES {
                    return Err(tokens.error(format!("an id has more than {MAX_ID_BYTES} bytes")));
                }
                if self.entities.len() == MAX_DECLARED {
                    return Err(tokens.error(format!("more than {MAX_DECLARED} objects")));
                }
                if self.index.insert(id, self.entities.len() as u32).is_some() {
                    return Err(tokens.error(format!("the object '{id}' is declared twice")));
                }
                self.entities.push(Entity { id, entity_type: EntityType::Agent, mentioned: false });
                continue;
            }
            let entity_type = match tokens.word()? {
                "agent" => EntityType::Agent,
                "location" => EntityType::Location,
                "receptacle" => EntityType::Receptacle,
                "object" => EntityType::Object,
                "rtype" => EntityType::ReceptacleType,
                "otype" => EntityType::ObjectType,
                other => return Err(tokens.error(format!("unknown type '{other}'"))),
            };
            self.entities[untyped..].iter_mut().for_each(|entity| entity.entity_type = entity_type);
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
            return tokens.skip(); // Costs have no effect in a game.
        }
        let &(_, entity_types, predicate) = PREDICATES
            .iter()
            .find(|(known, ..)| *known == name)
            .ok_or_else(|| tokens.error(format!("unknown predicate '{name}'")))?;
        let mut entities = [0; 2];
        for (entity, &entity_type) in entities.iter_mut().zip(entity_types) {
            let id = tokens.word()?;
            let number = self.index.get(id).copied().unwrap_or(u32::MAX);
            match self.entities.get_mut(number as usize) {
                Some(found) if found.entity_type == entity_type => found.mentioned = true,
                Some(_) => {
                    return Err(tokens.error(format!("'{id}' has the wrong type in a fact")));
                }
                None => return Err(tokens.error(format!("'{id}' has not been declared"))),
            }
            *entity = number;
        }
        self.facts.push((predicate, entities[0], entities[1]));
        tokens.expect(")")
    }

    /// Numbers the entities and builds the world.
    fn world(&self, tokens: &Tokens) -> Result<World> {
        let mut order: Vec<usize> = (0..self.entities.len()).collect();
        order.retain(|&entity| self.entities[entity].mentioned);
        order.sort_by_key(|&entity| self.entities[entity].id);
        let mut numbers = vec![NONE; self.entities.len()];
        let mut counts = [0; 6];
        for &entity in &order {
            let count = &mut counts[self.entities[entity].entity_type as usize];
            if *count == MAX_ENTITIES {
                return Err(tokens.error(format!("more than {MAX_ENTITIES} entities of one type")));
            }
            numbers[entity] = *count as u8;
            *count += 1;
        }
        if counts[EntityType::Agent as usize] > 1 {
            return Err(tokens.error("there is more than one agent"));
        }
        let ids: Vec<&str> = order.iter().map(|&entity| self.entities[entity].id).collect();
        let names = names::display_names(&ids);
        let of_type = |entity_type: EntityType, names: &[String]| -> Vec<String> {
            let of_type = order
                .iter()
                .zip(names)
                .filter(|(e, _)| self.entities[**e].entity_type == entity_type);
            of_type.map(|(_, name)| name.clone()).collect()
        };
        let ids: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
        let count_of = |entity_type: EntityType| counts[entity_type as usize];
        let mut parts = WorldParts {
            receptacles: vec![
                Receptacle { kind: NONE, location: NONE, device: 0 };
                count_of(EntityType::Receptacle)
            ],
            objects: vec![Object { kind: NONE, ability: 0 }; count_of(EntityType::Object)],
            locations: count_of(EntityType::Location) as u8,
            receptacle_names: of_type(EntityType::Receptacle, &names),
            object_names: of_type(EntityType::Object, &names),
            receptacle_kinds: of_type(EntityType::ReceptacleType, &ids).iter().collect(),
            object_kinds: of_type(EntityType::ObjectType, &ids).iter().collect(),
            fits: Relation::default(),
            nested: Relation::default(),
            start: State::new(count_of(EntityType::Receptacle), count_of(EntityType::Object)),
        };
        for &(predicate, first, second) in &self.facts {
            let (first, second) = (numbers[first as usize], numbers[second as usize]);
            predicate.add(&mut parts, first, second).map_err(|fault| tokens.error(fault))?;
        }
        Ok(World::new(parts))
    }
}

/// The effect of an initial fact on the world.
#[derive(Debug, Clone, Copy)]
enum InitPredicate {
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
    /// No effect: no action, goal or text uses the predicate.
    Ignored,
}

/// The predicates of the domain in lower case, the types of their arguments, and their effects. The
/// most frequent predicates come first.
const PREDICATES: &[(&str, &[EntityType], InitPredicate)] = &[
    ("cancontain", &[EntityType::ReceptacleType, EntityType::ObjectType], InitPredicate::Fits),
    ("objecttype", &[EntityType::Object, EntityType::ObjectType], InitPredicate::ObjectKind),
    ("objectatlocation", &[EntityType::Object, EntityType::Location], InitPredicate::ObjectAt),
    ("pickupable", &[EntityType::Object], InitPredicate::Able(ability::PICK_UP)),
    ("inreceptacle", &[EntityType::Object, EntityType::Receptacle], InitPredicate::Inside),
    (
        "receptacletype",
        &[EntityType::Receptacle, EntityType::ReceptacleType],
        InitPredicate::ReceptacleKind,
    ),
    (
        "receptacleatlocation",
        &[EntityType::Receptacle, EntityType::Location],
        InitPredicate::ReceptacleAt,
    ),
    ("cleanable", &[EntityType::Object], InitPredicate::Able(ability::CLEAN)),
    ("coolable", &[EntityType::Object], InitPredicate::Able(ability::COOL)),
    ("openable", &[EntityType::Receptacle], InitPredicate::Openable),
    ("heatable", &[EntityType::Object], InitPredicate::Able(ability::HEAT)),
    ("isreceptacleobject", &[EntityType::Object], InitPredicate::Able(ability::CONTAIN)),
    ("sliceable", &[EntityType::Object], InitPredicate::Able(ability::SLICE)),
    ("toggleable", &[EntityType::Object], InitPredicate::Able(ability::TOGGLE)),
    ("inreceptacleobject", &[EntityType::Object, EntityType::Object], InitPredicate::Nested),
    ("atlocation", &[EntityType::Agent, EntityType::Location], InitPredicate::AgentAt),
    ("opened", &[EntityType::Receptacle], InitPredicate::Opened),
    ("iscool", &[EntityType::Object], InitPredicate::Marked(mark::COOL)),
    ("ishot", &[EntityType::Object], InitPredicate::Marked(mark::HOT)),
    ("isclean", &[EntityType::Object], InitPredicate::Marked(mark::CLEAN)),
    ("issliced", &[EntityType::Object], InitPredicate::Marked(mark::SLICED)),
    ("istoggled", &[EntityType::Object], InitPredicate::Marked(mark::TOGGLED)),
    ("ison", &[EntityType::Object], InitPredicate::Ignored),
    ("moveable", &[EntityType::Object], InitPredicate::Ignored),
    ("isreceptacleobjectfull", &[EntityType::Object], InitPredicate::Ignored),
    ("wasinreceptacle", &[EntityType::Object, EntityType::Receptacle], InitPredicate::Ignored),
    ("checked", &[EntityType::Receptacle], InitPredicate::Ignored),
    ("full", &[EntityType::Receptacle], InitPredicate::Ignored),
    ("examined", &[EntityType::Location], InitPredicate::Ignored),
];

impl InitPredicate {
    /// Adds a fact to the world. The types of the entities have been checked, so their numbers are
    /// valid indices.
    fn add(self, parts: &mut WorldParts, first: u8, second: u8) -> Result<(), &'static str> {
        let entity = first as usize;
        let start = &mut parts.start;
        match self {
            InitPredicate::AgentAt => set_once(&mut start.location, second)?,
            InitPredicate::ReceptacleAt => {
                set_once(&mut parts.receptacles[entity].location, second)?
            }
            InitPredicate::ObjectAt => start.at.insert(second, first),
            InitPredicate::Inside => start.inside.insert(second, first),
            InitPredicate::Nested => parts.nested.insert(second, first),
            InitPredicate::ReceptacleKind => {
                let receptacle = &mut parts.receptacles[entity];
                set_once(&mut receptacle.kind, second)?;
                receptacle.device |= device_of(parts.receptacle_kinds.get(second));
            }
            InitPredicate::ObjectKind => {
                let object = &mut parts.objects[entity];
                set_once(&mut object.kind, second)?;
                if matches!(parts.object_kinds.get(second), "knifetype" | "butterknifetype") {
                    object.ability |= ability::CUT;
                }
            }
            InitPredicate::Fits => parts.fits.insert(first, second),
            InitPredicate::Openable => parts.receptacles[entity].device |= device::OPENABLE,
            InitPredicate::Opened => start.set_open(first, true),
            InitPredicate::Able(abilities) => parts.objects[entity].ability |= abilities,
            InitPredicate::Marked(marks) => start.add_marks(first, marks),
            InitPredicate::Ignored => {}
        }
        Ok(())
    }
}

/// The device bits of a kind of receptacle.
fn device_of(kind: &str) -> u8 {
    match kind {
        "sinktype" | "sinkbasintype" => device::SINK,
        "microwavetype" => device::MICROWAVE,
        "fridgetype" => device::FRIDGE,
        _ => 0,
    }
}

/// Sets a value that can be set only once.
fn set_once(value: &mut u8, to: u8) -> Result<(), &'static str> {
    if *value != NONE && *value != to {
        return Err("an entity has two kinds or two locations");
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
    fn entities_in_facts_are_numbered_by_id() {
        let world = parse(KITCHEN).unwrap().world;
        assert_eq!(world.receptacle_names.iter().collect::<Vec<_>>(), ["fridge 1", "table 1"]);
        assert_eq!(world.object_names.iter().collect::<Vec<_>>(), ["mug 2", "mug 1"]);
        assert_eq!(world.start.inside.pairs().collect::<Vec<_>>(), [(1, 0)]);
        assert!(world.is(0, device::FRIDGE) && world.is(0, device::OPENABLE));
        assert!(world.can(0, ability::COOL) && !world.can(1, ability::COOL));
    }

    #[test]
    fn errors_name_the_line() {
        let cases = [
            (
                "(openable fridge_bar_1)",
                "(heavy fridge_bar_1)",
                "line 11: unknown predicate 'heavy'",
            ),
            (
                "(openable fridge_bar_1)",
                "(openable mug_bar_1)",
                "line 11: 'mug_bar_1' has the wrong type",
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
        assert!(parse(&KITCHEN[..400]).unwrap_err().to_string().contains("unexpected end"));
    }
}
