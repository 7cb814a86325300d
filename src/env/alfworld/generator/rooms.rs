//! The rooms of a household and their kinds of receptacles and objects.

use super::super::world::{ability, device};

/// Rooms, as bits.
pub(super) mod room {
    pub(crate) const KITCHEN: u8 = 1;
    pub(crate) const BEDROOM: u8 = 2;
    pub(crate) const LIVING: u8 = 4;
    pub(crate) const BATH: u8 = 8;
    pub(crate) const ALL: [u8; 4] = [KITCHEN, BEDROOM, LIVING, BATH];
}

/// The types of place for objects, as bits.
mod place {
    pub(super) const SURFACE: u16 = 1;
    pub(super) const STORAGE: u16 = 2;
    pub(super) const SEAT: u16 = 4;
    pub(super) const FRIDGE: u16 = 8;
    pub(super) const MICROWAVE: u16 = 16;
    pub(super) const SINK: u16 = 32;
    pub(super) const STOVE: u16 = 64;
    pub(super) const BIN: u16 = 128;
    pub(super) const BATH: u16 = 256;
    pub(super) const RACK: u16 = 512;
}

use place::{BATH, BIN, FRIDGE, MICROWAVE, RACK, SEAT, SINK, STORAGE, STOVE, SURFACE};
use room::{BEDROOM, KITCHEN, LIVING};

/// A kind of receptacle.
#[derive(Debug)]
pub(super) struct ReceptacleKind {
    pub(super) name: &'static str,
    /// The rooms that can contain it: bits of [`room`].
    pub(super) rooms: u8,
    /// Its type of place: bits of [`place`].
    place: u16,
    /// Bits of [`device`].
    pub(super) device: u8,
    /// Maximum number of receptacles of this kind in a room.
    pub(super) max_count: usize,
}

const fn receptacle(
    name: &'static str,
    rooms: u8,
    place: u16,
    device: u8,
    max_count: usize,
) -> ReceptacleKind {
    ReceptacleKind { name, rooms, place, device, max_count }
}

const OPENABLE: u8 = device::OPENABLE;
/// No maximum, for kinds that fill large rooms.
const UNLIMITED: usize = usize::MAX;
const ANYWHERE: u8 = KITCHEN | BEDROOM | LIVING | room::BATH;

pub(super) const RECEPTACLES: &[ReceptacleKind] = &[
    receptacle("fridge", KITCHEN, FRIDGE, device::FRIDGE | OPENABLE, 1),
    receptacle("microwave", KITCHEN, MICROWAVE, device::MICROWAVE | OPENABLE, 1),
    receptacle("sink", KITCHEN | room::BATH, SINK, device::SINK, 1),
    receptacle("countertop", KITCHEN | room::BATH, SURFACE, 0, 3),
    receptacle("diningtable", KITCHEN | LIVING, SURFACE, 0, 2),
    receptacle("stoveburner", KITCHEN, STOVE, 0, 4),
    receptacle("cabinet", KITCHEN | LIVING | room::BATH, STORAGE, OPENABLE, UNLIMITED),
    receptacle("drawer", ANYWHERE, STORAGE, OPENABLE, UNLIMITED),
    receptacle("shelf", ANYWHERE, SURFACE, 0, UNLIMITED),
    receptacle("garbagecan", ANYWHERE, BIN, 0, 1),
    receptacle("sidetable", BEDROOM | LIVING, SURFACE, 0, 3),
    receptacle("desk", BEDROOM | LIVING, SURFACE, 0, 2),
    receptacle("dresser", BEDROOM | LIVING, SURFACE, 0, 1),
    receptacle("bed", BEDROOM, SEAT, 0, 2),
    receptacle("armchair", BEDROOM | LIVING, SEAT, 0, 2),
    receptacle("sofa", LIVING, SEAT, 0, 2),
    receptacle("coffeetable", LIVING, SURFACE, 0, 2),
    receptacle("tvstand", LIVING, SURFACE, 0, 1),
    receptacle("toilet", room::BATH, BATH, 0, 1),
    receptacle("bathtub", room::BATH, BATH, 0, 1),
    receptacle("towelholder", room::BATH, RACK, 0, 3),
];

/// A kind of object.
#[derive(Debug)]
pub(super) struct ObjectKind {
    pub(super) name: &'static str,
    /// The rooms that can contain it: bits of [`room`].
    pub(super) rooms: u8,
    /// The types of place that it fits.
    places: u16,
    /// Bits of [`ability`].
    pub(super) ability: u8,
}

impl ObjectKind {
    /// Whether objects of this kind fit in or on receptacles of a kind.
    pub(super) fn fits(&self, receptacle: &ReceptacleKind) -> bool {
        self.places & receptacle.place != 0
    }

    /// Whether objects of this kind have all of the abilities.
    pub(super) fn can(&self, abilities: u8) -> bool {
        self.ability & abilities == abilities
    }
}

const fn object(name: &'static str, rooms: u8, places: u16, ability: u8) -> ObjectKind {
    ObjectKind { name, rooms, places, ability }
}

