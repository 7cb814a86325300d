//! Measures WebShop on a catalogue of 1.18 million products: how long loading and indexing take, and how
//! much memory.
//!
//! ```text
//! cargo run --release --example webshop_large -- CATALOGUE FOLDER [PRODUCTS]
//! ```
//!
//! `CATALOGUE` is a folder with a small catalogue (`items_shuffle_1000.json`, `items_ins_v2_1000.json`,
//! `items_human_ins.json`). A large one is made from it in `FOLDER`, with asins and rare words of its
//! own, and is left there: it takes some 3 GB and is the same every time. With a `FOLDER` that holds one
//! already, it is only loaded, so a second run loads the saved index.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use proxmo::env::webshop::{WebShop, WebShopConfig};
use proxmo::env::{Environment, Session};
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value};

/// The number of products of the published catalogue.
const PRODUCTS: usize = 1_180_000;

/// How many rare words are added to a product, and from how many.
const WORDS: usize = 12;
const VOCABULARY: f64 = 2_000_000.0;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [catalogue, folder, rest @ ..] = words.as_slice() else {
        return Err("expected CATALOGUE FOLDER [PRODUCTS]".into());
    };
    let products = rest.first().map_or(Ok(PRODUCTS), |word| word.parse())?;
    let folder = Path::new(folder);
    if !folder.join("items_shuffle.json").exists() {
        fs::create_dir_all(folder)?;
        let began = Instant::now();
        write_catalogue(Path::new(catalogue), folder, products)?;
        println!("written in {:.1} s", began.elapsed().as_secs_f64());
    }
    measure(folder)
}

/// Writes a catalogue in which every product is one of the small catalogue's with words of its own.
fn write_catalogue(from: &Path, to: &Path, products: usize) -> Result<(), Box<dyn Error>> {
    let read = |name: &str| -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_slice(&fs::read(from.join(name))?)?)
    };
    let items = read("items_shuffle_1000.json")?;
    let items = items.as_array().ok_or("the items are no list")?;
    let attributes = read("items_ins_v2_1000.json")?;
    fs::copy(from.join("items_human_ins.json"), to.join("items_human_ins.json"))?;
    let mut item_file = BufWriter::new(File::create(to.join("items_shuffle.part"))?);
    let mut attribute_file = BufWriter::new(File::create(to.join("items_ins_v2.json"))?);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    for number in 0..products {
        let (start, between) = if number == 0 { ("[", "{") } else { (", ", ", ") };
        let mut item = items[number % items.len()].clone();
        let old_asin = item["asin"].as_str().unwrap_or_default().to_string();
        let asin = if number < items.len() { old_asin.clone() } else { format!("C{number:09}") };
        item["asin"] = asin.as_str().into();
        let mut rare = String::new();
        for _ in 0..WORDS {
            // Frequent words have short numbers, as in any language.
            let word = VOCABULARY.powf(random.random::<f64>()) as u64;
            rare += &format!(" w{word:x}");
        }
        for key in ["name", "full_description"] {
            let text = item[key].as_str().unwrap_or_default();
            item[key] = format!("{text}{rare}").into();
        }
        write!(item_file, "{start}{item}")?;
        if let Some(entry) = attributes.get(&old_asin) {
            let entry = Map::from_iter([(asin, entry.clone())]);
            let text = Value::Object(entry).to_string();
            write!(attribute_file, "{between}{}", &text[1..text.len() - 1])?;
        }
    }
    item_file.write_all(b"]")?;
    attribute_file.write_all(b"}")?;
    attribute_file.flush()?;
    item_file.flush()?;
    Ok(fs::rename(to.join("items_shuffle.part"), to.join("items_shuffle.json"))?)
}

/// The memory of this process in MiB, now or at most; 0 where the system does not tell.
fn resident(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn measure(folder: &Path) -> Result<(), Box<dyn Error>> {
    let bytes = fs::metadata(folder.join("items_shuffle.json"))?.len();
    let began = Instant::now();
    let shop = WebShop::load(folder, None, WebShopConfig::default())?;
    let seconds = began.elapsed().as_secs_f64();
    let memory = shop.memory();
    let mib = |bytes: usize| bytes >> 20;
    println!(
        "{} products of {} MiB of JSON loaded in {seconds:.1} s, index {:?}",
        shop.products().len(),
        bytes >> 20,
        shop.index_origin()
    );
    println!(
        "text {} MiB; products {} MiB ({:.2} times the text), index {} MiB, goals {} MiB",
        mib(memory.text),
        mib(memory.products),
        memory.products as f64 / memory.text as f64,
        mib(memory.index),
        mib(memory.goals)
    );
    println!("process: {} MiB now, {} MiB at most", resident("VmRSS"), resident("VmHWM"));
    let mut text = String::new();
    for query in ["w1f", "red shoes for women", "premium tea tree conditioner with gift box w7 w3a"]
    {
        let began = Instant::now();
        let mut session = shop.session(0, 0)?;
        session.step(&format!("search[{query}]"))?;
        text.clear();
        session.observe(&mut text);
        println!("search[{query}]: {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    }
    println!("{} goals", shop.tasks());
    Ok(())
}
