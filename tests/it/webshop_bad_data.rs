//! Catalogues that are malformed: each is refused in one line that names the file, the product and the
//! field, or read as the original reads it.

use std::path::Path;

use proptest::prelude::*;
use proxmo::env::webshop::{GoalKind, WebShop, WebShopConfig};
use proxmo::env::{Environment, Session};
use proxmo::error::Error;
use serde_json::{Value, json};

const ASIN: &str = "B000000001";

fn product(asin: &str) -> Value {
    json!({
        "asin": asin, "name": "Red Shoes", "category": "fashion", "query": "Shoes ",
        "product_category": "Clothing › Shoes", "full_description": "Light shoes.",
        "small_description": ["light", "red"], "images": ["https://example.com/1.jpg"],
        "customization_options": {"size": [{"value": "9/10"}, {"value": "11"}]},
        "pricing": "$25.00",
    })
}

fn attributes() -> Value {
    json!({ASIN: {
        "attributes": ["light"], "instruction": "find me shoes", "instruction_attributes": ["light"],
    }})
}

fn human() -> Value {
    json!({ASIN: [{
        "instruction": "i want light shoes.", "instruction_attributes": ["light"],
        "instruction_options": ["11"],
    }]})
}

/// Writes a catalogue's files into a folder.
fn write(folder: &Path, items: &str, attributes: &str, human: &str) {
    for (name, text) in [
        ("items_shuffle_1000.json", items),
        ("items_ins_v2_1000.json", attributes),
        ("items_human_ins.json", human),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

fn load(items: &str, attributes: &str, human: &str, goals: GoalKind) -> Result<WebShop, Error> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), items, attributes, human);
    let config = WebShopConfig { goals, ..Default::default() };
    WebShop::load(folder.path(), None, config)
}

fn load_items(items: &Value) -> Result<WebShop, Error> {
    load(&items.to_string(), &attributes().to_string(), &human().to_string(), GoalKind::Human)
}

/// An error names all of `parts`, in one short line that ends the program with code 2.
fn refused(result: Result<WebShop, Error>, parts: &[&str]) {
    let error = result.map(|_| ()).expect_err(&parts.join(", "));
    let text = error.to_string();
    assert_eq!(error.exit_code(), 2, "{text}");
    assert!(text.chars().count() < 500 && !text.contains(char::is_control), "{text}");
    for part in parts {
        assert!(text.contains(part), "{text} does not say {part}");
    }
}

#[test]
fn a_missing_field_of_a_product_is_named() {
    assert_eq!(load_items(&json!([product(ASIN)])).unwrap().tasks(), 1);
    for field in [
        "asin",
        "name",
        "category",
        "query",
        "product_category",
        "full_description",
        "small_description",
        "customization_options",
        "images",
    ] {
        let mut bad = product("B000000002");
        bad.as_object_mut().unwrap().remove(field);
        let number = "product 2";
        let result = load_items(&json!([product(ASIN), bad]));
        refused(result, &["items_shuffle_1000.json", number, field, "is missing"]);
    }
    let mut bad = product(ASIN);
    bad.as_object_mut().unwrap().remove("pricing");
    assert_eq!(load_items(&json!([bad])).unwrap().price(ASIN), Some(100.0));
}

#[test]
fn a_field_of_another_type_is_named_with_what_was_found() {
    for (field, value, says) in [
        ("asin", json!(7), "found 7, expected a text"),
        ("name", json!(null), "found null, expected a text"),
        ("small_description", json!([]), "the list is empty"),
        ("small_description", json!([1]), "expected a list of texts"),
        ("small_description", json!(null), "expected a text or a list of texts"),
        ("images", json!([]), "the list is empty"),
        ("images", json!("x"), "expected a list"),
        ("pricing", json!("free"), "found 'free', expected prices"),
        ("pricing", json!("$ten"), "found '$ten', expected prices"),
        ("pricing", json!(9.5), "found 9.5, expected a text or null"),
        ("customization_options", json!("large"), "expected an object of lists"),
        ("customization_options", json!({"size": 7}), "found 7, expected a list of objects"),
        ("customization_options", json!({"size": [7]}), "found 7, expected an object"),
        ("customization_options", json!({"size": [{"value": 7}]}), "found 7, expected a text"),
        ("customization_options", json!({"size": [{}]}), "is missing"),
    ] {
        let mut bad = product(ASIN);
        bad[field] = value;
        let result = load_items(&json!([bad]));
        refused(result, &["items_shuffle_1000.json: product 1", field, says]);
    }
    let mut long = product(ASIN);
    long["name"] = json!([std::iter::repeat_n("x", 100_000).collect::<String>()]);
    refused(load_items(&json!([long])), &["field 'name'", "…"]);
}

#[test]
fn products_that_the_original_passes_over_may_be_malformed() {
    let items = json!([
        product(ASIN),
        {"asin": ASIN},
        {"asin": "B0000000012345", "name": 7},
        {"asin": "nan"},
    ]);
    let shop = load_items(&items).unwrap();
    assert_eq!((shop.products().len(), shop.skipped_products()), (1, 3));
}

#[test]
fn options_and_empty_lists_are_read_as_the_original_reads_them() {
    let mut other = product("B000000002");
    other["customization_options"] = json!([]);
    let shop = load_items(&json!([product(ASIN), other])).unwrap();
    let options: Vec<_> = shop.products().map(|product| product.options.clone()).collect();
    assert_eq!(options, [vec![("size", vec!["9 | 10", "11"])], vec![]]);
}

