//! The type under the derive, as it was written.
//!
//! Knows where things stand. Does not judge what they say: that is `valid`.

use crate::{
    attr::{self, Settings},
    docs::{self, Docs},
    errors::Errors,
};
use syn::{Attribute, Data, DeriveInput, Field, Generics, Ident};

/// A type with `#[derive(Action)]`.
pub(crate) struct Subject<'a> {
    /// Its name.
    pub(crate) ident: &'a Ident,
    /// Its parameters, of which an action may have none.
    pub(crate) generics: &'a Generics,
    /// What kind of type it is.
    pub(crate) form: Form<'a>,
    /// Its doc comment.
    pub(crate) docs: Docs,
    /// What its `#[action(…)]` attributes say.
    pub(crate) settings: Settings,
}

/// What kind of type the derive stands on.
pub(crate) enum Form<'a> {
    /// It holds nothing: no fields and no variants.
    Marker,
    /// It holds something, in these fields; an enum may have none.
    Value(Vec<&'a Field>),
    /// A union, at its keyword.
    Union(syn::Token![union]),
}

impl<'a> Subject<'a> {
    /// Takes the type apart. Mistakes in its attributes go to `errors`.
    pub(crate) fn of(input: &'a DeriveInput, errors: &mut Errors) -> Subject<'a> {
        refuse_attributes_inside(&input.data, errors);
        Subject {
            ident: &input.ident,
            generics: &input.generics,
            form: Form::of(&input.data),
            docs: docs::read(&input.attrs),
            settings: attr::read(&input.attrs, errors),
        }
    }
}

impl<'a> Form<'a> {
    fn of(data: &'a Data) -> Form<'a> {
        match data {
            Data::Struct(data) if data.fields.is_empty() => Form::Marker,
            Data::Enum(data) if data.variants.is_empty() => Form::Marker,
            Data::Union(data) => Form::Union(data.union_token),
            Data::Struct(_) | Data::Enum(_) => Form::Value(fields(data)),
        }
    }
}

/// Every field, those of variants included.
fn fields(data: &Data) -> Vec<&Field> {
    match data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(data) => data.fields.named.iter().collect(),
    }
}

fn refuse_attributes_inside(data: &Data, errors: &mut Errors) {
    if let Data::Enum(data) = data {
        for variant in &data.variants {
            refuse_attributes(&variant.attrs, "a variant", errors);
        }
    }
    for field in fields(data) {
        refuse_attributes(&field.attrs, "a field", errors);
    }
}

fn refuse_attributes(attrs: &[Attribute], holder: &str, errors: &mut Errors) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("action")) {
        let message =
            format!("`#[action]` belongs on the type: {holder} takes serde's attributes only");
        errors.at(attr, message);
    }
}
