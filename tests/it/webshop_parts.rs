//! The parts of WebShop beside recordings of the original: random draws, the search engine, the loader,
//! goals and prices, the reward.

use std::collections::BTreeMap;

use proxmo::env::webshop::random::{NumpyRandom, PythonRandom};
use proxmo::env::webshop::{Flavour, GoalKind, analyze, find_nouns, stem};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::webshop::{config, lines, shop, value};

/// Whether a number is the recorded one. JSON is read with an error in the last digit, so both are.
pub fn is_recorded(number: f64, recorded: &Value) -> bool {
    let read: f64 = serde_json::from_str(&json!(number).to_string()).unwrap();
    Some(read) == recorded.as_f64()
}

/// Draws as often as there are expected values.
fn check<T: serde::Serialize>(
    random: &mut PythonRandom,
    expected: &Value,
    mut draw: impl FnMut(&mut PythonRandom) -> T,
) {
    let drawn: Vec<T> = expected.as_array().unwrap().iter().map(|_| draw(random)).collect();
    let drawn: Value = serde_json::from_str(&json!(drawn).to_string()).unwrap();
    assert_eq!(drawn, *expected);
}

#[test]
fn random_draws_are_those_of_python_and_numpy() {
    let Some(vectors) = value::<Value>("rng_vectors.json.xz") else { return };
    for case in vectors["python_random"].as_array().unwrap() {
        let random = &mut PythonRandom::new(case["seed"].as_u64().unwrap());
        let tens = |random: &mut PythonRandom, n: usize| -> Vec<f64> {
            random.sample(n, 2).iter().map(|&index| 10.0 * (index + 1) as f64).collect()
        };
        // All draws of a case are made one after the other.
        check(random, &case["random"], PythonRandom::random);
        check(random, &case["uniform(9.99, 24.5)"], |random| random.uniform(9.99, 24.5));
        check(random, &case["uniform(12.99, 0.81)"], |random| random.uniform(12.99, 0.81));
        check(random, &case["sample([10,20,30,40], 2)"], |random| tens(random, 4));
        check(random, &case["sample([10,20], 2)"], |random| tens(random, 2));
        check(random, &case["sample([10,20,30], 2)"], |random| tens(random, 3));
        assert_eq!(json!(random.sample(1008, 50)), case["sample(range(1008), 50)"]);
        assert_eq!(json!(random.sample(100, 50)), case["sample(range(100), 50)"]);
        for (n, key) in [(20, "shuffle(range(20))"), (1059, "shuffle(range(1059))[:12]")] {
            let mut list: Vec<usize> = (0..n).collect();
            random.shuffle(&mut list);
            list.truncate(case[key].as_array().unwrap().len());
            assert_eq!(json!(list), case[key]);
        }
        let letters = random.choices(26, 10).into_iter();
        let letters: String = letters.map(|index| char::from(b'a' + index as u8)).collect();
        assert_eq!(letters, case["choices(a-z, k=10)"]);
    }
    for case in vectors["numpy_choice_without_replacement"].as_array().unwrap() {
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let mut random = NumpyRandom::new(number("seed") as u32);
        for reset in case["resets"].as_array().unwrap() {
            let drawn = random.choice(number("hi") - number("lo"), number("size"));
            let drawn: Vec<usize> = drawn.into_iter().map(|index| number("lo") + index).collect();
            assert_eq!(json!(drawn), *reset);
        }
    }
}

#[test]
fn words_have_the_recorded_stems() {
    let Some(stems) = value::<BTreeMap<String, String>>("stems_public.json.xz") else { return };
    for (word, expected) in &stems {
        assert_eq!(&stem(word), expected, "{word}");
    }
    assert_eq!(stems.len(), 4806);
}

#[derive(Deserialize)]
struct Analysis {
    text: String,
    tokens: Vec<String>,
    lower_tokens: Option<Vec<String>>,
}

