//! Language models: caches, sampling, stops and choices.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor};
use proxmo::Error;
use proxmo::device::{Backend, open, read};
use proxmo::lm::{
    Branch, Cache, Continuation, Decoder, End, Generator, RowId, Sampling, StopText, Task,
    Tokenizer, Trie, score, score_branches,
};
use proxmo::stream::{Purpose, Stream};
use serde_json::Value;

use crate::support::shared::shared;

const MODELS: [&str; 4] = ["llama", "llama3-sharded-bf16", "qwen2", "qwen3"];
const TOLERANCE: f32 = 1e-4;

fn flex() -> Device {
    open(Backend::Flex, 0).unwrap().device
}

fn model(name: &str, device: &Device) -> Option<Decoder> {
    let folder = shared(&format!("lm/models/{name}"))?;
    Some(Decoder::open(&folder, device).unwrap())
}

fn assert_close(found: &[f32], expected: &[f32], subject: &str) {
    assert_eq!(found.len(), expected.len(), "{subject}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= TOLERANCE, "{subject}: {found}, expected {expected}");
    }
}

/// Arbitrary tokens of a vocabulary of 500.
pub fn tokens(count: usize, seed: u32) -> Vec<u32> {
    (0..count as u32).map(|at| (at * 7919 + seed * 104_729 + 13) % 500).collect()
}

/// Hidden states of sequences that grow together by the given pieces, joined by sequence.
fn grown(
    model: &Decoder,
    device: &Device,
    rows: &[Vec<u32>],
    pieces: &[&[usize]],
) -> Vec<Vec<f32>> {
    let width = model.config().hidden;
    let mut cache = Cache::new(model.config(), device);
    let ids: Vec<RowId> = rows.iter().map(|_| cache.add()).collect();
    let mut hidden = vec![Vec::new(); rows.len()];
    for sizes in pieces {
        let sized =
            rows.iter().zip(&ids).zip(*sizes).enumerate().filter(|(_, (_, size))| **size > 0);
        let new: Vec<(usize, RowId, &[u32])> = sized
            .map(|(index, ((row, &id), &size))| (index, id, &row[cache.tokens(id)..][..size]))
            .collect();
        let batch: Vec<(RowId, &[u32])> = new.iter().map(|&(_, id, ids)| (id, ids)).collect();
        let states = read(model.extend(&mut cache, &batch).unwrap()).unwrap();
        let mut states = states.chunks_exact(width);
        for (index, _, ids) in new {
            (0..ids.len()).for_each(|_| hidden[index].extend(states.next().unwrap()));
        }
    }
    hidden
}

fn caches_agree_on(backend: Backend) {
    let Ok(opened) = open(backend, 0) else {
        println!("SKIPPED: no device for {backend:?}");
        return;
    };
    for name in MODELS {
        let Some(model) = model(name, &opened.device) else { return };
        let rows = [tokens(70, 1), tokens(3, 2), tokens(41, 3)];
        let pieces: [&[usize]; 4] = [&[37, 1, 0], &[1, 1, 20], &[0, 1, 20], &[32, 0, 1]];
        let together = grown(&model, &opened.device, &rows, &pieces);
        for (row, together) in rows.iter().zip(&together) {
            let whole = read(model.hidden(&[row]).unwrap()).unwrap();
            assert_close(together, &whole, name);
        }
    }
}

#[test]
fn sequences_that_grow_in_a_cache_have_the_states_of_whole_sequences_on_the_cpu() {
    caches_agree_on(Backend::Flex);
}

#[cfg(feature = "wgpu")]
#[test]
fn sequences_that_grow_in_a_cache_have_the_states_of_whole_sequences_on_vulkan() {
    caches_agree_on(Backend::Vulkan);
}

/// A task without choices and stop tokens.
fn task(sampling: Sampling, row: usize, max_tokens: usize) -> Task<'static> {
    let rng = Stream::new(3, Purpose::Tokens).of(row, 0).rng();
    Task {
        name: "row",
        sampling,
        rng,
        max_tokens,
        stop_ids: &[],
        choices: None,
        is_tempered: false,
    }
}

pub fn generator(model: &Decoder) -> Generator<'_> {
    Generator::new(model, Cache::new(model.config(), &model.device()))
}

