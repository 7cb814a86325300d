//! Adding members to a JSON object.

use serde_json::value::RawValue;

use crate::episodes::{RawObject, decoded};

/// The text of a JSON object with members added, which replace members of the same names. All other
/// members keep their order, and their names and values every byte.
///
/// # Errors
/// Returns an error if `object` is not a JSON object.
pub fn with_members(object: &str, added: &[(&str, String)]) -> serde_json::Result<String> {
    let RawObject(members) = serde_json::from_str(object)?;
    let is_kept = |(name, _): &&(&RawValue, &RawValue)| {
        let name = decoded(name);
        !name.is_ok_and(|name| added.iter().any(|(added, _)| *added == name))
    };
    let kept = members.iter().filter(is_kept).map(|(name, value)| format!("{name}:{value}"));
    let added = added.iter().map(|(name, value)| format!("\"{name}\":{value}"));
    Ok(format!("{{{}}}", kept.chain(added).collect::<Vec<_>>().join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_bytes_and_added_ones_replace_old_ones() {
        let added = [("a", "[1]".to_string()), ("b", "2".to_string())];
        for (object, expected) in [
            ("{}", r#"{"a":[1],"b":2}"#),
            (" { \"x\" : 1.10 } ", r#"{"x":1.10,"a":[1],"b":2}"#),
            (r#"{"a":[0,{"b":0}],"x":1e400,"b":9}"#, r#"{"x":1e400,"a":[1],"b":2}"#),
            (r#"{"\u0061":3,"x":{"a": 3}}"#, r#"{"x":{"a": 3},"a":[1],"b":2}"#),
            (
                r#"{"\u0078":"\"},{\\","y":["]"]}"#,
                r#"{"\u0078":"\"},{\\","y":["]"],"a":[1],"b":2}"#,
            ),
        ] {
            assert_eq!(with_members(object, &added).unwrap(), expected);
        }
        assert!(with_members("[]", &added).is_err());
    }
}
