//! The colours of curves, on light and on dark ground.

use std::fmt::Write;

/// A colour for each curve: on light ground, on dark ground.
const COLOURS: [(&str, &str); 10] = [
    ("#0067b0", "#5ab0f2"),
    ("#d1520b", "#ff9054"),
    ("#12824c", "#4fc98a"),
    ("#b0408f", "#e98ac9"),
    ("#8a6a00", "#dcb93f"),
    ("#0f8fa3", "#4fd0e0"),
    ("#6a4bc4", "#ab95f5"),
    ("#56606e", "#a9b4c2"),
    ("#a3162c", "#f5707f"),
    ("#5c8a1e", "#a5d65e"),
];

/// Style rules that give classes `v0`, `v1`, … a colour each, as the variable `--curve` and, inside of a
/// chart, as the current colour. Colours repeat after the tenth, with dashed lines.
pub fn colour_rules(curves: usize) -> String {
    let (mut light, mut dark, mut dashes) = (String::new(), String::new(), String::new());
    for number in 0..curves {
        let colour = COLOURS[number % COLOURS.len()];
        for (rules, colour) in [(&mut light, colour.0), (&mut dark, colour.1)] {
            let _ = writeln!(rules, ".v{number} {{ --curve: {colour}; }}");
            // Not by the variable: programs other than browsers may not know variables.
            let _ = writeln!(rules, ".chart .v{number} {{ color: {colour}; }}");
        }
        if number >= COLOURS.len() {
            let dash = 2 + 4 * (number / COLOURS.len() % 3);
            let _ = writeln!(dashes, ".chart .v{number} .line {{ stroke-dasharray: {dash} 3; }}");
        }
    }
    format!("{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n{dashes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_differ_by_colour_or_dashes() {
        let rules = colour_rules(12);
        let of = |curve: &str| -> Vec<String> {
            let lines = rules.lines().filter(|line| line.starts_with(&format!(".chart {curve} ")));
            lines.map(|line| line.replace(curve, "")).collect()
        };
        assert_eq!(of(".v0").len(), 2, "one colour on light and one on dark ground");
        assert_ne!(of(".v0")[0], of(".v1")[0]);
        assert_eq!(of(".v0")[..], of(".v10")[..2]);
        assert_eq!(of(".v10").len(), 3, "dashes tell the eleventh from the first");
    }
}
