//! Nested lists of words, the notation of PDDL.

use super::super::pddl_tokens::Tokens;
use crate::error::{Error, Result};

/// Maximum nesting depth of lists. The published domain has at most 9.
const MAX_DEPTH: usize = 64;

/// Maximum number of words and lists in a text. The published problems have at most 20,000.
const MAX_FORMS: usize = 200_000;

/// A word or a list, with its place in the text.
#[derive(Debug)]
pub(super) struct Form<'a> {
    /// The text, for errors.
    place: Place,
    line: u32,
    pub(super) content: Content<'a>,
}

/// The text of a form.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Domain,
    Problem,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::Domain => "pddl_domain",
            Place::Problem => "pddl_problem",
        }
    }
}

/// The content of a [`Form`].
#[derive(Debug)]
pub(super) enum Content<'a> {
    Word(&'a str),
    List(Vec<Form<'a>>),
}

/// Reads the one list of which a text consists.
pub(super) fn read<'a>(text: &'a str, place: Place) -> Result<Form<'a>> {
    let mut tokens = Tokens::of(text, place.name());
    let mut open: Vec<Form<'a>> = Vec::new();
    for _ in 0..MAX_FORMS {
        let word = tokens.word()?;
        let line = tokens.line();
        let form = match word {
            "(" if open.len() == MAX_DEPTH => {
                return Err(tokens.error(format!("lists are nested more than {MAX_DEPTH} deep")));
            }
            "(" => {
                open.push(Form { place, line, content: Content::List(Vec::new()) });
                continue;
            }
            ")" => open.pop().ok_or_else(|| tokens.error("expected '(', found ')'"))?,
            word => Form { place, line, content: Content::Word(word) },
        };
        match open.last_mut() {
            Some(Form { content: Content::List(list), .. }) => list.push(form),
            _ if matches!(form.content, Content::List(_)) => return Ok(form),
            _ => return Err(tokens.error(format!("expected '(', found '{word}'"))),
        }
    }
    Err(tokens.error(format!("more than {MAX_FORMS} words")))
}

impl<'a> Form<'a> {
    /// An error at this place.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        Error::input(format!("{}, line {}", self.place.name(), self.line), message)
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Result<&[Form<'a>]> {
        match &self.content {
            Content::List(list) => Ok(list),
            Content::Word(word) => Err(self.error(format!("expected a list, found '{word}'"))),
        }
    }

    /// The word.
    pub(super) fn word(&self) -> Result<&'a str> {
        match self.content {
            Content::Word(word) => Ok(word),
            Content::List(_) => Err(self.error("expected a word, found a list")),
        }
    }

    /// The first word of a list and the other elements. The word of an empty list is empty.
    pub(super) fn head(&self) -> Result<(&'a str, &[Form<'a>])> {
        match self.list()? {
            [] => Ok(("", &[])),
            [first, rest @ ..] => Ok((first.word()?, rest)),
        }
    }
}

/// Names with their types: `a b - type c`. A name without a type has none.
pub(super) fn typed<'a>(forms: &[Form<'a>]) -> Result<Vec<(&'a str, Option<&'a str>)>> {
    let mut names = Vec::new();
    let mut untyped = 0;
    let mut forms = forms.iter();
    while let Some(form) = forms.next() {
        let word = form.word()?;
        if word != "-" {
            names.push((word, None));
            continue;
        }
        let kind = forms.next().ok_or_else(|| form.error("expected a type after '-'"))?;
        if let Content::List(_) = kind.content {
            return Err(kind.error("a choice of types (either …) is not supported"));
        }
        let kind = kind.word()?;
        names[untyped..].iter_mut().for_each(|name| name.1 = Some(kind));
        untyped = names.len();
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_errors_name_the_line() {
        let form = read("(a (b\n c) ())", Place::Domain).unwrap();
        let (head, rest) = form.head().unwrap();
        assert_eq!((head, rest.len()), ("a", 2));
        assert_eq!(rest[0].list().unwrap()[1].word().unwrap(), "c");
        assert!(
            rest[0].word().unwrap_err().to_string().starts_with("pddl_domain, line 1: expected")
        );
        for text in ["(a", "a", ")", &"(".repeat(100_000)] {
            assert!(read(text, Place::Domain).is_err(), "{text:.20}");
        }
    }

    #[test]
    fn a_type_belongs_to_all_names_before_it() {
        let form = read("(a b - x c)", Place::Domain).unwrap();
        let names = typed(form.list().unwrap()).unwrap();
        assert_eq!(names, [("a", Some("x")), ("b", Some("x")), ("c", None)]);
        assert!(typed(read("(a -)", Place::Domain).unwrap().list().unwrap()).is_err());
    }
}
