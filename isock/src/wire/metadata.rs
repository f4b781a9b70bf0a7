//! What travels in front of a call's input: a list of numbered entries.

use super::{u16_at, u64_at};

/// The longest metadata of a call, in bytes.
pub const MAX_METADATA: usize = 8 * 1024;
/// Number and length of an entry, in bytes.
const ENTRY: usize = 4;
/// The longest metadata that a program can add to a call, in bytes: one entry that is alone.
pub const MAX_OWN_METADATA: usize = MAX_METADATA - ENTRY;
/// Steps of a chain that travel; the oldest are left out of a longer one.
pub const MAX_CHAIN: usize = 16;

/// The program's own bytes.
const OWN: u16 = 1;
/// The calls that wait for this one.
const CHAIN: u16 = 2;

/// A call that waits for the one that it travels with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainStep {
    /// The program whose handler made it: random.
    pub process: u64,
    /// Its number there.
    pub call: u64,
}

impl ChainStep {
    const LEN: usize = 16;
}

/// The metadata of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// What the calling program says.
    pub own: Vec<u8>,
    /// The calls that wait for this one, the oldest first.
    pub chain: Vec<ChainStep>,
}

impl Metadata {
    /// Bytes that it needs.
    pub fn encoded_len(&self) -> usize {
        let own = if self.own.is_empty() { 0 } else { ENTRY + self.own.len() };
        own + chain_len(self.chain_that_fits(own))
    }

    /// Appends it. A chain that has no room beside the program's own bytes is left out.
    pub fn write(&self, out: &mut Vec<u8>) {
        let before = out.len();
        if !self.own.is_empty() {
            entry(OWN, self.own.len(), out);
            out.extend_from_slice(&self.own);
        }
        let chain = self.chain_that_fits(out.len() - before);
        if !chain.is_empty() {
            entry(CHAIN, chain.len() * ChainStep::LEN, out);
        }
        for step in chain {
            out.extend_from_slice(&step.process.to_le_bytes());
            out.extend_from_slice(&step.call.to_le_bytes());
        }
    }

    /// The latest steps.
    fn chain_that_fits(&self, before: usize) -> &[ChainStep] {
        let chain = &self.chain[self.chain.len().saturating_sub(MAX_CHAIN)..];
        match before + chain_len(chain) <= MAX_METADATA {
            true => chain,
            false => &[],
        }
    }

    /// Reads it; `None` if its entries do not add up. Those of other numbers are skipped, and of
    /// several with one number the last one counts.
    pub fn parse(mut bytes: &[u8]) -> Option<Metadata> {
        let mut metadata = Metadata::default();
        while !bytes.is_empty() {
            let len = usize::from(u16_at(bytes.get(..ENTRY)?, 2));
            let content = bytes.get(ENTRY..ENTRY + len)?;
            match u16_at(bytes, 0) {
                OWN => metadata.own = content.to_vec(),
                CHAIN => metadata.chain = parse_chain(content),
                _ => {}
            }
            bytes = &bytes[ENTRY + len..];
        }
        Some(metadata)
    }
}

fn chain_len(chain: &[ChainStep]) -> usize {
    if chain.is_empty() {
        return 0;
    }
    ENTRY + chain.len() * ChainStep::LEN
}

fn entry(number: u16, len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
    // What does not fit a u16 is above the limit of all metadata.
    out.extend_from_slice(&(len as u16).to_le_bytes());
}

/// A chain is advice: one that is none, or too long, is no reason to refuse a call.
fn parse_chain(content: &[u8]) -> Vec<ChainStep> {
    if content.len() % ChainStep::LEN != 0 || content.len() > MAX_CHAIN * ChainStep::LEN {
        return Vec::new();
    }
    let step = |step| ChainStep { process: u64_at(step, 0), call: u64_at(step, 8) };
    content.chunks_exact(ChainStep::LEN).map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: u64) -> ChainStep {
        ChainStep { process: 0x0807_0605_0403_0201, call: number }
    }

    fn written(metadata: &Metadata) -> Vec<u8> {
        let mut bytes = Vec::new();
        metadata.write(&mut bytes);
        assert_eq!(bytes.len(), metadata.encoded_len());
        bytes
    }

    #[test]
    fn p142_entries_of_other_numbers_are_skipped() {
        let bytes = [9, 0, 1, 0, 7, 1, 0, 1, 0, b'x', 0xff, 0xff, 0, 0];
        let own = Metadata::parse(&bytes).map(|metadata| metadata.own);
        assert_eq!(own, Some(b"x".to_vec()));
    }

    #[test]
    fn p143_entries_that_do_not_add_up_are_none() {
        let whole = written(&Metadata { own: b"hi".to_vec(), chain: vec![step(3), step(4)] });
        for end in 1..whole.len() {
            let between = end == 6;
            assert_eq!(Metadata::parse(&whole[..end]).is_some(), between, "{end} bytes");
        }
    }

    #[test]
    fn p144_a_chain_that_is_none_counts_as_empty() {
        for len in [0, 15, 17, 16 * (MAX_CHAIN + 1)] {
            let mut bytes = Vec::new();
            entry(CHAIN, len, &mut bytes);
            bytes.resize(ENTRY + len, 1);
            assert_eq!(Metadata::parse(&bytes), Some(Metadata::default()), "{len} bytes");
        }
    }

    #[test]
    fn the_latest_steps_of_a_long_chain_travel_if_there_is_room() {
        let chain: Vec<_> = (0..=MAX_CHAIN as u64).map(step).collect();
        let travelled = |own: usize| {
            let bytes = written(&Metadata { own: vec![1; own], chain: chain.clone() });
            assert!(bytes.len() <= MAX_METADATA);
            Metadata::parse(&bytes).map(|metadata| metadata.chain)
        };
        assert_eq!(travelled(100), Some(chain[1..].to_vec()));
        assert_eq!(travelled(MAX_OWN_METADATA), Some(vec![]));
    }
}
