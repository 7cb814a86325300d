//! A rank's part of an exchange: bytes, or the error because of which there are none.

use serde::{Deserialize, Serialize};

use super::wire::{decode, encode};
use crate::error::{Error, Result};

/// The last byte of a frame with bytes.
const BYTES: u8 = 0;
/// The last byte of a frame with an error.
const ERROR: u8 = 1;

/// An error in the form in which it travels.
#[derive(Serialize, Deserialize)]
enum Sent {
    Input { place: String, message: String },
    Setting { key: String, message: String },
    Device(String),
    Environment(String),
    Other { message: String, exit_code: u8 },
}

impl Sent {
    fn of(error: &Error) -> Self {
        match error {
            Error::Input { place, message } => {
                Self::Input { place: place.clone(), message: message.clone() }
            }
            Error::Setting { key, message } => {
                Self::Setting { key: key.clone(), message: message.clone() }
            }
            Error::Device(message) => Self::Device(message.clone()),
            Error::Environment(message) => Self::Environment(message.clone()),
            other => Self::Other { message: other.to_string(), exit_code: other.exit_code() },
        }
    }

    /// The error, with the rank that it comes from where it may be that of one machine only.
    fn into_error(self, rank: usize) -> Error {
        let of_rank = |message: String| format!("rank {rank}: {message}");
        match self {
            Self::Setting { key, message } => Error::Setting { key, message },
            Self::Input { place, message } => Error::Input { place: of_rank(place), message },
            Self::Device(message) => Error::Device(of_rank(message)),
            Self::Environment(message) => Error::Environment(of_rank(message)),
            Self::Other { message, exit_code: 2 } => Error::input(format!("rank {rank}"), message),
            Self::Other { message, .. } => Error::Run(of_rank(message)),
        }
    }
}

/// The frame of a result.
pub(super) fn frame(result: Result<Vec<u8>, &Error>) -> Vec<u8> {
    match result {
        Ok(mut bytes) => {
            bytes.push(BYTES);
            bytes
        }
        Err(error) => {
            let mut frame = encode(&Sent::of(error)).unwrap_or_default();
            frame.push(ERROR);
            frame
        }
    }
}

/// The result in the frame of a rank.
pub(super) fn open(mut frame: Vec<u8>, rank: usize) -> Result<Vec<u8>> {
    match frame.pop() {
        Some(BYTES) => Ok(frame),
        Some(ERROR) => Err(decode::<Sent>(&frame)?.into_error(rank)),
        _ => Err(Error::Run(format!("rank {rank} sent a frame without a kind"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::Path;

    #[test]
    fn an_error_keeps_its_exit_code_and_names_its_rank() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let errors = [
            Error::input("a.toml:1", "wrong"),
            Error::setting("run.seed", "wrong"),
            Error::Device("no such device".into()),
            Error::Environment("broke".into()),
            Error::Run("broke".into()),
            Error::io("read", Path::new("x"))(missing),
            Error::io("write", Path::new("x"))(full),
        ];
        for error in &errors {
            let read = open(frame(Err(error)), 3).unwrap_err();
            assert_eq!(read.exit_code(), error.exit_code(), "{error}");
            let names_rank = read.to_string().contains("rank 3: ");
            assert_eq!(names_rank, !matches!(error, Error::Setting { .. }), "{read}");
        }
        let read = open(frame(Err(&errors[3])), 3).unwrap_err();
        assert!(matches!(read, Error::Environment(_)));
        assert_eq!(open(frame(Ok(vec![1, 2])), 0).unwrap(), [1, 2]);
        assert!(open(Vec::new(), 0).is_err());
    }
}
