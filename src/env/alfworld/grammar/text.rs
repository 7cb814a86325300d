//! The inner form of a grammar's texts: literal text with references, names, lists and conditions.

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Symbol {
    /// Literal text.
    Text(String),
    /// `#rule#`: what another rule says.
    Rule(String),
    /// `{expression}`.
    Value(Vec<Value>),
    /// `[{body | query}]`: the body once for each answer of the query, as a list.
    List { body: Box<Symbol>, query: Vec<Atom> },
}

/// A term of an expression; terms are joined by `+`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Literal(String),
    /// `variable.attribute`; a variable alone has no attribute.
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

/// What is wrong with a text.
pub(crate) type Fault = String;

/// Marks that the notation keeps for itself or does not allow outside of its constructs.
const RESERVED: [char; 11] = ['#', '{', '}', '[', ']', '|', ';', '<', '>', '"', '\t'];

/// Reads a text. White space at its very beginning does not count.
pub(crate) fn parse(text: &str) -> Result<Vec<Symbol>, Fault> {
    let mut symbols = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (symbol, after) = match first {
            '#' => rule(rest)?,
            '{' => braces(rest)?,
            '[' => list(rest)?,
            // The games' grammar has a closing brace too many at the end of one text, and the
            // engine it was written for stops reading there.
            '}' if rest.len() == 1 => break,
            _ => literal(rest)?,
        };
        symbols.push(symbol);
        rest = after;
    }
    Ok(symbols)
}

fn literal(text: &str) -> Result<(Symbol, &str), Fault> {
    let end = text.find(RESERVED).unwrap_or(text.len());
    if end == 0 {
        return Err(format!("cannot read {:?} here", shorten(text)));
    }
    Ok((Symbol::Text(text[..end].replace("\\n", "\n")), &text[end..]))
}

fn rule(text: &str) -> Result<(Symbol, &str), Fault> {
    let (name, after) = text[1..]
        .split_once('#')
        .filter(|(name, _)| !name.is_empty() && !name.contains(['{', '}', '[', ']', '|', '\n']))
        .ok_or_else(|| format!("a reference has no second '#' at {:?}", shorten(text)))?;
    Ok((Symbol::Rule(name.to_string()), after))
}

fn braces(text: &str) -> Result<(Symbol, &str), Fault> {
    let (inside, after) = text[1..]
        .split_once('}')
        .ok_or_else(|| format!("a brace is not closed at {:?}", shorten(text)))?;
    if inside.contains('|') {
        return Err(format!("a condition stands outside of a list at {:?}", shorten(text)));
    }
    Ok((body(inside)?, after))
}

fn list(text: &str) -> Result<(Symbol, &str), Fault> {
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

/// What stands between braces: a reference or an expression.
fn body(text: &str) -> Result<Symbol, Fault> {
    let text = text.trim();
    if text.starts_with('#') {
        return match rule(text)? {
            (symbol, "") => Ok(symbol),
            _ => Err(format!("cannot read {:?} between braces", shorten(text))),
        };
    }
    text.split('+').map(term).collect::<Result<_, _>>().map(Symbol::Value)
}

/// A term: a quoted literal, or `variable.attribute`. Of `x or y`, `x` counts: names are never empty.
fn term(text: &str) -> Result<Value, Fault> {
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

/// Reads a query: conditions joined by `&`.
pub(crate) fn query(text: &str) -> Result<Vec<Atom>, Fault> {
    text.split('&').map(atom).collect()
}

fn atom(text: &str) -> Result<Atom, Fault> {
    let fault = || format!("cannot read the condition {:?}", shorten(text));
    let (predicate, rest) = text.trim().split_once('(').ok_or_else(fault)?;
    let arguments = rest.trim_end().strip_suffix(')').ok_or_else(fault)?;
    let arguments = arguments
        .split(',')
        .map(|argument| {
            let (variable, kind) = argument.split_once(':').ok_or_else(fault)?;
            Ok((variable.trim().to_string(), kind.trim().to_string()))
        })
        .collect::<Result<_, Fault>>()?;
    Ok(Atom { predicate: predicate.trim().to_string(), arguments })
}

fn shorten(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_construct_is_read() {
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
    fn what_cannot_be_read_is_named() {
        let cases = ["a } b", "#open", "[{o.name}]", "{o.name | p(o:object)}", "a | b", "{1 - 2}"];
        for text in cases {
            assert!(parse(text).is_err(), "{text} was read");
        }
        assert!(query("p(o)").is_err() && query("p o:object").is_err());
    }
}
