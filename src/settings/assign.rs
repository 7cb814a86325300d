//! Changing a value in the tree of a configuration.

use serde_json::{Map, Value};

use super::schema::show;
use super::setting::Setting;

/// Whether a setting belongs to the selected variant of its section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It does, or its section has no variants.
    Selected,
    /// It belongs to others.
    Other {
        /// The key of the tag.
        tag: String,
        /// The variant that is selected.
        selected: String,
    },
}

/// Sets a value in the tree of a configuration. A word in the place of a table gives way to it; a tag
/// that changes resets its section to the defaults of the new variant.
pub fn set(tree: &mut Value, setting: &Setting, value: Value) -> Kind {
    let Some((section, rest)) = setting.key.split_once('.') else { return Kind::Selected };
    let place = ensure(tree, section);
    if let Some(tag) = &setting.tag {
        let selected = place.get(tag).cloned().unwrap_or_default();
        if setting.is_tag {
            if selected != value {
                *place = Value::Object([(tag.clone(), value)].into_iter().collect());
            }
            return Kind::Selected;
        }
        if !setting.kinds.iter().any(|kind| selected == kind.as_str()) {
            return Kind::Other { tag: format!("{section}.{tag}"), selected: show(&selected) };
        }
    }
    let (tables, name) =
        rest.rsplit_once('.').map_or((None, rest), |(tables, name)| (Some(tables), name));
    let keys = tables.into_iter().flat_map(|tables| tables.split('.'));
    let place = keys.fold(place, |place, key| ensure(place, key));
    *entry(place, name) = value;
    Kind::Selected
}

/// The table at a key, made where there is something else.
fn ensure<'a>(place: &'a mut Value, key: &str) -> &'a mut Value {
    let inner = entry(place, key);
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    inner
}

/// The value at a key of a table, null where there is none yet.
fn entry<'a>(place: &'a mut Value, key: &str) -> &'a mut Value {
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    &mut place[key]
}
