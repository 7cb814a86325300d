//! Text → state embeddings.
//!
//! An embedding gives every distinct observation a vector, so that "the same state" becomes "how
//! near a state". [`tfidf()`] is what the ProxMO paper uses, fitted on the batch at hand;
//! [`hashed()`] needs no fitting; [`DenseRows`] holds what comes from outside, such as a policy's own
//! encoder. Rows have unit length (or are all zero, for a text without a term), so that a dot
//! product is the cosine.

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
