//! From a batch's observations to nodes and their embeddings.

use super::config::{CreditConfig, Embedding};
use super::nodes::Nodes;
use crate::embed::{DenseRows, Matrix, hashed, tfidf};
use crate::episodes::{Batch, Embeddings};
use crate::error::{Error, Result};

/// The states that the rows of a batch are merged into, and their embeddings.
pub(crate) struct States {
    /// The nodes; an item is a row of the matrix.
    pub nodes: Nodes,
    /// The embeddings.
    pub matrix: Matrix,
}

impl States {
    /// Embeds a batch.
    ///
    /// # Errors
    /// Returns an error if the settings ask for embeddings or texts that the batch does not have.
    pub fn of(batch: &Batch, config: &CreditConfig) -> Result<Self> {
        Ok(match config.embedding {
            Embedding::Tfidf => {
                expect_texts(batch, "tfidf")?;
                let mut copies = vec![0; batch.texts().len()];
                batch.observations().iter().for_each(|&text| copies[text as usize] += 1);
                let rows = tfidf(batch.texts(), &copies, config.max_features).rows;
                Self { nodes: Nodes::of_observations(batch), matrix: Matrix::Sparse(rows) }
            }
            Embedding::Hashed => {
                expect_texts(batch, "hashed")?;
                let rows = hashed(batch.texts(), config.hash_features);
                Self { nodes: Nodes::of_observations(batch), matrix: Matrix::Sparse(rows) }
            }
            Embedding::Given | Embedding::Policy => match batch.embeddings() {
                Some(Embeddings::Texts { values, width }) => Self {
                    nodes: Nodes::of_observations(batch),
                    matrix: Matrix::Dense(DenseRows::unit(values, *width)),
                },
                Some(Embeddings::Steps { values, width }) => Self {
                    nodes: Nodes::of_rows(batch),
                    matrix: Matrix::Dense(DenseRows::unit(values, *width)),
                },
                None => {
                    let message = match config.embedding {
                        Embedding::Policy => {
                            "is 'policy', but only training has a policy; 'given' takes the \
                             embeddings in an episode file"
                        }
                        _ => "is 'given', but the batch has no embeddings",
                    };
                    return Err(Error::setting("credit.embedding", message));
                }
            },
        })
    }
}

/// Refuses to embed the texts of a batch that has steps without one.
fn expect_texts(batch: &Batch, embedding: &str) -> Result<()> {
    if batch.has_texts() {
        return Ok(());
    }
    let message = format!(
        "is '{embedding}', but the batch has steps without observation text; 'given' uses the steps' \
         embeddings"
    );
    Err(Error::setting("credit.embedding", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::{Episode, Step};

    #[test]
    fn missing_texts_and_embeddings_are_reported() {
        let refused = |batch: &Batch, embedding| {
            let config = CreditConfig { embedding, ..CreditConfig::default() };
            States::of(batch, &config).err().map(|error| error.to_string()).unwrap()
        };
        let step = Step::from_embedding(vec![1.0, 0.0], 0.0);
        let nameless = Batch::builder().group([Episode::new().steps([step])]).build().unwrap();
        for (embedding, name) in [(Embedding::Tfidf, "tfidf"), (Embedding::Hashed, "hashed")] {
            let message = refused(&nameless, embedding);
            assert!(message.contains(&format!("is '{name}', but the batch has steps without")));
        }
        let message = refused(&Batch::default(), Embedding::Given);
        assert!(message.ends_with("is 'given', but the batch has no embeddings"), "{message}");
    }
}