#[test]
fn texts_have_the_recorded_terms() {
    let Some(cases) = lines::<Analysis>("analysis_public.jsonl.xz") else { return };
    let mut different = Vec::new();
    for case in &cases {
        if analyze(&case.text) != case.tokens {
            different.push((&case.text, analyze(&case.text), &case.tokens));
        }
        let lower = case.text.to_lowercase();
        if let Some(expected) = &case.lower_tokens
            && analyze(&lower) != *expected
        {
            different.push((&case.text, analyze(&lower), expected));
        }
    }
    assert!(different.is_empty(), "{} of {}: {different:#?}", different.len(), cases.len());
}

#[derive(Deserialize)]
struct Query {
    query: String,
    tokens: Vec<String>,
    asins: Vec<String>,
    scores: Vec<f32>,
}

#[test]
fn searches_find_the_recorded_products_in_order_with_their_scores() {
    let Some(queries) = lines::<Query>("bm25_public.jsonl.xz") else { return };
    let shop = shop(config(Flavour::WebShop, GoalKind::Human, 42)).unwrap();
    for Query { query, tokens, asins, scores } in &queries {
        assert_eq!(&analyze(query), tokens, "{query}");
        let (found, shown): (Vec<&str>, Vec<f32>) = shop.search(query).into_iter().unzip();
        assert_eq!(&found, asins, "{query}");
        assert_eq!(&shown, scores, "{query}");
    }
    assert_eq!(queries.len(), 200);
}

#[test]
fn products_are_loaded_as_the_original_loads_them() {
    let Some(expected) = lines::<Value>("catalogue/products_loaded.jsonl.xz") else { return };
    let shop = shop(config(Flavour::WebShop, GoalKind::Human, 42)).unwrap();
    assert_eq!((shop.products().len(), expected.len()), (1008, 1008));
    assert_eq!(shop.skipped_products(), 3);
    for (product, expected) in shop.products().zip(&expected) {
        let options: serde_json::Map<String, Value> = product
            .options
            .iter()
            .map(|(name, values)| (name.to_string(), json!(values)))
            .collect();
        let names: Vec<&str> = product.options.iter().map(|(name, _)| *name).collect();
        let expected_names: Vec<&String> =
            expected["options"].as_object().unwrap().keys().collect();
        assert_eq!(names.len(), expected_names.len());
        let found = json!({
            "asin": product.asin, "Title": product.title, "Price": product.price,
            "pricing": expected["pricing"], "query": product.query, "options": options,
            "BulletPoints": product.bullets, "Attributes": product.attributes,
        });
        assert_eq!(found, *expected);
    }
}

/// A JSON value as Python's `json.dumps(value, sort_keys=True, ensure_ascii=False)` writes it.
fn python_json(value: &Value, out: &mut String) {
    match value {
        Value::Array(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                python_json(value, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            let sorted: BTreeMap<_, _> = members.iter().collect();
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                *out += &json!(key).to_string();
                out.push_str(": ");
                python_json(value, out);
            }
            out.push('}');
        }
        other => *out += &other.to_string(),
    }
}

