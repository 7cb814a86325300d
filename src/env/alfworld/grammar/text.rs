//! Parses a grammar's texts: literal text with references, names, lists and conditions.

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Symbol {
    /// Literal text.
    Text(String),
    /// `#rule#`: the text of another rule.
    Rule(String),
    /// `{expression}`.
    Value(Vec<Value>),
    /// `[{body | query}]`: a list with the body for each answer of the query.
    List { body: Box<Symbol>, query: Vec<Atom> },
}

/// A term of an expression. Terms are joined by `+`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Literal(String),
    /// `variable.attribute`. The attribute of a variable alone is empty.
    Attribute {
        variable: String,
        attribute: String,
    },
}

/// One condition of a query: `predicate(variable:type, …)`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Atom {
    pub(crate) predicate: String,
    pub(crate) arguments: Vec<(String, String)>,
}

/// Characters that the notation reserves or allows only inside its constructs.
const RESERVED: [char; 11] = ['#', '{', '}', '[', ']', '|', ';', '<', '>', '"', '\t'];

/// Parses a text. Ignores initial white space.
///
/// # Errors
/// Returns a message that describes the syntax error.
pub(crate) fn parse(text: &str) -> Result<Vec<Symbol>, String> {
    let mut symbols = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (symbol, after) = match first {
            '#' => rule(rest)?,
            '{' => braces(rest)?,
            '[' => list(rest)?,
            '"' => quoted(rest)?,
            // One text of the published grammar has an extra closing brace at its end, where the
            // original engine stops parsing.
            '}' if rest.len() == 1 => break,
            _ => literal(rest)?,
        };
        symbols.push(symbol);
        rest = after;
    }
    Ok(symbols)
}

fn literal(text: &str) -> Result<(Symbol, &str), String> {
    let end = text.find(RESERVED).unwrap_or(text.len());
    if end == 0 {
        return Err(format!("cannot read {:?} here", shorten(text)));
    }
    Ok((Symbol::Text(text[..end].replace("\\n", "\n")), &text[end..]))
}

/// Reads a literal between quotes, which are not part of it.
fn quoted(text: &str) -> Result<(Symbol, &str), String> {
    let (inside, after) = text[1..]
        .split_once('"')
        .filter(|(inside, _)| !inside.contains(RESERVED))
        .ok_or_else(|| format!("a quote is not closed at {:?}", shorten(text)))?;
    Ok((Symbol::Text(inside.replace("\\n", "\n")), after))
}

/// The text of symbols that are all literals.
pub(crate) fn plain(symbols: &[Symbol]) -> Option<String> {
    let text = |symbol: &Symbol| match symbol {
        Symbol::Text(text) => Some(text.clone()),
        _ => None,
    };
    symbols.iter().map(text).collect()
}

fn rule(text: &str) -> Result<(Symbol, &str), String> {
    let (name, after) = text[1..]
        .split_once('#')
        .filter(|(name, _)| !name.is_empty() && !name.contains(['{', '}', '[', ']', '|', '\n']))
        .ok_or_else(|| format!("a reference has no second '#' at {:?}", shorten(text)))?;
    Ok((Symbol::Rule(name.to_string()), after))
}

fn braces(text: &str) -> Result<(Symbol, &str), String> {
    let (inside, after) = text[1..]
        .split_once('}')
        .ok_or_else(|| format!("a brace is not closed at {:?}", shorten(text)))?;
    if inside.contains('|') {
        return Err(format!("a condition is outside of a list at {:?}", shorten(text)));
    }
    Ok((body(inside)?, after))
}

fn list(text: &str) -> Result<(Symbol, &str), String> {
    let (inside, after) = text[1..]
        .split_once(']')
        .ok_or_else(|| format!("a list is not closed at {:?}", shorten(text)))?;
    let (expression, given) = inside
        .strip_prefix('{')
        .and_then(|inside| inside.strip_suffix('}'))
        .and_then(|inside| inside.split_once('|'))
        .ok_or_else(|| format!("a list is not of the form [{{… | …}}] at {:?}", shorten(text)))?;
    Ok((Symbol::List { body: Box::new(body(expression)?), query: query(given)? }, after))
}

/// Parses the text between braces: a reference or an expression.
fn body(text: &str) -> Result<Symbol, String> {
    let text = text.trim();
    if text.starts_with('#') {
        return match rule(text)? {
            (symbol, "") => Ok(symbol),
            _ => Err(format!("cannot read {:?} between braces", shorten(text))),
        };
    }
    text.split('+').map(term).collect::<Result<_, _>>().map(Symbol::Value)
}

/// Parses a term: a quoted literal or `variable.attribute`. The value of `x or y` is `x` because names
/// are never empty.
fn term(text: &str) -> Result<Value, String> {
    let text = text.trim();
    for quote in ['\'', '"'] {
        if let Some(inside) = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
            return Ok(Value::Literal(inside.to_string()));
        }
    }
    let first = text.split(" or ").next().unwrap_or(text).trim();
    let (variable, attribute) = first.split_once('.').unwrap_or((first, ""));
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if variable.is_empty() || !is_name(variable) || !is_name(attribute) {
        return Err(format!("cannot read the expression {:?}", shorten(text)));
    }
    Ok(Value::Attribute { variable: variable.to_string(), attribute: attribute.to_string() })
}

/// Parses a query: conditions joined by `&`.
///
/// # Errors
/// Returns a message that describes the syntax error.
pub(crate) fn query(text: &str) -> Result<Vec<Atom>, String> {
    text.split('&').map(atom).collect()
}

fn atom(text: &str) -> Result<Atom, String> {
    let message = || format!("cannot read the condition {:?}", shorten(text));
    let (predicate, rest) = text.trim().split_once('(').ok_or_else(message)?;
    let arguments = rest.trim_end().strip_suffix(')').ok_or_else(message)?;
    let arguments = arguments
        .split(',')
        .map(|argument| {
            let (variable, kind) = argument.split_once(':').ok_or_else(message)?;
            Ok((variable.trim().to_string(), kind.trim().to_string()))
        })
        .collect::<Result<_, String>>()?;
    Ok(Atom { predicate: predicate.trim().to_string(), arguments })
}

/// The first 40 characters of a text.
fn shorten(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_constructs_are_parsed() {
        let symbols =
            parse(" At {r.name}: [{o.definite + ' ' + o.name | in(o:object, r:room)}]#x#.");
        let attribute = |variable: &str, attribute: &str| Value::Attribute {
            variable: variable.into(),
            attribute: attribute.into(),
        };
        let expected = vec![
            Symbol::Text("At ".into()),
            Symbol::Value(vec![attribute("r", "name")]),
            Symbol::Text(": ".into()),
            Symbol::List {
                body: Box::new(Symbol::Value(vec![
                    attribute("o", "definite"),
                    Value::Literal(" ".into()),
                    attribute("o", "name"),
                ])),
                query: vec![Atom {
                    predicate: "in".into(),
                    arguments: vec![("o".into(), "object".into()), ("r".into(), "room".into())],
                }],
            },
            Symbol::Rule("x".into()),
            Symbol::Text(".".into()),
        ];
        assert_eq!(symbols.unwrap(), expected);
    }

    #[test]
    fn syntax_errors_are_rejected() {
        let cases = ["a } b", "#open", "[{o.name}]", "{o.name | p(o:object)}", "a | b", "{1 - 2}"];
        for text in cases {
            assert!(parse(text).is_err(), "{text} was accepted");
        }
        assert!(query("p(o)").is_err() && query("p o:object").is_err());
    }
}
