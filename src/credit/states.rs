//! From a batch's observations to nodes and their embeddings, as the settings have it.

use super::batch::{CreditBatch, Embeddings};
use super::config::{CreditConfig, Embedding};
use super::nodes::Nodes;
use crate::embed::{DenseRows, Matrix, hashed, tfidf};
use crate::error::{Error, Result};

/// The states of a batch: what rows are merged into, and each one's embedding.
pub struct States {
    /// The nodes; an item is a row of the matrix.
    pub nodes: Nodes,
    /// The embeddings.
    pub matrix: Matrix,
}

impl States {
    /// Embeds a batch.
    ///
    /// # Errors
    /// Fails where the settings ask for embeddings that the batch does not bring.
    pub fn of(batch: &CreditBatch, config: &CreditConfig) -> Result<Self> {
        Ok(match config.embedding {
            Embedding::Tfidf => {
                let mut copies = vec![0; batch.texts.len()];
                batch.observations.iter().for_each(|&text| copies[text as usize] += 1);
                let rows = tfidf(batch.texts, &copies, config.max_features).rows;
                Self { nodes: Nodes::of_observations(batch), matrix: Matrix::Sparse(rows) }
            }
            Embedding::Hashed => {
                let rows = hashed(batch.texts, config.hash_features);
                Self { nodes: Nodes::of_observations(batch), matrix: Matrix::Sparse(rows) }
            }
            Embedding::Policy | Embedding::Given => match batch.embeddings {
                Some(Embeddings::Texts { values, width }) => Self {
                    nodes: Nodes::of_observations(batch),
                    matrix: Matrix::Dense(DenseRows::unit(values, width)),
                },
                Some(Embeddings::Steps { values, width }) => Self {
                    nodes: Nodes::of_rows(batch),
                    matrix: Matrix::Dense(DenseRows::unit(values, width)),
                },
                None => {
                    let message = "is 'given', but the batch has no embeddings";
                    return Err(Error::setting("credit.embedding", message));
                }
            },
        })
    }
}
