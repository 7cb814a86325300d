//! A small configuration with a tagged section, from declaration to flags and file.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Kind, Setting, check, find_problem, read_toml, schema_of, set, settings_of};
use super::{above_zero, to_commented_toml};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The vehicle.
    #[garde(dive)]
    #[schemars(extend("x-former-keys" = ["car"]))]
    vehicle: Vehicle,
    /// The trip.
    #[garde(dive)]
    trip: Trip,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Vehicle {
    /// Moves on water.
    Boat(#[garde(dive)] Boat),
    /// Moves on rails.
    Train(#[garde(dive)] Train),
}

impl Default for Vehicle {
    fn default() -> Self {
        Self::Boat(Boat::default())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
struct Boat {
    /// Number of seats.
    #[garde(range(min = 1, max = 9))]
    seats: usize,
    /// Area of the sails. Given in square metres.
    #[garde(range(min = 0.0, max = 50.0))]
    sails: f32,
    /// The hull.
    #[garde(dive)]
    hull: Hull,
}

impl Default for Boat {
    fn default() -> Self {
        Self { seats: 4, sails: 12.1, hull: Hull::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
struct Hull {
    /// Length of the hull.
    #[garde(range(max = 90.0), custom(above_zero))]
    #[schemars(extend("exclusiveMinimum" = 0))]
    length: f64,
}

impl Default for Hull {
    fn default() -> Self {
        Self { length: 7.5 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
struct Train {
    /// Number of seats.
    #[garde(range(min = 1, max = 9))]
    seats: usize,
    /// Number of cars.
    #[garde(range(min = 1, max = 40))]
    #[schemars(extend("x-former-keys" = ["wagons"]))]
    cars: u32,
}

impl Default for Train {
    fn default() -> Self {
        Self { seats: 4, cars: 3 }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
struct Trip {
    /// Distance of the trip. Unset, it is open.
    #[garde(range(min = 0.5, max = 1e3))]
    #[serde(skip_serializing_if = "Option::is_none")]
    distance: Option<f64>,
    /// Name of the trip.
    #[garde(skip)]
    name: String,
    /// Come back.
    #[garde(skip)]
    returns: bool,
}

fn settings() -> Vec<Setting> {
    settings_of(&schema_of::<Config>())
}

fn setting(key: &str) -> Setting {
    settings().into_iter().find(|setting| setting.key == key).unwrap()
}

#[test]
fn a_declaration_gives_key_flag_help_default_and_range() {
    let all = settings();
    let keys: Vec<(&str, &str)> =
        all.iter().map(|setting| (setting.key.as_str(), setting.flag.as_str())).collect();
    assert_eq!(
        keys,
        [
            ("vehicle.kind", "vehicle"),
            ("vehicle.seats", "seats"),
            ("vehicle.sails", "sails"),
            ("vehicle.hull", "hull"),
            ("vehicle.hull.length", "hull-length"),
            ("vehicle.cars", "cars"),
            ("trip.distance", "distance"),
            ("trip.name", "name"),
            ("trip.returns", "returns"),
        ]
    );
    let sails = setting("vehicle.sails");
    assert_eq!(sails.summary(), "Area of the sails");
    assert_eq!(sails.shown_default().as_deref(), Some("12.1"));
    assert_eq!(sails.expected(), "a number from 0 to 50");
    assert_eq!((sails.value_name.as_str(), sails.heading.as_str()), ("X", "[vehicle] of boat"));
    assert_eq!(setting("vehicle.seats").heading, "[vehicle] The vehicle");
    assert_eq!(setting("vehicle.kind").expected(), "one of boat, train");
    assert_eq!(setting("vehicle.kind").words().unwrap()[1], ("train", "Moves on rails."));
    let distance = setting("trip.distance");
    assert_eq!((distance.default, distance.value_name.as_str()), (None, "X"));
}

#[test]
fn a_value_is_parsed_by_its_type_and_range() {
    let parse = |key: &str, raw: &str| setting(key).parse(raw);
    assert_eq!(parse("vehicle.seats", "3").unwrap(), json!(3));
    assert_eq!(parse("vehicle.sails", "3").unwrap(), json!(3));
    assert_eq!(parse("trip.name", "3").unwrap(), json!("3"));
    assert_eq!(parse("trip.returns", "false").unwrap(), json!(false));
    assert_eq!(parse("vehicle.hull", "{length = 2.5}").unwrap(), json!({"length": 2.5}));
    for (key, raw, expected) in [
        ("vehicle.seats", "10", "is 10, expected a whole number from 1 to 9"),
        ("vehicle.seats", "1.5", "is 1.5, expected a whole number from 1 to 9"),
        ("vehicle.sails", "nan", "is nan, expected a number from 0 to 50"),
        ("vehicle.hull.length", "0", "is 0, expected a number above 0 and at most 90"),
        (
            "vehicle.hull",
            "{width = 2}",
            "`vehicle.hull.width` is an unknown key, expected one of `length`",
        ),
        ("vehicle.kind", "plane", "is 'plane', expected one of boat, train"),
        ("trip.returns", "maybe", "is 'maybe', expected true or false"),
    ] {
        assert_eq!(parse(key, raw).unwrap_err(), expected);
    }
}

#[test]
fn a_setting_of_another_variant_is_not_set() {
    let mut tree = serde_json::to_value(Config::default()).unwrap();
    let other = Kind::Other { tag: "vehicle.kind".into(), selected: "boat".into() };
    assert_eq!(set(&mut tree, &setting("vehicle.cars"), json!(5)), other);
    assert_eq!(set(&mut tree, &setting("vehicle.seats"), json!(5)), Kind::Selected);
    assert_eq!(set(&mut tree, &setting("vehicle.hull.length"), json!(9.0)), Kind::Selected);
    let config: Config = serde_json::from_value(tree.clone()).unwrap();
    let boat = Boat { seats: 5, hull: Hull { length: 9.0 }, ..Boat::default() };
    assert_eq!(config.vehicle, Vehicle::Boat(boat));
    // Another variant starts from its own defaults.
    set(&mut tree, &setting("vehicle.kind"), json!("train"));
    assert_eq!(set(&mut tree, &setting("vehicle.cars"), json!(5)), Kind::Selected);
    let config: Config = serde_json::from_value(tree).unwrap();
    assert_eq!(config.vehicle, Vehicle::Train(Train { cars: 5, ..Train::default() }));
}

#[test]
fn a_file_is_checked_with_lines_and_the_default_variant_may_be_left_out() {
    let schema = schema_of::<Config>();
    let read = |text: &str| read_toml(text, "c.toml", &schema);
    let tree = read("[vehicle]\nseats = 2\n").unwrap();
    let config: Config = serde_json::from_value(tree).unwrap();
    assert_eq!(config.vehicle, Vehicle::Boat(Boat { seats: 2, ..Boat::default() }));
    for (text, expected) in [
        (
            "[vehicle]\n\nseats = 0",
            "c.toml:3: `vehicle.seats` is 0, expected a whole number from 1 to 9",
        ),
        ("[trip]\nname = 3", "c.toml:2: `trip.name` is 3, expected text"),
        ("[trip]\nlength = 3", "c.toml:2: `trip.length` is an unknown key, expected one of"),
        (
            "[vehicle]\ncars = 3",
            "c.toml:2: `vehicle.cars` is a setting of vehicle.kind = \"train\" only",
        ),
        (
            "[vehicle]\nkind = 'plane'",
            "c.toml:2: `vehicle.kind` is 'plane', expected one of boat, train",
        ),
        (
            "[vehicle]\nkind = 'train'\nwagons = 3",
            "c.toml:3: `vehicle.wagons` is an unknown key; it is now `vehicle.cars`",
        ),
        ("[car]\nseats = 3", "c.toml:1: `car` is an unknown key; it is now `vehicle`"),
        ("[trip]\ndistance = nan", "c.toml:2: `trip.distance` is nan, expected a number from 0.5"),
        ("[trip]\ndistance = = 3", "c.toml:2: "),
        ("vehicle = 3", "c.toml:1: `vehicle` is 3, expected"),
    ] {
        let message = read(text).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message} should begin with {expected}");
    }
}

#[test]
fn a_configuration_made_in_rust_is_checked() {
    let message = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        check(&config, "").unwrap_err().to_string()
    };
    check(&Config::default(), "").unwrap();
    let distance = message(|config| config.trip.distance = Some(f64::NAN));
    assert_eq!(distance, "setting 'trip.distance': is NaN, expected a number from 0.5 to 1000");
    let boat = |boat: Boat| Vehicle::Boat(boat);
    let mut config =
        Config { vehicle: boat(Boat { sails: 50.1, ..Boat::default() }), ..Config::default() };
    let error = check(&config, "").unwrap_err().to_string();
    assert_eq!(error, "setting 'vehicle.sails': is 50.1, expected a number from 0 to 50");
    config.vehicle = boat(Boat { hull: Hull { length: 0.0 }, ..Boat::default() });
    let error = check(&config, "").unwrap_err().to_string();
    assert!(error.starts_with("setting 'vehicle.hull.length': is 0, expected a number above 0"));
}

#[test]
fn the_commented_file_holds_the_selected_variant_and_reads_back() {
    let schema = schema_of::<Config>();
    let train = Vehicle::Train(Train { cars: 7, ..Train::default() });
    let trip = Trip { distance: Some(2.0), ..Trip::default() };
    for config in [Config::default(), Config { vehicle: train, trip }] {
        let text = to_commented_toml(&serde_json::to_value(&config).unwrap(), &schema);
        let tree = read_toml(&text, "c.toml", &schema).unwrap();
        assert_eq!(serde_json::from_value::<Config>(tree).unwrap(), config, "{text}");
    }
    let text = to_commented_toml(&serde_json::to_value(Config::default()).unwrap(), &schema);
    assert!(text.contains("# Area of the sails. Given in square metres.\n# Accepts a number from 0 to 50. Default: 12.1.\nsails = 12.1\n"), "{text}");
    assert!(text.contains("# distance =\n") && !text.contains("cars"), "{text}");
}

#[test]
fn the_schema_accepts_the_defaults() {
    let tree: Value = serde_json::to_value(Config::default()).unwrap();
    assert_eq!(find_problem(&schema_of::<Config>(), &tree, ""), None);
}
