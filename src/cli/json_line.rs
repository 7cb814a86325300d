//! Adding to a JSON object without touching what is there.

/// The text of a JSON object with members added; those of the same names are taken out. What else
/// stands in it stays as it is, byte for byte: numbers keep their digits, fields their order.
pub fn with_members(object: &str, added: &[(&str, String)]) -> String {
    let is_kept =
        |member: &&str| !added.iter().any(|(name, _)| name_of(member).as_deref() == Some(*name));
    let mut parts: Vec<String> =
        members(object).into_iter().filter(is_kept).map(str::to_string).collect();
    parts.extend(added.iter().map(|(name, value)| format!("\"{name}\":{value}")));
    format!("{{{}}}", parts.join(","))
}

/// A member's name. A JSON string ends by itself, so that what follows does not matter.
fn name_of(member: &str) -> Option<String> {
    serde_json::Deserializer::from_str(member).into_iter::<String>().next()?.ok()
}

/// The members of an object that is known to be sound JSON.
fn members(object: &str) -> Vec<&str> {
    let inside = object.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let inside = inside.unwrap_or_default();
    let (mut depth, mut in_text, mut escaped, mut start) = (0, false, false, 0);
    let mut members = Vec::new();
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => {
                members.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !inside[start..].trim().is_empty() {
        members.push(&inside[start..]);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_to_the_byte_and_the_old_gives_way() {
        let added = [("a", "[1]".to_string()), ("b", "2".to_string())];
        for (object, expected) in [
            ("{}", r#"{"a":[1],"b":2}"#),
            (" { \"x\" : 1.10 } ", r#"{ "x" : 1.10 ,"a":[1],"b":2}"#),
            (r#"{"a":[0,{"b":0}],"x":1e400,"b":9}"#, r#"{"x":1e400,"a":[1],"b":2}"#),
            (r#"{"\u0061":3,"x":{"a":3}}"#, r#"{"x":{"a":3},"a":[1],"b":2}"#),
            (r#"{"x":"\"},{\\","y":["]"]}"#, r#"{"x":"\"},{\\","y":["]"],"a":[1],"b":2}"#),
        ] {
            assert_eq!(with_members(object, &added), expected);
        }
    }
}
