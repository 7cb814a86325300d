//! Properties of tokenizers on arbitrary texts and tokens.

use std::sync::OnceLock;

use crate::support::shared::shared;
use proptest::prelude::*;
use proxmo::lm::{Bpe, BpeOptions, Tokenizer};

/// A tokenizer of bytes; the tokenizers of references; one of them falls back to bytes.
fn tokenizers() -> &'static [(String, Tokenizer)] {
    static ALL: OnceLock<Vec<(String, Tokenizer)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let texts = ["go to shelf 1", "go to shelf 2", "take mug 1 from shelf 1", "Größe, größer"];
        let new = Bpe::train(texts.into_iter(), &BpeOptions::default()).unwrap();
        let mut all = vec![("new".to_string(), new.tokenizer().unwrap())];
        if let Some(models) = shared("lm/models") {
            for name in ["llama", "llama3-sharded-bf16", "qwen2"] {
                all.push((name.into(), Tokenizer::open(&models.join(name)).unwrap()));
            }
        }
        all
    })
}

/// The text that a stream gives, piece by piece.
fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    let mut stream = tokenizer.stream();
    let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
    pieces.push(stream.finish().unwrap());
    pieces
}

/// Texts of everything that tokenizers treat in special ways.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ \n\ta-c0-9'é日🦀]{0,40}",
        "(go to |shelf |1|<\\|im_start\\|>|<\\|end\\|>|<s>|\u{301}|\u{fffd}){0,12}",
    ]
}

proptest! {
    #[test]
    fn a_text_is_decoded_from_its_tokens(text in texts()) {
        for (name, tokenizer) in tokenizers() {
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert!(ids.iter().all(|&id| (id as usize) < tokenizer.size()));
            // The SentencePiece form marks spaces: special tokens and its own mark lose theirs.
            if name != "llama" {
                prop_assert_eq!(&tokenizer.decode(&ids).unwrap(), &text, "{}", name);
            } else if !text.contains(['<', '▁', ' ']) {
                prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text.clone());
            }
        }
    }

    #[test]
    fn the_pieces_of_a_stream_are_the_decoded_text(text in texts()) {
        for (name, tokenizer) in tokenizers() {
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(streamed(tokenizer, &ids).concat(), tokenizer.decode(&ids).unwrap(), "{}", name);
        }
    }

    #[test]
    fn the_pieces_of_arbitrary_tokens_are_their_decoded_text(seeds in prop::collection::vec(any::<u32>(), 0..40)) {
        for (name, tokenizer) in tokenizers() {
            // Beyond the size there are rows of an embedding without a token.
            let ids: Vec<u32> = seeds.iter().map(|seed| seed % (tokenizer.size() as u32 + 4)).collect();
            let pieces = streamed(tokenizer, &ids);
            prop_assert_eq!(pieces.concat(), tokenizer.decode(&ids).unwrap(), "{}", name);
        }
    }
}

#[test]
fn a_piece_never_ends_within_a_character() {
    for (name, tokenizer) in tokenizers() {
        let text = "🦀日本 é";
        let ids = tokenizer.encode(text).unwrap();
        let pieces = streamed(tokenizer, &ids);
        assert!(pieces.iter().all(|piece| !piece.contains('\u{fffd}')), "{name}: {pieces:?}");
        assert_eq!(pieces.concat(), text, "{name}");
        // A character that is cut off by the end is reported as such.
        let crab = tokenizer.encode("a🦀").unwrap();
        let pieces = streamed(tokenizer, &crab[..crab.len() - 1]);
        let (last, before) = pieces.split_last().unwrap();
        assert_eq!((before.concat().as_str(), last.contains('\u{fffd}')), ("a", true), "{name}");
    }
    // Whether bytes are a character depends on all of their row, which an id without a token does not
    // end.
    let (_, llama) =
        tokenizers().iter().find(|(name, _)| name == "llama").unwrap_or(&tokenizers()[0]);
    for ids in [vec![6, 640, 134], vec![201, 175, 640], vec![201, 175, 261, 340]] {
        assert_eq!(streamed(llama, &ids).concat(), llama.decode(&ids).unwrap(), "{ids:?}");
    }
}
