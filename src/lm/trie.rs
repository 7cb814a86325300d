//! The choices of a constrained continuation, as a tree of their tokens.
//!
//! A continuation walks from the root to a leaf. Where one token can follow, it is forced: it has
//! probability 1 and needs no decision. Where several can, one is drawn from the model's distribution
//! over these tokens alone. So the probability of a choice is the product over its branches, and all
//! choices' probabilities add up to 1.

use std::collections::BTreeMap;

use super::config::ModelConfig;
use crate::error::{Error, Result};

/// A place in a tree.
pub(super) type Node = usize;

/// A tree of choices.
///
/// A choice that is the beginning of another ends with an end token, which is then one of its tokens; at
/// its last text token, the model so decides between the end and the longer choices.
#[derive(Debug, Clone, PartialEq)]
pub struct Trie {
    /// By node: the tokens that can follow and the nodes that they lead to, by token.
    nodes: Vec<BTreeMap<u32, Node>>,
    /// By node: the choice that ends there, for leaves.
    ends: Vec<Option<usize>>,
    /// The tokens of each choice.
    choices: Vec<Vec<u32>>,
    end: Option<u32>,
}

/// What follows a node.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// One token, and the node that it leads to.
    Forced(u32, Node),
    /// One of several tokens, in ascending order.
    Branch(Vec<u32>),
    /// The end of a choice.
    End(usize),
}

/// A decision among tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Tokens of the choice before the decision.
    pub at: usize,
    /// The tokens that can follow, in ascending order: at least two.
    pub options: Vec<u32>,
    /// The token that the choice has there, as a place among the options.
    pub chosen: usize,
}

impl Trie {
    /// The tree of choices, each a list of tokens. `end` ends a choice that is the beginning of another.
    ///
    /// # Errors
    /// Returns an error if there is no choice, or one is empty, equals another, holds the end token, or
    /// is the beginning of another although there is no end token.
    pub fn new(choices: &[Vec<u32>], end: Option<u32>) -> Result<Self> {
        let refuse = |index: usize, message: String| {
            Err(Error::input("choices", format!("choice {} {message}", index + 1)))
        };
        if choices.is_empty() {
            return Err(Error::input("choices", "there are none, expected at least one"));
        }
        let mut trie =
            Self { nodes: vec![BTreeMap::new()], ends: vec![None], choices: choices.to_vec(), end };
        for (index, choice) in choices.iter().enumerate() {
            if choice.is_empty() {
                return refuse(index, "has no tokens".into());
            }
            if let Some(end) = end.filter(|end| choice.contains(end)) {
                return refuse(index, format!("holds token {end}, which ends a text"));
            }
            let node = choice.iter().fold(0, |node, &token| trie.child(node, token));
            if let Some(other) = trie.ends[node].replace(index) {
                return refuse(index, format!("has the tokens of choice {}", other + 1));
            }
        }
        for node in 0..trie.nodes.len() {
            if let Some(choice) = trie.ends[node].take_if(|_| !trie.nodes[node].is_empty()) {
                let Some(end) = end else {
                    let message = "is the beginning of another, and no token ends a text";
                    return refuse(choice, message.into());
                };
                let leaf = trie.child(node, end);
                trie.ends[leaf] = Some(choice);
                trie.choices[choice].push(end);
            }
        }
        Ok(trie)
    }

    fn child(&mut self, node: Node, token: u32) -> Node {
        let next = self.nodes.len();
        let child = *self.nodes[node].entry(token).or_insert(next);
        if child == next {
            self.nodes.push(BTreeMap::new());
            self.ends.push(None);
        }
        child
    }

    /// The number of choices.
    pub fn len(&self) -> usize {
        self.choices.len()
    }

    /// Whether there are no choices. Never.
    pub fn is_empty(&self) -> bool {
        self.choices.is_empty()
    }

    /// The tokens of a choice, with the end token if it is the beginning of another.
    pub fn tokens(&self, choice: usize) -> &[u32] {
        &self.choices[choice]
    }

    /// Tokens of the longest choice.
    pub fn longest(&self) -> usize {
        self.choices.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// The token that ends a choice which is the beginning of another.
    pub fn end(&self) -> Option<u32> {
        self.end
    }

    /// Checks that a model can complete every choice after a sequence of `before` tokens.
    ///
    /// # Errors
    /// Returns an error if a token is out of range, or the longest choice exceeds the context.
    pub fn check(&self, config: &ModelConfig, before: usize) -> Result<()> {
        let (tokens, context) = (before + self.longest(), config.context);
        if tokens > context {
            return Err(Error::ContextOverflow { tokens, context });
        }
        let highest = self.choices.iter().flatten().copied().max().unwrap_or(0);
        if highest as usize >= config.vocabulary {
            let vocabulary = config.vocabulary;
            let message = format!("id {highest} is out of range, the vocabulary is {vocabulary}");
            return Err(Error::input("choices", message));
        }
        Ok(())
    }

    /// What follows a node. The root is node 0.
    pub(super) fn next(&self, node: Node) -> Next {
        if let Some(choice) = self.ends[node] {
            return Next::End(choice);
        }
        let mut children = self.nodes[node].iter();
        match (children.next(), children.next()) {
            (Some((&token, &child)), None) => Next::Forced(token, child),
            _ => Next::Branch(self.nodes[node].keys().copied().collect()),
        }
    }

    /// The node that a token leads to.
    pub(super) fn step(&self, node: Node, token: u32) -> Node {
        self.nodes[node][&token]
    }

    /// The decisions that lead to a choice. The log-probability of the choice is the sum of theirs.
    pub fn branches(&self, choice: usize) -> Vec<Branch> {
        let mut node = 0;
        let mut branches = Vec::new();
        for (at, token) in self.choices[choice].iter().enumerate() {
            let children = &self.nodes[node];
            if children.len() > 1 {
                let chosen = children.range(..token).count();
                branches.push(Branch { at, options: children.keys().copied().collect(), chosen });
            }
            node = children[token];
        }
        branches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_where_choices_part_and_a_beginning_of_another_takes_the_end_token() {
        let choices = [vec![1, 2, 3], vec![1, 2, 4, 5], vec![1, 2], vec![7]];
        let trie = Trie::new(&choices, Some(0)).unwrap();
        assert_eq!(trie.tokens(2), [1, 2, 0]);
        assert_eq!(trie.tokens(1), [1, 2, 4, 5]);
        let branch = |at, options: &[u32], chosen| Branch { at, options: options.to_vec(), chosen };
        let first = branch(0, &[1, 7], 0);
        assert_eq!(trie.branches(0), [first.clone(), branch(2, &[0, 3, 4], 1)]);
        assert_eq!(trie.branches(1), [first.clone(), branch(2, &[0, 3, 4], 2)]);
        assert_eq!(trie.branches(2), [first, branch(2, &[0, 3, 4], 0)]);
        assert_eq!(trie.branches(3), [branch(0, &[1, 7], 1)]);
    }

    #[test]
    fn choices_that_cannot_be_told_apart_are_refused() {
        for (choices, says) in [
            (vec![], "there are none"),
            (vec![vec![1], vec![]], "choice 2 has no tokens"),
            (vec![vec![1, 2], vec![3], vec![1, 2]], "choice 3 has the tokens of choice 1"),
            (vec![vec![1, 9, 2]], "choice 1 holds token 9"),
        ] {
            let error = Trie::new(&choices, Some(9)).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        let error = Trie::new(&[vec![1], vec![1, 2]], None).unwrap_err().to_string();
        assert!(error.contains("choice 1 is the beginning of another"), "{error}");
    }
}
