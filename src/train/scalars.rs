//! All numbers of a metrics line, by name.

use serde_json::Value;

use super::metrics::IterationMetrics;

impl IterationMetrics {
    /// Every number of this line with its path in the JSON form, such as `loss`, `seconds/update` or
    /// `evaluation/kinds/Pick/success`, in the order of the file. Numbers that are not finite, texts and
    /// the changes of settings are left out; `true` is 1 and `false` 0.
    pub fn scalars(&self) -> Vec<(String, f64)> {
        let mut found = Vec::new();
        // A structure of numbers, texts, lists and maps with text keys always has a JSON form.
        if let Ok(Value::Object(fields)) = serde_json::to_value(self) {
            for (name, value) in fields.iter().filter(|(name, _)| *name != "changes") {
                collect(name, value, &mut found);
            }
        }
        found
    }
}

fn collect(path: &str, value: &Value, out: &mut Vec<(String, f64)>) {
    match value {
        Value::Number(number) => out.extend(number.as_f64().map(|number| (path.into(), number))),
        Value::Bool(is_true) => out.push((path.into(), f64::from(u8::from(*is_true)))),
        Value::Object(fields) => {
            for (name, value) in fields {
                collect(&format!("{path}/{name}"), value, out);
            }
        }
        Value::Array(parts) => {
            for (place, part) in parts.iter().enumerate() {
                // The results by kind of task have names.
                let name = part.get("kind").and_then(Value::as_str);
                let name = name.map_or_else(|| place.to_string(), str::to_string);
                collect(&format!("{path}/{name}"), part, out);
            }
        }
        Value::Null | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind_result::KindResult;
    use super::super::metrics::EvaluationMetrics;
    use super::*;

    #[test]
    fn every_finite_number_has_the_path_of_its_place() {
        let pick = KindResult { kind: "Pick".into(), success: Some(0.25), ..KindResult::default() };
        let line = IterationMetrics {
            iteration: 7,
            loss: f64::NAN,
            kl: 0.5,
            credit: serde_json::json!({"groups": {"mixed": 3}, "engine": "cpu", "device": true}),
            changes: [("update.epochs".into(), ("1".into(), "2".into()))].into_iter().collect(),
            evaluation: Some(EvaluationMetrics {
                return_interval: Some((0.125, 0.375)),
                kinds: vec![pick],
                ..EvaluationMetrics::default()
            }),
            ..IterationMetrics::default()
        };
        let found = line.scalars();
        let of = |name: &str| found.iter().find(|(path, _)| path == name).map(|(_, value)| *value);
        assert_eq!(of("iteration"), Some(7.0));
        assert_eq!((of("kl"), of("loss")), (Some(0.5), None));
        assert_eq!((of("credit/groups/mixed"), of("credit/engine")), (Some(3.0), None));
        assert_eq!(of("credit/device"), Some(1.0));
        assert_eq!(of("evaluation/kinds/Pick/success"), Some(0.25));
        assert_eq!(of("evaluation/return_interval/1"), Some(0.375));
        assert!(!found.iter().any(|(path, _)| path.starts_with("changes")), "{found:?}");
    }
}
