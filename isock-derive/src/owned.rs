//! Makes a type owned, and says so where it was not.
//!
//! Knows how types are spelled. Does not know what they are: whether `Order` has serde's derives
//! is for the compiler to see.

use crate::errors::Errors;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{parse_quote, GenericArgument, PathArguments, Type, TypePath};

/// Where a type was written, since the advice depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// `input = …`
    Input,
    /// `error = …`
    Error,
    /// Anywhere else.
    Other,
}

/// Finds what cannot travel in a type, and puts what was probably meant in its place.
pub(crate) struct Owner<'a> {
    /// Where the type stands.
    place: Place,
    /// The path of isock's private module, for the types that are put in.
    private: &'a TokenStream,
    /// Where the mistakes go.
    errors: &'a mut Errors,
    /// Whether a part was found of which nobody knows what was meant.
    pub(crate) lost: bool,
}

impl<'a> Owner<'a> {
    /// For a type at `place`.
    pub(crate) fn new(place: Place, private: &'a TokenStream, errors: &'a mut Errors) -> Owner<'a> {
        Owner { place, private, errors, lost: false }
    }

    /// Makes `ty` owned, all parts of it included.
    pub(crate) fn own(&mut self, ty: &mut Type) {
        if let Some(meant) = self.sized(ty) {
            return self.put(meant, ty);
        }
        match ty {
            Type::Array(array) => self.part().own(&mut array.elem),
            Type::Group(group) => self.own(&mut group.elem),
            Type::Paren(paren) => self.own(&mut paren.elem),
            Type::Path(path) => self.part().own_arguments(path),
            Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(|elem| self.part().own(elem)),
            _ => self.replace(ty),
        }
    }

    /// From here on it is about a part of the type, which callers must pass as it is.
    fn part(&mut self) -> &mut Self {
        if self.place == Place::Input {
            self.place = Place::Other;
        }
        self
    }

    /// What stands behind a reference, and what holds a `str` or a `[T]`.
    fn sized(&self, ty: &Type) -> Option<Type> {
        let private = self.private;
        match ty {
            Type::Path(path) if path.path.is_ident("str") => Some(parse_quote!(#private::String)),
            Type::Reference(reference) => Some((*reference.elem).clone()),
            Type::Slice(slice) => {
                let elem = &slice.elem;
                Some(parse_quote!(#private::Vec<#elem>))
            }
            _ => None,
        }
    }

    /// Puts what was meant in place of a borrowed type.
    fn put(&mut self, mut meant: Type, ty: &mut Type) {
        let mut unreported = Errors::default();
        let mut silent = Owner::new(self.place, self.private, &mut unreported);
        let mut owned = meant.clone();
        silent.own(&mut owned);
        if silent.lost {
            // The part that cannot be owned is what there is to say.
            self.own(&mut meant);
            *ty = meant;
        } else {
            self.errors.at(&*ty, self.advice(&owned));
            *ty = owned;
        }
    }

    fn advice(&self, owned: &Type) -> String {
        let owned = self.spelled(owned);
        let advice = format!("what travels is owned: write `{owned}`");
        match self.place {
            Place::Input => {
                format!("{advice}; callers may still pass `&{}`", borrowed_form(&owned))
            }
            _ => advice,
        }
    }

    /// The type as its user would write it.
    fn spelled(&self, ty: &Type) -> String {
        let private = format!("{}::", tightened(&self.private.to_string()));
        tightened(&ty.to_token_stream().to_string()).replace(&private, "")
    }

    /// The arguments of `Vec<…>`.
    fn own_arguments(&mut self, path: &mut TypePath) {
        let lists =
            path.path.segments.iter_mut().filter_map(|segment| match &mut segment.arguments {
                PathArguments::AngleBracketed(list) => Some(list),
                _ => None,
            });
        for argument in lists.flat_map(|list| &mut list.args) {
            match argument {
                GenericArgument::Lifetime(lifetime) if lifetime.ident != "static" => {
                    let message = "what travels is owned: write `'static` here, or an owned type";
                    self.errors.at(&*lifetime, message);
                    *argument = parse_quote!('static);
                }
                GenericArgument::Type(ty) => self.own_argument(ty),
                _ => {}
            }
        }
    }

    /// One argument. It may be unsized: `Box<str>` and `Cow<'static, [u8]>` are owned.
    fn own_argument(&mut self, ty: &mut Type) {
        match ty {
            Type::Slice(slice) => self.own(&mut slice.elem),
            Type::Path(path) if path.path.is_ident("str") => {}
            _ => self.own(ty),
        }
    }

    /// Types that no value of the wire can be.
    fn replace(&mut self, ty: &mut Type) {
        let message = match ty {
            Type::TraitObject(_) => self.trait_object(),
            Type::ImplTrait(_) => "what travels has a name: write a concrete type",
            Type::Infer(_) => "write the type: both programs must agree on it",
            Type::Ptr(_) => "a pointer says nothing to another program: write the value's type",
            Type::FnPtr(_) => "a function cannot travel: write the type of a value",
            Type::Never(_) => "write `isock::Never`: `!` is not a stable type",
            _ => return,
        };
        self.errors.at(&*ty, message);
        self.lost |= !matches!(ty, Type::Never(_));
        *ty = self.stand_in(ty);
    }

    fn stand_in(&self, ty: &Type) -> Type {
        let private = self.private;
        match ty {
            Type::Never(_) => parse_quote!(#private::Never),
            _ => parse_quote!(()),
        }
    }

    fn trait_object(&self) -> &'static str {
        match self.place {
            Place::Error => {
                "a trait object cannot be received: write an enum, or leave `error` out, and `?` \
                 makes an `isock::Failure` of any error"
            }
            _ => "a trait object cannot be received: write a concrete type, or an enum of them",
        }
    }
}

/// What a `&` may stand before.
fn borrowed_form(owned: &str) -> String {
    match owned.strip_prefix("Vec<").and_then(|rest| rest.strip_suffix('>')) {
        Some(elem) => format!("[{elem}]"),
        None if owned == "String" => "str".to_owned(),
        None => owned.to_owned(),
    }
}

/// Tokens without the spaces that only separate punctuation.
fn tightened(text: &str) -> String {
    let mut tight = String::new();
    for token in text.split_whitespace() {
        let glued = |c: char| !(c.is_alphanumeric() || c == '_');
        if !tight.ends_with(glued) && !token.starts_with(glued) || tight.ends_with([',', ';']) {
            tight.push(' ');
        }
        tight.push_str(token);
    }
    tight.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn owned(ty: Type, place: Place) -> (String, String) {
        let private = quote!(::isock::__private);
        let (mut ty, mut errors) = (ty, Errors::default());
        let mut owner = Owner::new(place, &private, &mut errors);
        owner.own(&mut ty);
        let spelled = owner.spelled(&ty);
        (spelled, tightened(&errors.to_token_stream().to_string()))
    }

    #[test]
    fn an_owned_type_stays_as_it_is() {
        for written in [
            "Vec<(u8, Option<String>)>",
            "[f32; 3]",
            "Box<str>",
            "Box<[u8]>",
            "std::borrow::Cow<'static, str>",
            "<Shop as Store>::Order",
        ] {
            let ty = syn::parse_str(written).unwrap();
            assert_eq!(owned(ty, Place::Input), (written.to_owned(), String::new()));
        }
    }

    #[test]
    fn a_borrowed_type_becomes_the_one_that_was_meant() {
        for (written, meant) in [
            ("&str", "String"),
            ("str", "String"),
            ("&'static [&str]", "Vec<String>"),
            ("[u8]", "Vec<u8>"),
            ("&mut Order", "Order"),
            ("Vec<(&str, u8)>", "Vec<(String, u8)>"),
            ("&&str", "String"),
            ("Box<[&str]>", "Box<[String]>"),
            ("&Vec<Box<dyn Debug>>", "Vec<Box<()>>"),
            ("[dyn Debug]", "Vec<()>"),
            ("!", "Never"),
        ] {
            let (spelled, errors) = owned(syn::parse_str(written).unwrap(), Place::Other);
            assert_eq!(spelled, meant);
            assert_eq!(errors.matches("compile_error").count(), 1, "{written}: {errors}");
        }
    }
}