#[test]
fn files_that_are_cut_off_or_no_json_are_named() {
    let [items, attributes, human] =
        [json!([product(ASIN)]), attributes(), human()].map(|value| value.to_string());
    let kinds = [GoalKind::Human, GoalKind::Synthetic];
    for kind in kinds {
        for cut in 0..items.len() {
            if items.is_char_boundary(cut) {
                refused(
                    load(&items[..cut], &attributes, &human, kind),
                    &["items_shuffle_1000.json"],
                );
            }
        }
        for cut in 0..attributes.len() {
            refused(load(&items, &attributes[..cut], &human, kind), &["items_ins_v2_1000.json"]);
        }
    }
    for cut in 0..human.len() {
        let result = load(&items, &attributes, &human[..cut], GoalKind::Human);
        refused(result, &["items_human_ins.json"]);
    }
    refused(load("[]", &attributes, &human, GoalKind::Human), &["holds no products"]);
    refused(
        load("[7]", &attributes, &human, GoalKind::Human),
        &["product 1", "expected an object"],
    );
    refused(load("{}", &attributes, &human, GoalKind::Human), &["expected an array"]);
    refused(load(&items, "[]", &human, GoalKind::Human), &["ins_v2", "expected an object"]);
}

#[test]
fn malformed_attributes_and_instructions_are_named_with_their_product() {
    let items = json!([product(ASIN)]).to_string();
    for (field, value) in [
        ("attributes", json!("light")),
        ("instruction", json!(7)),
        ("instruction_attributes", json!([])),
        ("instruction_attributes", json!([7])),
    ] {
        let mut bad = attributes();
        bad[ASIN][field] = value;
        let result = load(&items, &bad.to_string(), "{}", GoalKind::Synthetic);
        refused(result, &["items_ins_v2_1000.json", ASIN, field]);
    }
    let result = load(&items, "{}", "{}", GoalKind::Synthetic);
    refused(result, &["items_ins_v2_1000.json", ASIN, "has no entry"]);
    for (field, value) in [
        ("instruction", json!(null)),
        ("instruction_attributes", json!({})),
        ("instruction_options", json!([11])),
    ] {
        let mut bad = human();
        bad[ASIN][0][field] = value;
        let result = load(&items, "{}", &bad.to_string(), GoalKind::Human);
        refused(result, &["items_human_ins.json", ASIN, field]);
    }
}

#[test]
fn a_goal_for_a_product_that_is_absent_is_passed_over() {
    let items = json!([product(ASIN)]).to_string();
    let mut with_other = human();
    with_other["B000000009"] = json!("not even a list");
    let shop = load(&items, "{}", &with_other.to_string(), GoalKind::Human).unwrap();
    assert_eq!(shop.goals(), 1);
    let only_other = json!({"B000000009": human()[ASIN]}).to_string();
    refused(load(&items, "{}", &only_other, GoalKind::Human), &["no goals"]);
}

#[test]
fn options_that_multiply_beyond_all_bounds_are_refused() {
    let mut many = product(ASIN);
    let values: Vec<Value> = (0..1000).map(|value| json!({"value": value.to_string()})).collect();
    let options = (0..8).map(|option| (option.to_string(), json!(values)));
    many["customization_options"] = Value::Object(options.collect());
    let result =
        load(&json!([many]).to_string(), &attributes().to_string(), "{}", GoalKind::Synthetic);
    refused(result, &[ASIN, "more than 200000000"]);
}

#[test]
fn missing_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let load = || WebShop::load(folder.path(), None, WebShopConfig::default());
    refused(load(), &["there is no items_shuffle_1000.json"]);
    std::fs::write(folder.path().join("items_shuffle_1000.json"), "[]").unwrap();
    refused(load(), &["there is no items_ins_v2_1000.json"]);
    write(folder.path(), &json!([product(ASIN)]).to_string(), "{}", "{}");
    std::fs::remove_file(folder.path().join("items_human_ins.json")).unwrap();
    refused(load(), &["there is no items_human_ins.json"]);
    refused(WebShop::load(Path::new("/no/such"), None, WebShopConfig::default()), &["/no/such"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..Default::default() })]

    #[test]
    fn altered_files_are_refused_in_one_line_or_played(
        which in 0usize..3,
        at in any::<proptest::sample::Index>(),
        length in 0usize..12,
        new in "[\\[\\]{},:\"0-9a-z$ \\\\]{0,6}",
    ) {
        let mut files =
            [json!([product(ASIN)]), attributes(), human()].map(|value| value.to_string().into_bytes());
        let file = &mut files[which];
        let start = at.index(file.len());
        let end = (start + length).min(file.len());
        file.splice(start..end, new.bytes());
        for goals in [GoalKind::Human, GoalKind::Synthetic] {
            let config = WebShopConfig { goals, ..Default::default() };
            match WebShop::from_json(&files[0], &files[1], Some(&files[2]), None, config) {
                Ok(shop) => {
                    let mut session = shop.session(0, 0).unwrap();
                    let asin = shop.products().next().unwrap().asin.to_lowercase();
                    for action in ["search[shoes]", &format!("click[{asin}]"), "click[buy now]"] {
                        session.step(action).unwrap();
                    }
                }
                error => refused(error, &[]),
            }
        }
    }
}