const PICK_UP: u8 = ability::PICK_UP;
const WASH: u8 = PICK_UP | ability::CLEAN;
const DISH: u8 = WASH | ability::HEAT | ability::COOL;
const FOOD: u8 = DISH | ability::SLICE;
const ON_TABLE: u16 = SURFACE | STORAGE;
const FOOD_PLACES: u16 = SURFACE | FRIDGE | MICROWAVE | SINK | BIN;
const DISH_PLACES: u16 = ON_TABLE | FRIDGE | MICROWAVE | SINK;
const TOOL_PLACES: u16 = ON_TABLE | SINK;
const ROOMS: u8 = BEDROOM | LIVING;

pub(super) const OBJECTS: &[ObjectKind] = &[
    object("apple", KITCHEN, FOOD_PLACES, FOOD),
    object("potato", KITCHEN, FOOD_PLACES, FOOD),
    object("tomato", KITCHEN, FOOD_PLACES, FOOD),
    object("lettuce", KITCHEN, FOOD_PLACES, WASH | ability::COOL | ability::SLICE),
    object("egg", KITCHEN, FOOD_PLACES, DISH),
    object("bread", KITCHEN, FOOD_PLACES, FOOD & !ability::CLEAN),
    object("mug", KITCHEN, DISH_PLACES, DISH),
    object("cup", KITCHEN, DISH_PLACES, DISH),
    object("bowl", KITCHEN, DISH_PLACES, DISH | ability::CONTAIN),
    object("plate", KITCHEN, DISH_PLACES, DISH | ability::CONTAIN),
    object("pan", KITCHEN, TOOL_PLACES | STOVE | FRIDGE, WASH | ability::COOL | ability::CONTAIN),
    object("pot", KITCHEN, TOOL_PLACES | STOVE | FRIDGE, WASH | ability::COOL | ability::CONTAIN),
    object("kettle", KITCHEN, TOOL_PLACES | STOVE, WASH),
    object("knife", KITCHEN, TOOL_PLACES, WASH | ability::CUT),
    object("fork", KITCHEN, TOOL_PLACES, WASH),
    object("spoon", KITCHEN, TOOL_PLACES, WASH),
    object("spatula", KITCHEN, TOOL_PLACES, WASH),
    object("ladle", KITCHEN, TOOL_PLACES, WASH),
    object("saltshaker", KITCHEN, ON_TABLE, PICK_UP),
    object("peppershaker", KITCHEN, ON_TABLE, PICK_UP),
    object("winebottle", KITCHEN, ON_TABLE | FRIDGE | BIN, PICK_UP | ability::COOL),
    object("dishsponge", KITCHEN, TOOL_PLACES | BIN, WASH),
    object("soapbottle", KITCHEN | room::BATH, ON_TABLE | BIN | BATH, PICK_UP),
    object("book", ROOMS, ON_TABLE | SEAT, PICK_UP),
    object("newspaper", ROOMS, ON_TABLE | SEAT | BIN, PICK_UP),
    object("laptop", ROOMS, SURFACE | SEAT, PICK_UP),
    object("cellphone", ROOMS, ON_TABLE | SEAT, PICK_UP),
    object("remotecontrol", ROOMS, ON_TABLE | SEAT, PICK_UP),
    object("keychain", ROOMS, ON_TABLE | SEAT, PICK_UP),
    object("creditcard", ROOMS, ON_TABLE | SEAT, PICK_UP),
    object("watch", ROOMS, ON_TABLE | SEAT, PICK_UP),
    object("pen", ROOMS, ON_TABLE | BIN, PICK_UP),
    object("pencil", ROOMS, ON_TABLE | BIN, PICK_UP),
    object("cd", BEDROOM, ON_TABLE | BIN, PICK_UP),
    object("alarmclock", BEDROOM, ON_TABLE, PICK_UP),
    object("pillow", ROOMS, SEAT, PICK_UP),
    object("teddybear", BEDROOM, SURFACE | SEAT, PICK_UP),
    object("box", ROOMS, SURFACE | SEAT, PICK_UP | ability::CONTAIN),
    object("statue", LIVING, SURFACE, PICK_UP),
    object("vase", LIVING, ON_TABLE, PICK_UP),
    object("tissuebox", ROOMS | room::BATH, ON_TABLE | BIN, PICK_UP),
    object("candle", LIVING | room::BATH, ON_TABLE | BATH, PICK_UP),
    object("soapbar", room::BATH, TOOL_PLACES | BIN | BATH, WASH),
    object("cloth", room::BATH, TOOL_PLACES | BIN | BATH, WASH),
    object("spraybottle", room::BATH, ON_TABLE | BIN | BATH, PICK_UP),
    object("toiletpaper", room::BATH, ON_TABLE | BIN | BATH, PICK_UP),
    object("handtowel", room::BATH, RACK, PICK_UP),
];

/// The kind of lamps.
pub(super) const LAMP: ObjectKind = object("desklamp", ROOMS, SURFACE, ability::TOGGLE);

/// Whether objects of a kind are likely to be in or on receptacles of a kind, or `None` if a kind is
/// unknown.
pub(crate) fn likely_place(object: &str, receptacle: &str) -> Option<bool> {
    let object = OBJECTS.iter().chain([&LAMP]).find(|kind| kind.name == object)?;
    let receptacle = RECEPTACLES.iter().find(|kind| kind.name == receptacle)?;
    Some(object.fits(receptacle))
}

/// Whether receptacles of a kind have a door.
pub(crate) fn has_door(receptacle: &str) -> bool {
    RECEPTACLES.iter().any(|kind| kind.name == receptacle && kind.device & OPENABLE != 0)
}
