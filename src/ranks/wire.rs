//! Values as bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// A value as bytes. Numbers keep their bits.
///
/// # Errors
/// Fails if the value has no such form.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(value)
        .map_err(|error| Error::Run(format!("cannot send a value to other ranks: {error}")))
}

/// The value that has these bytes.
///
/// # Errors
/// Fails if they are those of another type.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| {
        Error::Run(format!(
            "cannot read what another rank sent: {error}; are all ranks of the same build?"
        ))
    })
}

/// Several byte strings as one.
pub(crate) fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut all = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_le_bytes());
        all.extend_from_slice(part);
    }
    all
}

/// The byte strings that [`join`] made one.
///
/// # Errors
/// Fails if they are cut short.
pub(crate) fn split(mut all: &[u8]) -> Result<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while !all.is_empty() {
        let part = all
            .split_first_chunk::<8>()
            .and_then(|(length, rest)| rest.split_at_checked(u64::from_le_bytes(*length) as usize));
        let Some((part, rest)) = part else {
            return Err(Error::Run("what another rank sent is cut short".into()));
        };
        parts.push(part);
        all = rest;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_strings_are_joined_and_split() {
        let parts = [vec![1, 2, 3], vec![], vec![4]];
        let all = join(&parts);
        assert_eq!(split(&all).unwrap(), parts);
        assert!(split(&all[..all.len() - 1]).is_err());
        assert!(split(&all[..3]).is_err());
        assert!(split(&[]).unwrap().is_empty());
    }

    #[test]
    fn numbers_keep_their_bits() {
        let values = vec![-0.0f32, f32::MIN_POSITIVE / 2.0, 0.1, f32::NAN];
        let read: Vec<f32> = decode(&encode(&values).unwrap()).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&values));
        assert!(decode::<Vec<f32>>(&[200]).is_err());
    }
}
