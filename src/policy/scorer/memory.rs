//! The scorer's memory of an episode, and the encoding of a step.
//!
//! Most of a long task is search, so the scorer needs a memory: which actions it has tried and what
//! followed. The memory is built from the observed texts and the actions taken, nothing else.

use std::collections::HashMap;

use super::inputs::{ACTION_FEATURES, ScorerInputs};
use super::mentions::MentionMemory;
use super::vocabulary::Vocabulary;
use crate::env::Texts;
use crate::policy::interface::Encoder;

/// The history of one action in this episode.
#[derive(Debug, Clone, Copy, Default)]
struct Past {
    times: u32,
    last_step: u32,
    /// The observation that followed it, 0 before that was seen.
    outcome: u32,
}

/// The scorer's memory of one episode.
#[derive(Debug, Clone)]
pub struct ScorerMemory {
    goal: u32,
    step: u32,
    last_action: u32,
    /// Per word: its number of occurrences in past actions. Ascending by word.
    words: Vec<(u32, u32)>,
    past: HashMap<u32, Past>,
    /// `None` if the scorer does not use mentions.
    mentions: Option<MentionMemory>,
}

/// The host half of the scorer.
#[derive(Debug, Clone, PartialEq)]
pub struct ScorerEncoder {
    /// The vocabulary of the network.
    pub vocabulary: Vocabulary,
    /// Step limit of an episode, by which progress is measured.
    pub max_steps: usize,
    /// Whether the features of mentions are written.
    pub mentions: bool,
}

impl Encoder for ScorerEncoder {
    type Inputs = ScorerInputs;
    type Memory = ScorerMemory;

    fn begin(&self, goal: &str, inputs: &mut ScorerInputs) -> ScorerMemory {
        ScorerMemory {
            goal: inputs.texts.intern(goal, &self.vocabulary),
            step: 0,
            last_action: 0,
            words: Vec::new(),
            past: HashMap::new(),
            mentions: self.mentions.then(|| MentionMemory::new(goal, &self.vocabulary)),
        }
    }

    fn encode(
        &self,
        memory: &mut ScorerMemory,
        observation: &str,
        admissible: &Texts,
        inputs: &mut ScorerInputs,
    ) {
        if let Some(mentions) = &mut memory.mentions {
            mentions.encode(observation, admissible, &mut inputs.mentions);
        }
        let observation = inputs.texts.intern(observation, &self.vocabulary);
        if let Some(past) = memory.past.get_mut(&memory.last_action) {
            past.outcome = observation;
        }
        inputs.goals.push(memory.goal);
        inputs.observations.push(observation);
        inputs.last_actions.push(memory.last_action);
        inputs.progress.push(memory.step as f32 / self.max_steps.max(1) as f32);
        for &(word, count) in &memory.words {
            inputs.history_words.push(word);
            inputs.history_counts.push((count as f32).ln_1p());
        }
        inputs.history_ends.push(inputs.history_words.len());
        let goal_weight = inputs.texts.shared_weight(memory.goal, memory.goal, &self.vocabulary);
        for action in admissible.iter() {
            let action = inputs.texts.intern(action, &self.vocabulary);
            let past = memory.past.get(&action).copied().unwrap_or_default();
            inputs.actions.push(action);
            inputs.outcomes.push(past.outcome);
            let features = self.features(memory, inputs, observation, action, past, goal_weight);
            inputs.features.extend_from_slice(&features);
        }
        inputs.action_ends.push(inputs.actions.len());
    }

    fn response(&self, admissible: &Texts, action: &str) -> Option<Vec<u32>> {
        admissible.position(action).map(|place| vec![place as u32])
    }

    fn acted(&self, memory: &mut ScorerMemory, action: &str, _: &[u32], inputs: &mut ScorerInputs) {
        if let Some(mentions) = &mut memory.mentions {
            mentions.acted(action);
        }
        let action = inputs.texts.intern(action, &self.vocabulary);
        memory.step += 1;
        memory.last_action = action;
        let past = memory.past.entry(action).or_default();
        past.times += 1;
        past.last_step = memory.step;
        for &word in inputs.texts.words(action) {
            match memory.words.binary_search_by_key(&word, |&(word, _)| word) {
                Ok(place) => memory.words[place].1 += 1,
                Err(place) => memory.words.insert(place, (word, 1)),
            }
        }
    }
}

