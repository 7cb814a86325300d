//! Language models that choose among texts by their probabilities as wholes.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use proxmo::device::{Backend, open};
use proxmo::lm::{Continuation, Decoder, End, Sampling, Task, Trie, score};
use proxmo::stream::{Purpose, Stream};

use crate::lm_generate::{choices, generator, tokens};
use crate::support::shared::shared;

fn model(name: &str, backend: Backend) -> Option<Decoder> {
    let folder = shared(&format!("lm/models/{name}"))?;
    let Ok(opened) = open(backend, 0) else {
        println!("SKIPPED: no device for {backend:?}");
        return None;
    };
    Some(Decoder::open(&folder, &opened.device).unwrap())
}

/// Texts that share beginnings; the model wants to write none of them.
fn trie() -> Trie {
    Trie::new(&choices(), Some(2)).unwrap()
}

fn task(trie: &Trie, sampling: Sampling, row: usize) -> Task<'_> {
    let rng = Stream::new(5, Purpose::Tokens).of(row, 0).rng();
    Task {
        name: "row",
        sampling,
        rng,
        max_tokens: 1,
        stop_ids: &[],
        choices: Some(trie),
        is_tempered: false,
    }
}

/// The log-probability with which the model writes each choice, by scoring whole sequences.
fn brute_force(model: &Decoder, trie: &Trie, prompt: &[u32]) -> Vec<f64> {
    let of = |choice: usize| {
        let whole = [prompt, trie.tokens(choice)].concat();
        let scores = score(model, &[&whole], false).unwrap().remove(0);
        scores.log_probs[prompt.len() - 1..].iter().map(|&one| f64::from(one)).sum()
    };
    (0..trie.len()).map(of).collect()
}

fn choice_of(found: &Continuation) -> usize {
    match found.end {
        End::Choice(choice) => choice,
        other => panic!("ended by {other:?}"),
    }
}

fn the_most_probable_choice_is_found_on(backend: Backend) {
    for name in ["llama", "llama3-sharded-bf16", "qwen2", "qwen3"] {
        let Some(model) = model(name, backend) else { return };
        let trie =
            Trie::new(&(0..30).map(|seed| tokens(2, seed)).collect::<Vec<_>>(), None).unwrap();
        let prompts: Vec<Vec<u32>> = (0..12).map(|row| tokens(3 + 2 * row, row as u32)).collect();
        let mut generator = generator(&model);
        let rows: Vec<_> = prompts.iter().map(|prompt| generator.add(prompt).unwrap()).collect();
        let tasks = rows.iter().map(|&row| (row, task(&trie, Sampling::greedy(), 0))).collect();
        let all = generator.choose(tasks).unwrap();
        let mut distinct = BTreeSet::new();
        for ((prompt, &row), found) in prompts.iter().zip(&rows).zip(&all) {
            let exact = brute_force(&model, &trie, prompt);
            let choice = choice_of(found);
            distinct.insert(choice);
            let best = exact.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!(exact[choice] > best - 1e-5, "{name}: choice {choice} of {exact:?}");
            assert_eq!(found.ids, trie.tokens(choice));
            assert_eq!(generator.ids(row), [prompt.as_slice(), &found.ids].concat());
            let sum: f64 = found.log_probs.iter().map(|&one| f64::from(one)).sum();
            assert!((sum - exact[choice]).abs() < 1e-4, "{name}: {sum}, {}", exact[choice]);
            let whole = [prompt.as_slice(), &found.ids].concat();
            let scores = score(&model, &[&whole], false).unwrap().remove(0);
            let entropy = &scores.entropy[prompt.len() - 1..whole.len() - 1];
            for (found, expected) in found.entropy.iter().zip(entropy) {
                assert!((found - expected).abs() < 1e-4, "{name}: entropy {found}, {expected}");
            }
        }
        assert!(distinct.len() > 1, "{name}: all prompts lead to the same choice");
    }
}

#[test]
fn the_most_probable_choice_is_found_on_the_cpu() {
    the_most_probable_choice_is_found_on(Backend::Flex);
}

#[cfg(feature = "wgpu")]
#[test]
fn the_most_probable_choice_is_found_on_vulkan() {
    the_most_probable_choice_is_found_on(Backend::Vulkan);
}

