//! Peers whose frames are right and whose values are not. Each costs its call only, and no more
//! than its budget: of memory and of time, on the thread that decodes.

mod attack;
mod types;

pub(crate) use types::serve;

use crate::arena::Arena;
use attack::{Attack, Too};
use isock_tests::hostile::*;
use types::*;

/// Row 47.
pub(crate) fn endless_lengths(arena: &Arena) {
    let mut attack = Attack::on(arena);
    // These two keep within their budget by themselves, and are decoded without the guard.
    attack.refused::<TakesNumbers>(&ENDLESS, Too::Short);
    attack.refused::<TakesOctets>(&ENDLESS, Too::Short);
    attack.refused::<TakesMap>(&ENDLESS, Too::Large);
    attack.refused::<TakesTree>(&ENDLESS, Too::Large);
    attack.refused::<TakesSet>(&ENDLESS, Too::Large);
    attack.refused::<TakesText>(&ENDLESS, Too::Short);
    attack.refused::<TakesBytes>(&ENDLESS, Too::Short);
    let nested = [&ENDLESS[..], &[1], &ENDLESS, &[1], &ENDLESS].concat();
    attack.refused::<TakesMaps>(&nested, Too::Large);
}

/// Row 48.
pub(crate) fn endless_lengths_of_nothing(arena: &Arena) {
    let mut attack = Attack::on(arena);
    for bytes in [&ENDLESS[..], &length(1 << 28)] {
        attack.refused::<TakesUnits>(bytes, Too::Large);
        attack.refused::<TakesUnitSet>(bytes, Too::Large);
        attack.refused::<TakesUnitMap>(bytes, Too::Large);
        attack.refused::<TakesSkipped>(bytes, Too::Large);
    }
}

/// Row 49.
pub(crate) fn zeros_as_large_elements(arena: &Arena) {
    let mut attack = Attack::on(arena);
    for len in [400, 1 << 16, 1 << 20, (8 << 20) - 4] {
        attack.refused::<TakesBig>(&zeros_as_sequence(len), Too::Large);
        attack.refused::<TakesOptions>(&zeros_as_sequence(len), Too::Large);
    }
}

/// Row 50.
pub(crate) fn a_million_levels(arena: &Arena) {
    let mut attack = Attack::on(arena);
    let bytes = [1; 1_000_000];
    attack.refused::<TakesDeepTree>(&bytes, Too::Deep);
    attack.refused::<TakesLink>(&bytes, Too::Deep);
    attack.refused::<TakesChain>(&bytes, Too::Deep);
    attack.refused::<TakesEither>(&bytes, Too::Deep);
    attack.refused::<TakesMapTree>(&bytes, Too::Deep);
    attack.refused::<TakesMixed>(&bytes, Too::Deep);
}

/// Row 51.
pub(crate) fn every_prefix_of_a_message(arena: &Arena) {
    let mut attack = Attack::on(arena);
    let bytes = encode(&golden());
    for end in 0..bytes.len() {
        attack.refused::<TakesGolden>(&bytes[..end], Too::Short);
    }
    attack.accepted::<TakesGolden>(&bytes);
    let bytes = encode(&("a text".to_owned(), 300_000_u32, -1.5_f32));
    for end in 0..bytes.len() {
        attack.refused::<TakesTuple>(&bytes[..end], Too::Short);
    }
    attack.accepted::<TakesTuple>(&bytes);
    // The message of the exchange in PROTOCOL.md.
    for end in 0..3 {
        attack.refused::<TakesText>(&[2, b'h', b'i'][..end], Too::Short);
    }
    attack.accepted::<TakesText>(&[2, b'h', b'i']);
}

/// Row 52.
pub(crate) fn a_message_and_a_byte(arena: &Arena) {
    let mut attack = Attack::on(arena);
    for byte in [0, 1, 0xff] {
        attack.refused::<TakesGolden>(&[encode(&golden()), vec![byte]].concat(), Too::Long);
        attack.refused::<TakesText>(&[2, b'h', b'i', byte], Too::Long);
        attack.refused::<TakesUnit>(&[byte], Too::Long);
    }
}

/// Row 53.
pub(crate) fn text_that_is_none(arena: &Arena) {
    let mut attack = Attack::on(arena);
    attack.refused::<TakesText>(&[2, 0xc3, 0x28], Too::Odd);
    attack.refused::<TakesText>(&[3, 0xed, 0xa0, 0x80], Too::Odd);
    attack.refused::<TakesChar>(&[3, 0xed, 0xa0, 0x80], Too::Odd);
    attack.refused::<TakesChar>(&[0], Too::Odd);
    attack.refused::<TakesChar>(&[5, 0xf8, 0x88, 0x80, 0x80, 0x80], Too::Odd);
    attack.refused::<TakesChar>(&[1, 0xff], Too::Odd);
}

/// Row 54. No header has a varint: every field has its width, so there is nothing to make longer.
/// In a value one is read as postcard reads it.
pub(crate) fn over_long_varints(arena: &Arena) {
    let mut attack = Attack::on(arena);
    assert_eq!(attack.echoed::<GivesNumber>(&[0x81, 0x80, 0x80, 0x80, 0x00]), [1]);
    attack.accepted::<TakesOctets>(&[0x81, 0x00, 7]);
    attack.accepted::<TakesEither>(&[0x80, 0x00]);
}

/// Row 55.
pub(crate) fn values_outside_their_type(arena: &Arena) {
    let mut attack = Attack::on(arena);
    attack.refused::<TakesU16>(&[0xff, 0xff, 0x04], Too::Odd);
    attack.refused::<GivesNumber>(&[0xff, 0xff, 0xff, 0xff, 0x10], Too::Odd);
    attack.refused::<TakesU64>(&[0xff; 10], Too::Odd);
    attack.refused::<TakesU128>(&[0xff; 19], Too::Odd);
    attack.refused::<TakesOctets>(&[0xff; 11], Too::Odd);
    attack.refused::<TakesBool>(&[2], Too::Odd);
    attack.refused::<TakesOption>(&[2, 0], Too::Odd);
    attack.refused::<TakesEither>(&[9], Too::Odd);
    attack.refused::<TakesNonZero>(&[0], Too::Odd);
    let overflow = [&ENDLESS[..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    attack.refused::<TakesDuration>(&overflow, Too::Odd);
}

/// Row 56.
pub(crate) fn odd_values_are_kept_bit_by_bit(arena: &Arena) {
    let mut attack = Attack::on(arena);
    for bits in [0x7ff8_0000_0000_0001_u64, 0xfff0_dead_beef_0001, (-0.0_f64).to_bits()] {
        let bytes = bits.to_le_bytes();
        assert_eq!(attack.echoed::<GivesDouble>(&bytes), bytes);
    }
    for bits in [0x7fc0_0001_u32, 0xff80_beef, (-0.0_f32).to_bits()] {
        let bytes = bits.to_le_bytes();
        assert_eq!(attack.echoed::<GivesFloat>(&bytes), bytes);
    }
    // The last of two equal keys stays, as in plain postcard.
    assert_eq!(attack.echoed::<GivesMap>(&[3, 1, 10, 2, 20, 1, 30]), [2, 1, 30, 2, 20]);
}
