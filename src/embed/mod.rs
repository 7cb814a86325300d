//! Embeddings of observation texts.
//!
//! An embedding maps every distinct observation to a vector, so that states are compared by proximity
//! instead of equality. [`tfidf()`] is the embedding of the ProxMO paper, fitted on the batch;
//! [`hashed()`] needs no fitting; [`DenseRows`] holds vectors from outside, such as those of a policy's
//! own encoder. Rows have unit length (or are zero, for a text without terms), so that a dot product is
//! the cosine.

mod dense;
mod hashed;
mod matrix;
mod sparse;
mod tfidf;
mod tokens;

pub use dense::DenseRows;
pub use hashed::hashed;
pub use matrix::Matrix;
pub use sparse::SparseRows;
pub use tfidf::{TfIdf, tfidf};
pub use tokens::{for_each_term, lowercase_into};
