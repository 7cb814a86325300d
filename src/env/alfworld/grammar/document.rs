//! Parses the outer form of a grammar: actions with their templates, and blocks of rules in JSON.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result};

/// A parsed grammar before its names are resolved.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) rules: BTreeMap<String, Vec<Alternative>>,
    pub(crate) actions: Vec<ActionTexts>,
}

/// An alternative text of a rule. The first one whose condition holds is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alternative {
    pub(crate) rhs: String,
    #[serde(default)]
    pub(crate) condition: Option<String>,
}

/// The texts of one action.
#[derive(Debug, Default)]
pub(crate) struct ActionTexts {
    /// The action's name in lower case.
    pub(crate) name: String,
    /// The command for the action.
    pub(crate) template: String,
    /// The text that answers the action.
    pub(crate) feedback: String,
}

/// Parses the outer form of a grammar.
pub(crate) fn parse(text: &str) -> Result<Document> {
    let mut parser = DocumentParser { text, position: 0 };
    let mut document = Document::default();
    loop {
        parser.skip_blank();
        if parser.rest().is_empty() {
            return Ok(document);
        }
        match parser.word()? {
            "grammar" => parser.rules(&mut document, false)?,
            "action" => parser.action(&mut document)?,
            other => {
                let message = format!("expected 'action' or 'grammar', found '{other}'");
                return Err(parser.error(message));
            }
        }
    }
}

struct DocumentParser<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> DocumentParser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn error(&self, message: impl Into<String>) -> Error {
        let line = self.text[..self.position].matches('\n').count() + 1;
        Error::input(format!("grammar, line {line}"), message)
    }

    /// Skips white space, and comments from `#` to the end of the line.
    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let skipped = match rest.strip_prefix('#') {
                Some(_) => rest.find('\n').unwrap_or(rest.len()),
                None => rest.len() - rest.trim_start().len(),
            };
            if skipped == 0 {
                return;
            }
            self.position += skipped;
        }
    }

    fn expect(&mut self, mark: &str) -> Result<()> {
        self.skip_blank();
        if !self.rest().starts_with(mark) {
            return Err(self.error(format!("expected '{mark}'")));
        }
        self.position += mark.len();
        Ok(())
    }

    fn word(&mut self) -> Result<&'a str> {
        self.skip_blank();
        let rest = self.rest();
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '-');
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error("expected a word"));
        }
        self.position += end;
        Ok(&rest[..end])
    }

    /// The text between two marks, without changes.
    fn quoted(&mut self, mark: &str) -> Result<&'a str> {
        self.expect(mark)?;
        let rest = self.rest();
        let Some(end) = rest.find(mark) else {
            return Err(self.error(format!("a text that begins with {mark} is not closed")));
        };
        self.position += end + mark.len();
        Ok(&rest[..end])
    }

    fn action(&mut self, document: &mut Document) -> Result<()> {
        let mut action = ActionTexts { name: self.word()?.to_lowercase(), ..Default::default() };
        self.expect("{")?;
        loop {
            self.skip_blank();
            if self.rest().starts_with('}') {
                self.position += 1;
                document.actions.push(action);
                return Ok(());
            }
            match self.word()? {
                "grammar" => self.rules(document, true)?,
                "template" => action.template = self.field()?.to_string(),
                "feedback" => action.feedback = self.field()?.to_string(),
                other => {
                    let known = "'template', 'feedback' or 'grammar'";
                    return Err(self.error(format!("expected {known}, found '{other}'")));
                }
            }
        }
    }

    fn field(&mut self) -> Result<&'a str> {
        self.expect("::")?;
        let text = self.quoted("\"")?;
        self.expect(";")?;
        Ok(text)
    }

    /// A block of rules. Inside an action, lines that begin with `#` are comments.
    fn rules(&mut self, document: &mut Document, comments: bool) -> Result<()> {
        self.expect("::")?;
        let start = self.position;
        let block = self.quoted("\"\"\"")?;
        let is_comment = |line: &str| comments && line.trim_start().starts_with('#');
        let kept: String = block
            .split_inclusive('\n')
            .map(|line| if is_comment(line) { "\n" } else { line })
            .collect();
        let rules: BTreeMap<String, Vec<Alternative>> =
            serde_json::from_str(&kept).map_err(|error| {
                let line = self.text[..start].matches('\n').count() + error.line();
                // Removes the position in the block from the message; the place has that in the file.
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or(&message);
                let place = format!("grammar, line {line}, column {}", error.column());
                Error::input(place, message)
            })?;
        document.rules.extend(rules);
        self.expect(";")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r##"
        # a comment outside of an action
        grammar :: """ { "intro": [{"rhs": "Hello. #task#"}] } """;
        action Nod {
            template :: "nod at {r}";
            feedback :: "#nod#";
            grammar :: """
                {
                    # a comment
                    "nod": [{"condition": "open(r:receptacle)", "rhs": "You nod."}]
                }
            """;
        }
    "##;

    #[test]
    fn actions_and_rules_are_read() {
        let document = parse(SMALL).unwrap();
        assert_eq!(document.actions[0].name, "nod");
        assert_eq!(document.actions[0].template, "nod at {r}");
        assert_eq!(document.rules["intro"][0].rhs, "Hello. #task#");
        assert_eq!(document.rules["nod"][0].condition.as_deref(), Some("open(r:receptacle)"));
    }

    #[test]
    fn syntax_errors_name_the_line() {
        let cases = [
            (SMALL.replace("feedback", "answer"), "grammar, line 6: expected 'template'"),
            (SMALL.replace("\"rhs\": \"You", "\"weight\": 1, \"rhs\": \"You"), "line 10"),
            (SMALL.replace("action", "verb"), "line 4: expected 'action'"),
            (SMALL.replace("nod at {r}\";", "nod at {r}\""), "line 6: expected ';'"),
        ];
        for (text, expected) in cases {
            let message = parse(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message} does not say {expected}");
        }
    }
}
