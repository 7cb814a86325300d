//! Pages: what a shopper sees and can click.

use std::collections::HashSet;

use super::catalogue::Product;
use super::python::{strip, write_float, write_html_json};

/// How many products a page of results has.
pub(crate) const PAGE: usize = 10;

pub(crate) const SEARCH: &str = "search";
pub(crate) const BACK_TO_SEARCH: &str = "back to search";
pub(crate) const NEXT: &str = "next >";
pub(crate) const PREVIOUS: &str = "< prev";
pub(crate) const BUY_NOW: &str = "buy now";

/// The page of an item that says more about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Description,
    Features,
    Reviews,
    Attributes,
}

impl Detail {
    pub const ALL: [Self; 4] = [Self::Description, Self::Features, Self::Reviews, Self::Attributes];

    /// What stands on its button, in lower case.
    pub fn button(self) -> &'static str {
        match self {
            Self::Description => "description",
            Self::Features => "features",
            Self::Reviews => "reviews",
            Self::Attributes => "attributes",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Description => "Description",
            Self::Features => "Features",
            Self::Reviews => "Reviews",
            Self::Attributes => "Attributes",
        }
    }
}

/// Where the shopper is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Page {
    Search,
    Results,
    Item,
    Detail(Detail),
    /// The end, with the reward.
    Done(f64),
}

/// Writes a page as elements with ` [SEP] ` between them.
pub(crate) struct Writer<'a> {
    out: &'a mut String,
    is_first: bool,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut String) -> Self {
        Self { out, is_first: true }
    }

    fn separate(&mut self) -> &mut String {
        if !self.is_first {
            self.out.push_str(" [SEP] ");
        }
        self.is_first = false;
        self.out
    }

    /// An element that every such page has.
    pub fn fixed(&mut self, text: &str) {
        self.separate().push_str(text);
    }

    /// A text of the catalogue, as it comes back from the original's HTML: stripped, and if it is
    /// only white space, an empty element or none.
    pub fn data(&mut self, text: &str) {
        if !text.is_empty() {
            self.padded(text);
        }
    }

    /// [`Writer::data`] of a text with a space before it: never without an element of its own for its
    /// emptiness.
    fn padded(&mut self, text: &str) {
        let is_blank = |c: char| matches!(c, ' ' | '\n' | '\t' | '\x0c' | '\r');
        if text.chars().all(is_blank) {
            if !text.contains('\n') {
                self.separate();
            }
            return;
        }
        self.separate().push_str(strip(text));
    }

    pub fn search_page(&mut self, instruction: &str) {
        self.fixed("WebShop");
        self.instruction(instruction);
        self.fixed("Search");
    }

    fn instruction(&mut self, instruction: &str) {
        self.fixed("Instruction:");
        self.data(instruction);
    }

    fn head(&mut self, instruction: &str) {
        self.instruction(instruction);
        self.fixed("Back to Search");
    }

    /// A page of results: its number, how many results there are on all pages, its products.
    pub fn results<'p>(
        &mut self,
        instruction: &str,
        number: i64,
        total: usize,
        products: impl Iterator<Item = Product<'p>>,
    ) {
        self.head(instruction);
        self.fixed(&format!("Page {number} (Total results: {total})"));
        if number > 1 {
            self.fixed("< Prev");
        }
        self.fixed("Next >");
        for product in products {
            self.data(product.asin());
            self.data(product.title());
            product.write_tag(self.separate());
        }
    }

    pub fn item(&mut self, instruction: &str, product: Product, shows_attributes: bool) {
        self.head(instruction);
        self.fixed("< Prev");
        for option in product.options() {
            self.data(option.name());
            option.values().for_each(|value| self.data(value));
        }
        self.data(product.title());
        let out = self.separate();
        out.push_str("Price: ");
        product.write_tag(out);
        self.fixed("Rating: N.A.");
        for detail in Detail::ALL {
            if detail != Detail::Attributes || shows_attributes {
                self.fixed(detail.title());
            }
        }
        self.fixed("Buy Now");
    }

    pub fn detail<'p>(
        &mut self,
        instruction: &str,
        product: Product,
        detail: Detail,
        attributes: impl Iterator<Item = &'p str>,
    ) {
        self.head(instruction);
        self.fixed("< Prev");
        match detail {
            Detail::Description => self.data(product.description()),
            Detail::Features => product.bullets().for_each(|bullet| self.padded(bullet)),
            Detail::Reviews => {}
            Detail::Attributes => {
                attributes.for_each(|attribute| self.padded(attribute));
                for text in [product.category(), product.query(), product.product_category()] {
                    self.data(text);
                }
            }
        }
    }

    /// The end: the bought product, the chosen options with their names, the reward.
    pub fn done(&mut self, asin: &str, options: &mut [(&str, &str)], reward: f64) {
        for text in [
            "Thank you for shopping with us!",
            "Your code:",
            "None",
            "(Paste it in your MTurk interface.)",
            "Purchased",
            "asin",
            asin,
            "options",
        ] {
            self.fixed(text);
        }
        options.sort_unstable_by_key(|(name, _)| *name);
        let out = self.separate();
        out.push('{');
        for (number, (name, value)) in options.iter().enumerate() {
            out.push_str(if number == 0 { "" } else { ", " });
            write_html_json(name, out);
            out.push_str(": ");
            write_html_json(value, out);
        }
        out.push('}');
        for text in [
            "attrs",
            "None",
            "category",
            "None",
            "query",
            "None",
            "product category",
            "None",
            "Target",
            "asin",
            "options",
            "attrs",
            "price upper",
            "instuction text",
            "category",
            "product category",
            "query",
            "Goal",
            "None",
            "Reward",
            "Your score (min 0.0, max 1.0)",
        ] {
            self.fixed(text);
        }
        write_float(reward, self.separate());
        self.fixed("Reward Details");
        self.fixed("None");
    }
}

/// Appends what can be clicked on a page of results.
pub(crate) fn results_clickables<'p>(
    number: i64,
    products: impl Iterator<Item = Product<'p>>,
    found: &mut dyn FnMut(&str),
) {
    found(BACK_TO_SEARCH);
    if number > 1 {
        found(PREVIOUS);
    }
    found(NEXT);
    products.for_each(|product| found(&product.asin().to_lowercase()));
}

/// Appends what can be clicked on an item's page: each text once, at its first place.
pub(crate) fn item_clickables<'p>(
    product: Product<'p>,
    shows_attributes: bool,
    found: &mut dyn FnMut(&str),
) {
    let mut seen: HashSet<&'p str> = HashSet::new();
    let details = Detail::ALL
        .into_iter()
        .filter(|&detail| detail != Detail::Attributes || shows_attributes)
        .map(Detail::button);
    let buttons = [BACK_TO_SEARCH, PREVIOUS].into_iter().chain(details).chain([BUY_NOW]);
    let values = product.options().flat_map(|option| option.values());
    let mut once = |text: &'p str| {
        if seen.insert(text) {
            found(text);
        }
    };
    for text in buttons {
        once(text);
    }
    values.for_each(once);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_an_empty_element_and_with_a_line_break_none() {
        let mut out = String::new();
        let mut page = Writer::new(&mut out);
        page.fixed("a");
        for text in ["", "  ", "\n ", " b [SEP] <c> "] {
            page.data(text);
        }
        page.padded("");
        page.fixed("z");
        assert_eq!(out, "a [SEP]  [SEP] b [SEP] <c> [SEP]  [SEP] z");
    }
}
