//! Many texts in few allocations.

/// Texts laid end to end, and the lengths of lists among them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Block {
    text: String,
    ends: Vec<u32>,
    /// Numbers that say how many of the texts belong to what, read by whoever wrote them.
    pub counts: Vec<u32>,
}

impl Block {
    /// How many bytes of text a block holds before the next is begun.
    pub const BYTES: usize = 1 << 20;

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Appends a text. A block holds less than 4 GiB: its writers begin another one after
    /// [`Block::BYTES`] and one element.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    pub fn get(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.text[start..self.ends[index] as usize]
    }

    /// Takes back the texts from `len` and the counts from `counts` on.
    pub fn truncate(&mut self, len: usize, counts: usize) {
        self.ends.truncate(len);
        self.text.truncate(self.ends.last().map_or(0, |&end| end as usize));
        self.counts.truncate(counts);
    }

    /// Gives back memory that is not used.
    pub fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.counts.shrink_to_fit();
    }

    /// How many bytes of memory it takes.
    pub fn memory(&self) -> usize {
        self.text.capacity() + 4 * (self.ends.capacity() + self.counts.capacity())
    }
}

/// Where a list of texts begins, and how many they are.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Span {
    block: u32,
    first: u32,
    pub len: u32,
}

/// Lists of texts.
#[derive(Debug, Default, Clone)]
pub(crate) struct Lists {
    blocks: Vec<Block>,
}

impl Lists {
    /// Appends a list.
    pub fn push<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> Span {
        if self.blocks.last().is_none_or(|block| block.bytes() >= Block::BYTES) {
            self.shrink();
            self.blocks.push(Block::default());
        }
        let block = self.blocks.len() - 1;
        let last = &mut self.blocks[block];
        let first = last.len();
        texts.into_iter().for_each(|text| last.push(text));
        Span { block: block as u32, first: first as u32, len: (last.len() - first) as u32 }
    }

    /// The text at `index` of a list.
    pub fn get(&self, span: Span, index: usize) -> &str {
        self.blocks[span.block as usize].get(span.first as usize + index)
    }

    /// The texts of a list.
    pub fn iter(&self, span: Span) -> impl DoubleEndedIterator<Item = &str> + Clone {
        (0..span.len as usize).map(move |index| self.get(span, index))
    }

    /// Gives back memory that is not used.
    pub fn shrink(&mut self) {
        if let Some(block) = self.blocks.last_mut() {
            block.shrink();
        }
    }

    /// How many bytes of memory they take, and how many of them are text.
    pub fn memory(&self) -> (usize, usize) {
        let sum = |of: fn(&Block) -> usize| self.blocks.iter().map(of).sum::<usize>();
        (sum(Block::memory), sum(Block::bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back_as_they_went_in() {
        let mut lists = Lists::default();
        let long = "x".repeat(Block::BYTES);
        let spans = [
            lists.push(["a", "", "b"]),
            lists.push([long.as_str()]),
            lists.push([]),
            lists.push(["c"]),
        ];
        let of = |span| lists.iter(span).collect::<Vec<_>>();
        assert_eq!(of(spans[0]), ["a", "", "b"]);
        assert_eq!(of(spans[1]), [long.as_str()]);
        assert_eq!(of(spans[2]), [""; 0]);
        assert_eq!(of(spans[3]), ["c"]);
        assert_eq!(lists.blocks.len(), 2);
        let (memory, text) = lists.memory();
        assert!(text == Block::BYTES + 3 && memory >= text);
    }

    #[test]
    fn what_is_taken_back_is_gone() {
        let mut block = Block::default();
        block.push("one");
        block.counts.push(1);
        block.push("two");
        block.truncate(1, 0);
        block.push("three");
        assert_eq!((block.get(0), block.get(1), block.len()), ("one", "three", 2));
        assert_eq!(block.bytes(), 8);
    }
}