#[test]
fn goals_and_prices_are_the_recorded_ones() {
    for (flavour, name, seed) in [
        (Flavour::WebShop, "webshop", 42),
        (Flavour::Verl, "verl", 0),
        (Flavour::Verl, "verl", 1000),
    ] {
        for (kind, kind_name) in [(GoalKind::Human, "human"), (GoalKind::Synthetic, "synthetic")] {
            let file = format!("goals/goals_A_{name}_{kind_name}_seed{seed}.jsonl.xz");
            let Some(lines) = lines::<Value>(&file) else { return };
            let shop = shop(config(flavour, kind, seed)).unwrap();
            let (about, listed) = lines.split_first().unwrap();
            assert_eq!(shop.goals() as u64, about["n_goals"], "{file}");
            let mut all = Vec::with_capacity(shop.goals());
            let mut weights = 0.0;
            for number in 0..shop.goals() {
                let goal = shop.goal(number).unwrap();
                weights += goal.weight;
                let mut goal = json!(goal);
                // Python tells whole numbers from others.
                if kind == GoalKind::Human {
                    goal["weight"] = json!(1);
                }
                if goal["price_upper"] == 1e6 {
                    goal["price_upper"] = json!(1_000_000);
                }
                let mut text = String::new();
                python_json(&goal, &mut text);
                if let Some(expected) = listed.get(number) {
                    let goal: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(goal, *expected, "{file}, goal {number}");
                }
                all.push(text);
            }
            let sum: String =
                Sha256::digest(all.join("\n")).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(sum, about["sha256_all"], "{file}");
            assert!(is_recorded(weights, &about["sum_weights"]), "{file}: {weights}");
        }
        let file = format!("goals/prices_A_seed{seed}.json.xz");
        let prices: BTreeMap<String, Value> = value(&file).unwrap();
        let shop = shop(config(flavour, GoalKind::Human, seed)).unwrap();
        for (asin, price) in &prices {
            assert!(is_recorded(shop.price(asin).unwrap(), price), "{file}: {asin}");
        }
        assert_eq!(prices.len(), shop.products().len());
    }
}

#[derive(Deserialize)]
struct RewardCase {
    human_goals: bool,
    seed: u64,
    goal_index: usize,
    asin: String,
    price: f64,
    options: serde_json::Map<String, Value>,
    reward: Value,
    info: Value,
}

#[test]
fn purchases_have_the_recorded_rewards() {
    let Some(cases) = lines::<RewardCase>("reward_public.jsonl.xz") else { return };
    assert_eq!(cases.len(), 500);
    for case in cases {
        let kind = if case.human_goals { GoalKind::Human } else { GoalKind::Synthetic };
        let shop = shop(config(Flavour::WebShop, kind, case.seed)).unwrap();
        let values: Vec<&str> =
            case.options.values().map(|value| value.as_str().unwrap()).collect();
        let parts = shop.reward(case.goal_index, &case.asin, &values, case.price).unwrap();
        let place = format!("{} for goal {}: {parts:?}", case.asin, case.goal_index);
        assert!(is_recorded(parts.reward, &case.reward), "{place}");
        let info = &case.info;
        assert!(is_recorded(parts.kind, &info["r_type"]), "{place}");
        assert_eq!(parts.query_match, info["query_match"], "{place}");
        assert_eq!(parts.category_match, info["category_match"], "{place}");
        assert!(is_recorded(parts.title_score, &info["title_score"]), "{place}");
        assert_eq!(parts.price, info["r_price"], "{place}");
        let share = |(met, of): (usize, usize)| met as f64 / of as f64;
        assert!(is_recorded(share(parts.attributes), &info["r_att"]), "{place}");
        let option = &info["r_option"];
        assert!(option.is_null() || is_recorded(share(parts.options), option), "{place}");
    }
}

#[test]
fn nouns_found_by_rules_agree_with_the_taggers() {
    let Some(given) = value::<BTreeMap<String, Vec<String>>>("catalogue/nouns.json.xz") else {
        return;
    };
    let (mut same, mut found, mut expected, mut common) = (0, 0, 0, 0);
    for (name, nouns) in &given {
        let own = find_nouns(name);
        let mut left = own.clone();
        for noun in nouns {
            if let Some(place) = left.iter().position(|other| other == noun) {
                left.swap_remove(place);
                common += 1;
            }
        }
        (same, found, expected) =
            (same + usize::from(own == *nouns), found + own.len(), expected + nouns.len());
    }
    let share = |of: usize| f64::from(common) / of as f64;
    println!(
        "{same} of {} names; precision {}, recall {}",
        given.len(),
        share(found),
        share(expected)
    );
    assert!(same * 100 >= 80 * given.len(), "{same} of {}", given.len());
    assert!(share(found) > 0.97 && share(expected) > 0.98);
}