impl ScorerEncoder {
    /// Features of an action besides its words: its history in the episode, and the overlap of its
    /// words and those of its last outcome with the goal and the observation.
    fn features(
        &self,
        memory: &ScorerMemory,
        inputs: &ScorerInputs,
        observation: u32,
        action: u32,
        past: Past,
        goal_weight: f32,
    ) -> [f32; ACTION_FEATURES] {
        let shared = |a, b| inputs.texts.shared_weight(a, b, &self.vocabulary);
        let share = |part: f32, whole: f32| if whole > 0.0 { part / whole } else { 0.0 };
        let own = shared(action, action);
        let with_goal = shared(action, memory.goal);
        let taken = past.times > 0;
        let age = (memory.step - past.last_step) as f32;
        [
            f32::from(u8::from(taken)),
            (past.times as f32).ln_1p(),
            if taken { 1.0 / (1.0 + age) } else { 0.0 },
            f32::from(u8::from(memory.last_action == action)),
            share(with_goal, goal_weight),
            share(with_goal, own),
            share(shared(action, observation), own),
            share(shared(past.outcome, memory.goal), goal_weight),
            share(shared(action, memory.last_action), own),
            memory.step as f32 / self.max_steps.max(1) as f32,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::interface::Inputs;

    fn encoder() -> ScorerEncoder {
        let json =
            r#"{"words":["go","open","shelf","safe","key"],"weights":[0.1,0.5,1.0,1.0,2.0]}"#;
        ScorerEncoder {
            vocabulary: serde_json::from_str(json).unwrap(),
            max_steps: 10,
            mentions: false,
        }
    }

    #[test]
    fn an_action_has_features_of_its_history_and_last_outcome() {
        let (encoder, mut inputs) = (encoder(), ScorerInputs::default());
        let actions: Texts = ["go shelf", "open safe"].into_iter().collect();
        let mut memory = encoder.begin("key", &mut inputs);
        encoder.encode(&mut memory, "a room", &actions, &mut inputs);
        encoder.acted(&mut memory, "open safe", &[], &mut inputs);
        encoder.encode(&mut memory, "a key", &actions, &mut inputs);

        assert_eq!(inputs.len(), 2);
        assert_eq!(inputs.outcomes, [0, 0, 0, inputs.observations[1]]);
        let feature = |action: usize, k: usize| inputs.features[action * ACTION_FEATURES + k];
        assert_eq!((feature(2, 0), feature(3, 0)), (0.0, 1.0));
        assert_eq!(
            (feature(2, 7), feature(3, 7)),
            (0.0, 1.0),
            "the outcome contains the goal's word"
        );
        assert_eq!(inputs.history_range(1).len(), 2);
        assert_eq!(inputs.progress, [0.0, 0.1]);
    }

    #[test]
    fn reordering_moves_whole_rows_and_drops_those_not_named() {
        let (encoder, mut inputs) = (encoder(), ScorerInputs::default());
        let mut memory = encoder.begin("key", &mut inputs);
        for (observation, actions) in
            [("a", vec!["go"]), ("b", vec!["open", "go shelf"]), ("c", vec![])]
        {
            let actions: Texts = actions.into_iter().collect();
            encoder.encode(&mut memory, observation, &actions, &mut inputs);
            encoder.acted(&mut memory, "open safe", &[], &mut inputs);
        }
        let before = inputs.clone();
        inputs.reorder(&[2, 1]);
        assert_eq!(inputs.len(), 2);
        assert_eq!(inputs.observations, [before.observations[2], before.observations[1]]);
        assert_eq!(inputs.actions[inputs.action_range(1)], before.actions[before.action_range(1)]);
        assert!(inputs.action_range(0).is_empty());
        assert_eq!(inputs.history_range(0), 0..2);
        assert_eq!(inputs.features.len(), 2 * ACTION_FEATURES);
    }
}