/// Continues prompts in one batch, without a look at the tokens.
fn continued(model: &Decoder, tasks: Vec<(&[u32], Task)>) -> Vec<Continuation> {
    let mut generator = generator(model);
    let tasks = tasks.into_iter().map(|(ids, task)| (generator.add(ids).unwrap(), task)).collect();
    generator.run(tasks, &mut |_, _| Ok(ControlFlow::Continue(()))).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|one| one.as_u64().unwrap() as u32).collect()
}

/// The sequences of a reference model: prompts and greedy continuations.
fn greedy_references(name: &str) -> Option<Vec<(Vec<u32>, Vec<u32>)>> {
    let path = shared(&format!("lm/models/{name}/reference.json.xz"))?;
    let file = liblzma::read::XzDecoder::new(fs::File::open(path).unwrap());
    let reference: Value = serde_json::from_reader(file).unwrap();
    let sequences = reference["sequences"].as_array().unwrap().clone();
    Some(sequences.iter().map(|one| (ids(&one["ids"]), ids(&one["greedy"]))).collect())
}

fn greedy_continuations_agree_on(backend: Backend) {
    let Ok(opened) = open(backend, 0) else {
        println!("SKIPPED: no device for {backend:?}");
        return;
    };
    for name in MODELS {
        let Some(references) = greedy_references(name) else { return };
        let model = model(name, &opened.device).unwrap();
        let tasks = references.iter().enumerate().map(|(row, (prompt, greedy))| {
            (prompt.as_slice(), task(Sampling::greedy(), row, greedy.len()))
        });
        let found = continued(&model, tasks.collect());
        for (found, (_, greedy)) in found.iter().zip(&references) {
            assert_eq!(&found.ids, greedy, "{name}");
            assert_eq!(found.end, End::MaxTokens);
        }
    }
}

#[test]
fn reference_models_continue_greedily_as_transformers_does_on_the_cpu() {
    greedy_continuations_agree_on(Backend::Flex);
}

#[cfg(feature = "wgpu")]
#[test]
fn reference_models_continue_greedily_as_transformers_does_on_vulkan() {
    greedy_continuations_agree_on(Backend::Vulkan);
}

#[test]
fn log_probabilities_and_entropies_of_generation_are_those_of_scoring() {
    for name in MODELS {
        let Some(model) = model(name, &flex()) else { return };
        let prompts = [tokens(20, 1), tokens(1, 2), tokens(7, 3)];
        let cold = Sampling { temperature: 0.6, top_k: 40, top_p: 0.9 };
        let settings = [Sampling::default(), cold, Sampling::greedy()];
        let tasks = prompts.iter().zip(settings).enumerate();
        let tasks = tasks.map(|(row, (ids, sampling))| (&ids[..], task(sampling, row, 5 + row)));
        let found = continued(&model, tasks.collect());
        for (prompt, found) in prompts.iter().zip(&found) {
            let whole = [prompt.as_slice(), &found.ids].concat();
            let scores = &score(&model, &[&whole], false).unwrap()[0];
            let first = prompt.len() - 1;
            assert_close(&found.log_probs, &scores.log_probs[first..], name);
            assert_close(&found.entropy, &scores.entropy[first..whole.len() - 1], name);
        }
    }
}

#[test]
fn a_seed_gives_the_same_tokens_alone_in_any_batch_and_in_any_order() {
    let Some(model) = model("llama", &flex()) else { return };
    let prompts: Vec<Vec<u32>> = (0..6).map(|row| tokens(1 + 5 * row, row as u32)).collect();
    let of = |row: usize| (prompts[row].as_slice(), task(Sampling::default(), row, 4 + 3 * row));
    let together = continued(&model, (0..6).map(of).collect());
    let mut reversed = continued(&model, (0..6).rev().map(of).collect());
    reversed.reverse();
    for row in 0..6 {
        let alone = &continued(&model, vec![of(row)])[0];
        assert_eq!(together[row].ids.len(), 4 + 3 * row);
        for other in [&reversed[row], alone] {
            assert_eq!(together[row].ids, other.ids, "row {row}");
            assert_close(&together[row].log_probs, &other.log_probs, "log-probabilities");
        }
    }
    let other_seed = Task {
        rng: Stream::new(4, Purpose::Tokens).of(5, 0).rng(),
        ..task(Sampling::default(), 5, 19)
    };
    assert_ne!(continued(&model, vec![(&prompts[5], other_seed)])[0].ids, together[5].ids);
}

