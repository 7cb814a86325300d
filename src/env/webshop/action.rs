//! Actions as texts: `search[words]` and `click[what stands on a button]`.

/// An action as the original reads it. What fits neither form does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Search(String),
    Click(String),
    Nothing,
}

impl Action {
    /// Reads an action.
    ///
    /// The original matches `(.+)\[(.+)\]` from the start: the name is all before the last `[` that
    /// still has a `]` and a character between, the argument goes to the last `]`, the rest is ignored,
    /// and none of it goes beyond the first line. The argument is put in lower case, the name is not.
    pub fn parse(text: &str) -> Self {
        let line = text.split('\n').next().unwrap_or_default();
        let parts = || {
            let close = line.rfind(']')?;
            let last = line[..close].char_indices().next_back()?.0;
            let open = line[..last].rfind('[').filter(|&open| open > 0)?;
            Some((&line[..open], &line[open + 1..close]))
        };
        match parts() {
            Some(("search", argument)) => Self::Search(argument.to_lowercase()),
            Some(("click", argument)) => Self::Click(argument.to_lowercase()),
            _ => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_matched_as_far_right_as_possible() {
        let search = |text: &str| Action::Search(text.into());
        let click = |text: &str| Action::Click(text.into());
        for (text, expected) in [
            ("search[Red Shoes]", search("red shoes")),
            ("search[x]]", search("x]")),
            ("click[x] blah", click("x")),
            ("click[ x]", click(" x")),
            ("click[é]", click("é")),
            ("search[a][b]", Action::Nothing),
            ("search[a[b]]", Action::Nothing),
            ("search[a][", search("a")),
            ("search[a][]", search("a][")),
            (" click[x]", Action::Nothing),
            ("Click[x]", Action::Nothing),
            ("click[]", Action::Nothing),
            ("[x]", Action::Nothing),
            ("click[x", Action::Nothing),
            ("click[\nx]", Action::Nothing),
            ("click[x]\n]", click("x")),
            ("", Action::Nothing),
        ] {
            assert_eq!(Action::parse(text), expected, "{text}");
        }
    }
}
