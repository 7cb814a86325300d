//! Where the parts of a shop are read from: files, or bytes in memory.

use std::io::Read;

use super::bm25::{Postings, build};
use super::catalogue::Catalogue;
use crate::error::{Error, Result};

/// Where the search index came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexOrigin {
    /// It was made, and is in memory alone.
    Built,
    /// It was made and saved beside the catalogue.
    Saved,
    /// It was read from a file beside the catalogue.
    Loaded,
}

/// Where the parts of a shop are read from.
pub(super) trait Sources {
    fn items(&mut self, limit: Option<usize>) -> Result<Catalogue>;

    fn attributes<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<T>;

    fn human<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<T>;

    fn nouns<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<Option<T>>;

    fn index(
        &mut self,
        documents: usize,
        write_document: impl Fn(usize, &mut String) + Sync + Send,
    ) -> Result<(Postings, IndexOrigin)>;
}

/// Files that are in memory.
pub(super) struct MemorySources<'a> {
    pub items: &'a [u8],
    pub attributes: &'a [u8],
    pub human: Option<&'a [u8]>,
    pub nouns: Option<&'a [u8]>,
}

impl Sources for MemorySources<'_> {
    fn items(&mut self, limit: Option<usize>) -> Result<Catalogue> {
        Catalogue::read(self.items, "items", limit)
    }

    fn attributes<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<T> {
        read(Box::new(self.attributes), "attributes")
    }

    fn human<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<T> {
        let human = self.human.ok_or_else(|| {
            Error::input("human instructions", "are not given, and human goals need them")
        })?;
        read(Box::new(human), "human instructions")
    }

    fn nouns<T>(
        &mut self,
        read: impl FnOnce(Box<dyn Read + Send + '_>, &str) -> Result<T>,
    ) -> Result<Option<T>> {
        self.nouns.map(|nouns| read(Box::new(nouns), "nouns")).transpose()
    }

    fn index(
        &mut self,
        documents: usize,
        write_document: impl Fn(usize, &mut String) + Sync + Send,
    ) -> Result<(Postings, IndexOrigin)> {
        Ok((build(documents, write_document), IndexOrigin::Built))
    }
}
