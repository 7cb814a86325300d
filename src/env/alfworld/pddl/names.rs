//! From the ids of a problem to the names that texts show.

/// The names of entities, given their ids in lower case.
///
/// An id is a type and a place: `mug_bar__plus_00_dot_20…`. Texts number the entities of a type, and
/// the one whose id sorts last is number 1. The games number ids of all sorts together, so `ids`
/// holds everything that facts speak of, sorted.
pub(crate) fn shown(ids: &[&str]) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    let mut names: Vec<String> = Vec::with_capacity(ids.len());
    for id in ids.iter().rev() {
        let Some((base, _)) = id.split_once("_bar_") else {
            names.push(format!("{} ", plain(id)));
            continue;
        };
        let mut base = plain(base);
        if id.contains("basin") {
            base.push_str("basin");
        }
        // Equal types lie close together: the one that was met last is the likeliest.
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

/// An id's words for marks that PDDL does not allow, undone.
fn plain(id: &str) -> String {
    id.replace("_minus_", "-").replace("_plus_", "+").replace("_dot_", ".").replace("_comma_", ",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_run_backwards_within_a_type() {
        let ids = ["bowl_bar_1", "bowl_bar_2", "sink_bar_1", "sink_bar_1_bar_sinkbasin", "spoon"];
        assert_eq!(shown(&ids), ["bowl 2", "bowl 1", "sink 1", "sinkbasin 1", "spoon "]);
    }
}
