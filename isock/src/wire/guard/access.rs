//! The walk through compound values: sequences, maps, tuples and enums.
//!
//! Mirrors what postcard puts on the wire for them, which is a length or a variant
//! number and then the parts. Decides when a part is paid for; how much a container
//! takes is left to `cost`.

use std::cell::Cell;
use std::mem::{align_of, size_of};

use postcard::Error as WireError;
use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::Deserialize;

use super::cost::{is_wide, Container};
use super::place::Place;
use super::Guard;

/// The elements of a sequence, whose number came from the peer.
pub(super) struct Elements<'g, 'de> {
    place: Place<'g, 'de>,
    len: usize,
    room: Room,
    paid: Paid,
}

impl<'g, 'de> Elements<'g, 'de> {
    #[inline]
    pub(super) fn new<C>(place: Place<'g, 'de>, len: usize) -> Self {
        let room = Room::new::<C>(place.guard, len);
        Self { place, len, room, paid: Paid(0) }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = WireError;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, WireError> {
        if self.len == 0 {
            return Ok(None);
        }
        let size = size_of::<S::Value>();
        if self.paid.falls_short_of(size) {
            self.place.guard.charge(self.room.container().bytes(self.len, size))?;
        }
        self.len -= 1;
        seed.deserialize(self.place.part::<S::Value>()).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.room.hint())
    }
}

/// The entries of a map, whose number came from the peer.
pub(super) struct Entries<'g, 'de> {
    place: Place<'g, 'de>,
    len: usize,
    room: Room,
    paid: Paid,
    paid_values: Paid,
}

impl<'g, 'de> Entries<'g, 'de> {
    #[inline]
    pub(super) fn new<C>(place: Place<'g, 'de>, len: usize) -> Self {
        let room = Room::new::<C>(place.guard, len);
        Self { place, len, room, paid: Paid(0), paid_values: Paid(0) }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = WireError;

    /// What the maps of std call: here the size of a whole entry is in sight.
    #[inline]
    fn next_entry_seed<K: DeserializeSeed<'de>, V: DeserializeSeed<'de>>(
        &mut self,
        key: K,
        value: V,
    ) -> Result<Option<(K::Value, V::Value)>, WireError> {
        if self.len == 0 {
            return Ok(None);
        }
        let size = size_of::<(K::Value, V::Value)>();
        if self.paid.falls_short_of(size) {
            self.place.guard.charge(self.room.container().bytes(self.len, size))?;
        }
        self.len -= 1;
        let key = key.deserialize(self.place.part::<K::Value>())?;
        let value = value.deserialize(self.place.part::<V::Value>())?;
        Ok(Some((key, value)))
    }

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, WireError> {
        if self.len == 0 {
            return Ok(None);
        }
        let size = padded_size::<K::Value>();
        if self.paid.falls_short_of(size) {
            self.place.guard.charge(self.room.container().bytes(self.len, size))?;
        }
        self.len -= 1;
        seed.deserialize(self.place.part::<K::Value>()).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, WireError> {
        let size = padded_size::<V::Value>();
        if self.paid_values.falls_short_of(size) {
            // Its key has been counted off already.
            let len = self.len.saturating_add(1);
            self.place.guard.charge(self.room.container().bytes(len, size))?;
        }
        seed.deserialize(self.place.part::<V::Value>())
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.room.hint())
    }
}

/// What half an entry takes at most, padding included, with the other half out of
/// sight.
const fn padded_size<T>() -> usize {
    size_of::<T>() + align_of::<T>() - 1
}

/// The room a container may reserve, and whether it asked.
struct Room {
    wide: bool,
    asked: Cell<bool>,
    hint: usize,
}

impl Room {
    /// Room for the `len` elements of a `C`, as far as the message backs them: each
    /// takes a byte of it, or nobody needs the room in advance.
    ///
    /// How large an element is shows only later, so the unspent budget is shared out as
    /// if it were a number. By default a message earns more than that with every byte,
    /// and honest vectors never have to grow step by step.
    #[inline]
    fn new<C>(guard: &mut Guard<'_>, len: usize) -> Self {
        let wide = is_wide::<C>();
        let share = if wide { 32 } else { 8 };
        let hint = if guard.holds(len) { len.min(guard.unspent / share) } else { 0 };
        Self { wide, asked: Cell::new(false), hint }
    }

    #[inline]
    fn hint(&self) -> usize {
        self.asked.set(true);
        self.hint
    }

    #[inline]
    fn container(&self) -> Container {
        Container::told(self.wide, self.asked.get().then_some(self.hint))
    }
}

/// The size of the largest element paid for so far, and 1 for one without a size.
struct Paid(usize);

impl Paid {
    /// Whether an element of `size` has to be paid for, which it is from now on.
    ///
    /// True for the first element, and for a larger one in a list of mixed types.
    #[inline]
    fn falls_short_of(&mut self, size: usize) -> bool {
        let short = self.0 < size.max(1);
        if short {
            self.0 = size.max(1);
        }
        short
    }
}

/// The parts of a struct, a tuple or an array, whose number the type knows.
pub(super) struct Fields<'g, 'de> {
    place: Place<'g, 'de>,
    len: usize,
    /// Bytes of the value that no part has taken yet.
    unfilled: usize,
}

impl<'g, 'de> Fields<'g, 'de> {
    #[inline]
    pub(super) fn new<C>(place: Place<'g, 'de>, len: usize) -> Self {
        Self { place, len, unfilled: size_of::<C>() }
    }
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = WireError;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, WireError> {
        if self.len == 0 {
            return Ok(None);
        }
        let size = size_of::<S::Value>();
        match self.unfilled.checked_sub(size) {
            Some(unfilled) => self.unfilled = unfilled,
            // A hand-written type that reads a list as a tuple keeps it on the heap, in a
            // vector that doubles.
            None => self.place.guard.charge(size.saturating_mul(3))?,
        }
        self.len -= 1;
        seed.deserialize(self.place.part::<S::Value>()).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.len.min(self.unfilled))
    }
}

/// The variant of an enum.
pub(super) struct Variants<'g, 'de>(pub(super) Place<'g, 'de>);

impl<'g, 'de> EnumAccess<'de> for Variants<'g, 'de> {
    type Error = WireError;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), WireError> {
        let index = u32::deserialize(&mut self.0.guard.input)?;
        let variant = seed.deserialize(index.into_deserializer())?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variants<'_, 'de> {
    type Error = WireError;

    #[inline]
    fn unit_variant(self) -> Result<(), WireError> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Result<S::Value, WireError> {
        seed.deserialize(self.0.part::<S::Value>())
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, WireError> {
        visitor.visit_seq(Fields::new::<V::Value>(self.0, len))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WireError> {
        visitor.visit_seq(Fields::new::<V::Value>(self.0, fields.len()))
    }
}