#[test]
fn choices_are_drawn_by_their_probabilities_as_wholes() {
    let Some(model) = model("qwen2", Backend::Flex) else { return };
    let trie = trie();
    let prompt = tokens(12, 4);
    const DRAWS: usize = 4000;
    for temperature in [1.0, 2.5] {
        let sampling = Sampling { temperature, ..Sampling::default() };
        let mut generator = generator(&model);
        let of = |row: usize| task(&trie, sampling.clone(), row);
        let tasks = (0..DRAWS).map(|row| (generator.add(&prompt).unwrap(), of(row))).collect();
        let found = generator.choose(tasks).unwrap();
        let mut counts = vec![0.0; trie.len()];
        found.iter().for_each(|one| counts[choice_of(one)] += 1.0);
        let weights = tempered(&model, &trie, &prompt, temperature);
        let total: f64 = weights.iter().sum();
        for (count, weight) in counts.iter().zip(&weights) {
            let share = weight / total;
            // Five standard deviations.
            let bound = 5.0 * (share * (1.0 - share) / DRAWS as f64).sqrt();
            let difference = (count / DRAWS as f64 - share).abs();
            assert!(difference <= bound, "{counts:?}, {share} at temperature {temperature}");
        }
    }
}

/// The probability of writing each choice at a temperature, from the logits of whole sequences.
fn tempered(model: &Decoder, trie: &Trie, prompt: &[u32], temperature: f64) -> Vec<f64> {
    let of = |choice: usize| {
        let tokens = trie.tokens(choice);
        let own = |at: usize| {
            let whole = [prompt, &tokens[..at]].concat();
            let logits = score(model, &[&whole], true).unwrap().remove(0).logits_last.unwrap();
            let weight = |logit: &f32| (f64::from(*logit) / temperature).exp();
            weight(&logits[tokens[at] as usize]) / logits.iter().map(weight).sum::<f64>()
        };
        (0..tokens.len()).map(own).product()
    };
    (0..trie.len()).map(of).collect()
}

#[test]
fn a_choice_depends_on_its_own_sequence_and_seed_alone_and_the_sequence_goes_on() {
    let Some(model) = model("qwen3", Backend::Flex) else { return };
    let trie = trie();
    let prompts: Vec<Vec<u32>> = (0..5).map(|row| tokens(30 - 4 * row, row as u32)).collect();
    let chosen = |order: &[usize]| {
        let mut generator = generator(&model);
        let rows: Vec<_> = order.iter().map(|&row| generator.add(&prompts[row]).unwrap()).collect();
        let task = |row: usize| task(&trie, Sampling::default(), row);
        let tasks = rows.iter().zip(order).map(|(&at, &row)| (at, task(row))).collect();
        let found = generator.choose(tasks).unwrap();
        // What follows is what a new generator writes after the same tokens.
        for &row in &rows {
            generator.append(row, &[40, 41]).unwrap();
            let free = || Task {
                choices: None,
                max_tokens: 6,
                ..self::task(&trie, Sampling::greedy(), 0)
            };
            let whole = generator.ids(row).to_vec();
            let mut go_on = |_: usize, _: u32| Ok(ControlFlow::Continue(()));
            let living = generator.run(vec![(row, free())], &mut go_on).unwrap();
            let mut anew = crate::lm_generate::generator(&model);
            let fed = anew.add(&whole).unwrap();
            let anew = anew.run(vec![(fed, free())], &mut go_on).unwrap();
            assert_eq!(living[0].ids, anew[0].ids);
        }
        found
    };
    let together = chosen(&[0, 1, 2, 3, 4]);
    let reversed = chosen(&[4, 3, 2, 1, 0]);
    for row in 0..5 {
        let alone = &chosen(&[row])[0];
        assert_eq!(together[row].ids, alone.ids);
        assert_eq!(together[row].ids, reversed[4 - row].ids);
    }
}

#[test]
fn choosing_without_choices_is_refused() {
    let Some(model) = model("llama", Backend::Flex) else { return };
    let mut generator = generator(&model);
    let row = generator.add(&[1, 2]).unwrap();
    let trie = trie();
    let task = Task { choices: None, ..task(&trie, Sampling::greedy(), 0) };
    let error = generator.choose(vec![(row, task)]).unwrap_err().to_string();
    assert!(error.contains("there are no choices"), "{error}");
}
