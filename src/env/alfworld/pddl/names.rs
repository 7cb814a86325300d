//! Conversion of a problem's ids to the names in texts.

/// The names of entities, from their ids in lower case.
///
/// An id consists of a type and a position: `mug_bar__plus_00_dot_20…`. Texts number the entities of a
/// type; the last id in sorted order has number 1. The games number the ids of all sorts together, so
/// `ids` must contain all entities of facts, sorted.
pub(crate) fn display_names(ids: &[&str]) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    let mut names: Vec<String> = Vec::with_capacity(ids.len());
    for id in ids.iter().rev() {
        let Some((base, _)) = id.split_once("_bar_") else {
            names.push(format!("{} ", unescape(id)));
            continue;
        };
        let mut base = unescape(base);
        if id.contains("basin") {
            base.push_str("basin");
        }
        // Equal types are close together, so the most recent type is the most likely match.
        let number = match counts.iter_mut().rev().find(|(known, _)| *known == base) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                counts.push((base.clone(), 1));
                1
            }
        };
        names.push(format!("{base} {number}"));
    }
    names.reverse();
    names
}

/// Replaces the words that stand for characters outside PDDL.
fn unescape(id: &str) -> String {
    id.replace("_minus_", "-").replace("_plus_", "+").replace("_dot_", ".").replace("_comma_", ",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_decrease_within_a_type() {
        let ids = ["bowl_bar_1", "bowl_bar_2", "sink_bar_1", "sink_bar_1_bar_sinkbasin", "spoon"];
        assert_eq!(display_names(&ids), ["bowl 2", "bowl 1", "sink 1", "sinkbasin 1", "spoon "]);
    }
}