#[test]
fn a_living_sequence_goes_on_as_one_that_is_fed_anew() {
    let Some(model) = model("qwen3", &flex()) else { return };
    let mut watch = |_: usize, _: u32| Ok(ControlFlow::Continue(()));
    let mut living = generator(&model);
    let rows: Vec<RowId> = (0..3).map(|row| living.add(&tokens(9, row)).unwrap()).collect();
    let greedy = |rows: &[RowId]| {
        rows.iter().map(|&row| (row, task(Sampling::greedy(), 0, 4))).collect::<Vec<_>>()
    };
    living.run(greedy(&rows), &mut watch).unwrap();
    // A row rests, one leaves, and another takes its memory.
    living.append(rows[0], &tokens(17, 5)).unwrap();
    living.remove(rows[1]);
    let new = living.add(&tokens(2, 6)).unwrap();
    living.run(greedy(&[new, rows[0]]), &mut watch).unwrap();
    living.append(rows[2], &tokens(30, 7)).unwrap();
    let last = living.run(greedy(&[rows[2], new, rows[0]]), &mut watch).unwrap();
    for (row, last) in [rows[2], new, rows[0]].into_iter().zip(&last) {
        let (before, own) = living.ids(row).split_at(living.ids(row).len() - 4);
        assert_eq!(own, last.ids);
        let anew = &continued(&model, vec![(before, task(Sampling::greedy(), 0, 4))])[0];
        assert_eq!(anew.ids, last.ids);
        assert_close(&anew.log_probs, &last.log_probs, "log-probabilities");
    }
    assert!(living.ids(rows[1]).is_empty());
    assert!(living.append(rows[1], &[1]).is_err());
}

