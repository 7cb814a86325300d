//! Everything that the sessions of a shop share.

use std::cmp::Ordering;
use std::sync::Arc;

use super::bm25::{Hit, Index};
use super::catalogue::Catalogue;
use super::config::Flavour;
use super::goals::{Goal, Goals};
use super::nouns::Nouns;
use super::python::strip;

/// A catalogue with its goals and its search engine. All but the goals is shared with variations.
#[derive(Debug)]
pub(crate) struct Shop {
    pub catalogue: Arc<Catalogue>,
    pub goals: Goals,
    pub index: Arc<Index>,
    pub nouns: Arc<Nouns>,
    pub flavour: Flavour,
    pub shows_attributes: bool,
}

impl Shop {
    /// The same shop with other goals.
    pub fn with_goals(&self, goals: Goals) -> Self {
        Self {
            catalogue: self.catalogue.clone(),
            goals,
            index: self.index.clone(),
            nouns: self.nouns.clone(),
            flavour: self.flavour,
            shows_attributes: self.shows_attributes,
        }
    }

    pub fn goal(&self, index: usize) -> Goal<'_> {
        self.goals.get(&self.catalogue, index)
    }

    /// The nouns in the name of a product.
    pub fn nouns(&self, product: usize) -> Vec<String> {
        self.nouns.of(&self.catalogue, product)
    }

    /// The products that a search finds, in order. `<c> category` and `<q> query` list all products of
    /// a kind; searches with which the original fails find nothing.
    pub fn search(&self, query: &str) -> Vec<u32> {
        let catalogue = &self.catalogue;
        let (command, rest) = query.split_once(' ').unwrap_or((query, ""));
        let sold = 0..catalogue.len() as u32;
        match command {
            "<a>" => Vec::new(),
            "<c>" if !query.contains(' ') => Vec::new(),
            "<c>" => {
                let category = strip(rest.split(' ').next().unwrap_or_default());
                sold.filter(|&product| catalogue.product(product as usize).category() == category)
                    .collect()
            }
            "<q>" => {
                let wanted = strip(rest);
                sold.filter(|&product| catalogue.product(product as usize).query() == wanted)
                    .collect()
            }
            _ => self.hits(query).into_iter().map(|hit| hit.document).collect(),
        }
    }

    /// The products that the search engine finds, among its best documents those that are sold.
    pub fn hits(&self, query: &str) -> Vec<Hit> {
        let mut hits = self.index.search(query, |a, b| self.by_asin(a, b));
        hits.retain(|hit| (hit.document as usize) < self.catalogue.len());
        hits
    }

    fn by_asin(&self, a: u32, b: u32) -> Ordering {
        let asin = |product: u32| self.catalogue.product(product as usize).asin();
        asin(a).cmp(asin(b))
    }
}
