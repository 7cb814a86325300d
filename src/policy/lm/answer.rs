//! The action in a text that a model wrote freely.

/// Tags around the action, as the paper's prompt asks for them.
const ACTION: [&str; 2] = ["<action>", "</action>"];

/// End of a thought before the action.
const THOUGHT_END: &str = "</think>";

/// Start of a thought.
const THOUGHT: &str = "<think>";

/// The action in a response: the text between the last `<action>` and `</action>`, or, without these tags,
/// all that follows the last `</think>`. It is lower-cased, and white space at its ends is dropped. `None`
/// if that leaves nothing, a tag has no partner, or the text has several lines.
pub fn parse_action(response: &str) -> Option<String> {
    let response = response.to_lowercase();
    let action = match response.rfind(ACTION[0]) {
        Some(start) => {
            let rest = &response[start + ACTION[0].len()..];
            &rest[..rest.find(ACTION[1])?]
        }
        None if response.contains(ACTION[1]) => return None,
        None => match response.rfind(THOUGHT_END) {
            Some(end) => &response[end + THOUGHT_END.len()..],
            None if response.contains(THOUGHT) => return None,
            None => &response,
        },
    };
    let action = action.trim();
    (!action.is_empty() && !action.contains(['\n', '\r'])).then(|| action.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_found_with_and_without_tags() {
        for (response, expected) in [
            ("go to shelf 1", "go to shelf 1"),
            (" Go To Shelf 1\n", "go to shelf 1"),
            ("<think>the mug is there</think><action>Go to shelf 1</action>", "go to shelf 1"),
            ("<think>a\nb</think>\n<action> look </action> done", "look"),
            ("<action>look</action> or <action>inventory</action>", "inventory"),
            ("<think>why</think>\nlook", "look"),
        ] {
            assert_eq!(parse_action(response).as_deref(), Some(expected), "{response}");
        }
    }

    #[test]
    fn a_response_without_an_action_gives_none() {
        for response in [
            "",
            " \n",
            "<action></action>",
            "<action>look",
            "look</action>",
            "<think>look",
            "look\ngo",
        ] {
            assert_eq!(parse_action(response), None, "{response}");
        }
    }
}