#[test]
fn a_continuation_ends_at_a_stop_token_the_limit_the_context_or_the_callers_word() {
    let Some(model) = model("llama", &flex()) else { return };
    let prompt = tokens(10, 1);
    let free = &continued(&model, vec![(&prompt, task(Sampling::greedy(), 0, 8))])[0];
    let end_of = |task: Task, stop_after: usize| {
        let mut generator = generator(&model);
        let row = generator.add(&prompt).unwrap();
        let mut seen = 0;
        let run = generator.run(vec![(row, task)], &mut |_, _| {
            seen += 1;
            Ok(if seen == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        let found = run.unwrap().remove(0);
        assert_eq!(found.ids, free.ids[..found.ids.len()]);
        assert_eq!(found.ids.len(), found.log_probs.len());
        (found.ids.len(), found.end)
    };
    let stop = free.ids[2];
    let first = free.ids.iter().position(|&id| id == stop).unwrap();
    let stop_ids = [stop];
    let stopping = Task { stop_ids: &stop_ids, ..task(Sampling::greedy(), 0, 8) };
    assert_eq!(end_of(stopping, 0), (first + 1, End::StopToken));
    assert_eq!(end_of(task(Sampling::greedy(), 0, 8), 2), (2, End::Stopped));
    assert_eq!(end_of(task(Sampling::greedy(), 0, 0), 0), (0, End::MaxTokens));

    let context = model.config().context;
    let long = tokens(context - 3, 2);
    let found = &continued(&model, vec![(&long, task(Sampling::greedy(), 0, 8))])[0];
    assert_eq!((found.ids.len(), found.end), (3, End::Context));
    let error = generator(&model).add(&tokens(context + 1, 2)).unwrap_err();
    assert!(matches!(error, Error::ContextOverflow { tokens, .. } if tokens == context + 1));
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn a_cache_beyond_its_limit_is_an_error_that_changes_nothing() {
    let Some(model) = model("llama", &flex()) else { return };
    let empty = Cache::new(model.config(), &model.device());
    let limit = empty.bytes_of(64);
    let mut cache = empty.with_limit(limit);
    let (one, two) = (cache.add(), cache.add());
    let ids = tokens(40, 1);
    let extend = |cache: &mut Cache, row, ids: &[u32]| model.extend(cache, &[(row, ids)]);
    extend(&mut cache, one, &ids).unwrap();
    let error = extend(&mut cache, two, &ids[..17]).unwrap_err();
    assert!(matches!(error, Error::CacheFull { tokens: 80, limit: 64 }), "{error}");
    assert_eq!((cache.tokens(two), error.exit_code()), (0, 1));
    extend(&mut cache, two, &ids[..16]).unwrap();
    assert_eq!(cache.bytes(), limit);
    cache.remove(one);
    extend(&mut cache, two, &ids[..30]).unwrap();
    assert_eq!(cache.tokens(two), 46);
    let twice: [(RowId, &[u32]); 2] = [(two, &ids[..1]), (two, &ids[..1])];
    assert!(model.extend(&mut cache, &twice).unwrap_err().to_string().contains("occurs twice"));
}

/// Choices that share beginnings, one of them the beginning of others.
pub fn choices() -> Vec<Vec<u32>> {
    let lists: [&[u32]; 7] =
        [&[5, 6, 7], &[5, 6, 8, 9], &[5, 6], &[5, 20, 21, 22], &[30], &[5, 6, 8, 10], &[30, 31]];
    lists.iter().map(|ids| ids.to_vec()).collect()
}

/// The log-probability of each choice after a prompt, from the logits of whole sequences.
fn brute_force(model: &Decoder, trie: &Trie, prompt: &[u32]) -> Vec<f64> {
    let of = |choice: usize| {
        let tokens = trie.tokens(choice);
        let own = |at: usize| {
            let others = (0..trie.len()).map(|other| trie.tokens(other));
            let mut next: Vec<u32> = others
                .filter(|other| other.len() > at && other[..at] == tokens[..at])
                .map(|other| other[at])
                .collect();
            next.sort_unstable();
            next.dedup();
            let whole = [prompt, &tokens[..at]].concat();
            let logits = score(model, &[&whole], true).unwrap().remove(0).logits_last.unwrap();
            let logit = |token: u32| f64::from(logits[token as usize]);
            let total: f64 = next.iter().map(|&token| logit(token).exp()).sum();
            logit(tokens[at]) - total.ln()
        };
        (0..tokens.len()).map(own).sum()
    };
    (0..trie.len()).map(of).collect()
}

#[test]
fn constrained_draws_have_the_exact_distribution_over_all_choices() {
    let Some(model) = model("qwen2", &flex()) else { return };
    let trie = Trie::new(&choices(), Some(2)).unwrap();
    let prompt = tokens(12, 4);
    let exact = brute_force(&model, &trie, &prompt);
    assert!((exact.iter().map(|p| p.exp()).sum::<f64>() - 1.0).abs() < 1e-6);
    const DRAWS: usize = 4000;
    let tasks = (0..DRAWS).map(|row| {
        (&prompt[..], Task { choices: Some(&trie), ..task(Sampling::default(), row, 1) })
    });
    let mut counts = vec![0.0; trie.len()];
    for found in continued(&model, tasks.collect()) {
        let End::Choice(choice) = found.end else { panic!("ended by {:?}", found.end) };
        counts[choice] += 1.0;
        assert_eq!(found.ids, trie.tokens(choice));
        let sum: f64 = found.log_probs.iter().map(|&one| f64::from(one)).sum();
        assert!((sum - exact[choice]).abs() < 1e-4, "choice {choice}: {sum}, {}", exact[choice]);
    }
    for (count, exact) in counts.iter().zip(&exact) {
        // Five standard deviations.
        let (mean, deviation) = (exact.exp(), (exact.exp() * (1.0 - exact.exp())).sqrt());
        let bound = 5.0 * deviation / (DRAWS as f64).sqrt();
        assert!((count / DRAWS as f64 - mean).abs() <= bound, "{counts:?}, {exact}");
    }
}

#[test]
fn rows_of_one_batch_may_have_different_choices_or_none() {
    let Some(model) = model("llama", &flex()) else { return };
    let tries = [
        Trie::new(&choices(), Some(2)).unwrap(),
        Trie::new(&[vec![40, 41, 42]], None).unwrap(),
        Trie::new(&[vec![50, 51], vec![60]], None).unwrap(),
    ];
    let prompts: Vec<Vec<u32>> = (0..4).map(|row| tokens(3 + row, row as u32)).collect();
    let of = |row: usize| {
        let task = Task { choices: tries.get(row), ..task(Sampling::default(), row, 6) };
        (prompts[row].as_slice(), task)
    };
    let together = continued(&model, (0..4).map(of).collect());
    for (row, together) in together.iter().enumerate() {
        let alone = &continued(&model, vec![of(row)])[0];
        assert_eq!((&together.ids, together.end), (&alone.ids, alone.end));
        assert_close(&together.log_probs, &alone.log_probs, "log-probabilities");
    }
    assert_eq!(together[1].ids, [40, 41, 42]);
    assert_eq!((&together[1].log_probs[..], together[1].end), (&[0.0; 3][..], End::Choice(0)));
    assert_eq!((together[3].ids.len(), together[3].end), (6, End::MaxTokens));
}

#[test]
fn scoring_branches_gives_the_numbers_of_constrained_generation_and_gradients() {
    let Some(model) = model("llama", &flex().autodiff()) else { return };
    let Some(plain) = self::model("llama", &flex()) else { return };
    let trie = Trie::new(&choices(), Some(2)).unwrap();
    let prompt = tokens(12, 4);
    let drawn: BTreeMap<usize, Continuation> = (0..40)
        .map(|row| {
            let task = Task { choices: Some(&trie), ..task(Sampling::default(), row, 1) };
            continued(&plain, vec![(&prompt, task)]).remove(0)
        })
        .filter_map(|found| match found.end {
            End::Choice(choice) => Some((choice, found)),
            _ => None,
        })
        .collect();
    assert!(drawn.len() > 3);
    for (choice, found) in drawn {
        let branches = trie.branches(choice);
        let whole = [&prompt[..], trie.tokens(choice)].concat();
        let places: Vec<i32> =
            branches.iter().map(|branch| (prompt.len() + branch.at - 1) as i32).collect();
        let places = Tensor::<1, Int>::from_data(places.as_slice(), &model.device());
        let hidden = model.hidden(&[&whole]).unwrap().select(0, places);
        let scores = score_branches(&model, hidden, &branches.iter().collect::<Vec<_>>()).unwrap();
        let at = |all: &[f32]| branches.iter().map(|branch| all[branch.at]).collect::<Vec<f32>>();
        let log_probs = read(scores.log_probs.clone().inner()).unwrap();
        assert_close(&log_probs, &at(&found.log_probs), "log-probabilities");
        let entropies = read(scores.entropies.clone().inner()).unwrap();
        assert_close(&entropies, &at(&found.entropy), "entropies");
        // The gradient along itself is what a small step changes.
        let start = hidden_of(&model, &whole, &branches, prompt.len());
        let total = |hidden: Tensor<2>| {
            let scores =
                score_branches(&model, hidden, &branches.iter().collect::<Vec<_>>()).unwrap();
            scores.log_probs.sum() + scores.entropies.sum()
        };
        let variable = start.clone().require_grad();
        let gradient = variable.grad(&total(variable.clone()).backward()).unwrap();
        let slope = read(gradient.clone().square().sum()).unwrap()[0];
        let step = 1e-2 / slope.sqrt().max(1e-3);
        let shifted = |by: f32| {
            let moved = start.clone().inner() + gradient.clone().mul_scalar(by);
            read(total(Tensor::from_inner(moved)).inner()).unwrap()[0]
        };
        let measured = (shifted(step) - shifted(-step)) / (2.0 * step);
        assert!((measured - slope).abs() <= 0.02 * slope + 1e-3, "{measured}, {slope}");
    }
}

/// The hidden states before the decisions of a choice, as constants.
fn hidden_of(model: &Decoder, whole: &[u32], branches: &[Branch], prompt: usize) -> Tensor<2> {
    let places: Vec<i32> = branches.iter().map(|branch| (prompt + branch.at - 1) as i32).collect();
    let hidden = model.hidden(&[whole]).unwrap().inner();
    let places = Tensor::<1, Int>::from_data(places.as_slice(), &hidden.device());
    Tensor::from_inner(hidden.select(0, places))
}

#[test]
fn stop_strings_are_found_across_tokens_and_nothing_of_them_is_shown() {
    let Some(folder) = shared("lm/models/qwen2") else { return };
    let tokenizer = Tokenizer::open(&folder).unwrap();
    let text = "go to sinkbasin 1\nand then wash the mug";
    let ids = tokenizer.encode(text).unwrap();
    for stop in ["\nand", "n wash", "wash", "go", "mug", "basin 1\n", "absent"] {
        let stops = ["never".to_string(), stop.to_string()];
        let mut found = StopText::new(&tokenizer, &stops);
        let mut shown = String::new();
        for &id in &ids {
            shown += &found.push(id).unwrap();
            if found.is_stopped() {
                break;
            }
            assert!(text.starts_with(&shown));
        }
        assert_eq!(found.is_stopped(), stop != "absent", "{stop:?} in {shown:?}");
        let (whole, rest) = found.finish().unwrap();
        let expected = text.find(stop).map_or(text, |at| &text[..at]);
        assert_eq!(whole, expected, "{stop}");
        assert_eq!(shown + &rest, expected, "{stop}");
    }
}
