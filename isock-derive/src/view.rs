//! Gives a view the lifetime of the message that it borrows from.
//!
//! Knows how types are spelled. Does not know what they are: whether a view reads what its owned
//! type reads shows when the action is registered.

use crate::errors::Errors;
use proc_macro2::Span;
use syn::{parse_quote, GenericArgument, Lifetime, PathArguments, Type, TypePath};

/// The lifetime of the message, as messages of the compiler show it.
pub(crate) fn lifetime() -> Lifetime {
    Lifetime::new("'message", Span::call_site())
}

/// The type with every lifetime in it that of the message; `None` if nobody knows what was meant.
pub(crate) fn of_message(mut ty: Type, errors: &mut Errors) -> Option<Type> {
    let before = errors.count();
    let mut borrower = Borrower { first: None, borrows: false, lost: false, errors };
    borrower.borrow(&mut ty);
    let (borrows, lost) = (borrower.borrows, borrower.lost);
    if !borrows && errors.count() == before {
        return without_lifetime(ty, errors);
    }
    (!lost).then_some(ty)
}

/// Notes that nothing is borrowed, and borrows where that is what was left out.
fn without_lifetime(ty: Type, errors: &mut Errors) -> Option<Type> {
    let Type::Path(path) = &ty else {
        errors.at(&ty, OWNED);
        return None;
    };
    let name = path.path.segments.last().map(|segment| segment.ident.to_string());
    let name = name.unwrap_or_default();
    let is_bare = path.path.segments.last().is_some_and(|segment| segment.arguments.is_none());
    if !is_bare || name == "String" || name.starts_with(char::is_lowercase) {
        errors.at(&ty, OWNED);
        return None;
    }
    let message = format!(
        "`{name}` borrows nothing as it stands here: write `{name}<'_>`, or leave the key out"
    );
    errors.at(&ty, message);
    let lifetime = lifetime();
    Some(parse_quote!(#ty<#lifetime>))
}

/// Why an owned type is no view.
const OWNED: &str = "it borrows nothing, so it is no view: write a type with a lifetime, as in \
                     `&str`, or leave the key out";

struct Borrower<'e> {
    /// The first lifetime that has a name.
    first: Option<Lifetime>,
    /// Whether anything is borrowed.
    borrows: bool,
    /// Whether a part was found of which nobody knows what was meant.
    lost: bool,
    errors: &'e mut Errors,
}

impl Borrower<'_> {
    fn borrow(&mut self, ty: &mut Type) {
        match ty {
            Type::Reference(reference) => {
                if let Some(mutability) = reference.mutability.take() {
                    self.errors.at(mutability, "a view only reads: write `&`");
                }
                match &mut reference.lifetime {
                    Some(lifetime) => self.replace(lifetime),
                    None => self.borrows = true,
                }
                reference.lifetime = Some(lifetime());
                self.borrow_argument(&mut reference.elem);
            }
            Type::Path(path) if path.path.is_ident("str") => self.unsized_alone(ty, "&str"),
            Type::Slice(_) => self.unsized_alone(ty, "&[u8]"),
            Type::Path(path) => self.borrow_arguments(path),
            Type::Array(array) => self.borrow(&mut array.elem),
            Type::Group(group) => self.borrow(&mut group.elem),
            Type::Paren(paren) => self.borrow(&mut paren.elem),
            Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(|elem| self.borrow(elem)),
            _ => {
                self.errors.at(&*ty, "a view is a type with serde's `Deserialize`: write its name");
                self.lost = true;
            }
        }
    }

    /// Behind a reference, or between angle brackets, a type may be unsized.
    fn borrow_argument(&mut self, ty: &mut Type) {
        match ty {
            Type::Path(path) if path.path.is_ident("str") => {}
            Type::Slice(slice) => self.borrow(&mut slice.elem),
            _ => self.borrow(ty),
        }
    }

    fn borrow_arguments(&mut self, path: &mut TypePath) {
        let lists =
            path.path.segments.iter_mut().filter_map(|segment| match &mut segment.arguments {
                PathArguments::AngleBracketed(list) => Some(list),
                _ => None,
            });
        for argument in lists.flat_map(|list| &mut list.args) {
            match argument {
                GenericArgument::Lifetime(lifetime) => self.replace(lifetime),
                GenericArgument::Type(ty) => self.borrow_argument(ty),
                _ => {}
            }
        }
    }

    /// A lifetime as it was written; all of them stand for one.
    fn replace(&mut self, written: &mut Lifetime) {
        self.borrows = true;
        if written.ident == "static" {
            let message = "a view borrows from the message, which does not live for `'static`: \
                           write `'_`";
            self.errors.at(&*written, message);
        } else if written.ident != "_" {
            let first = self.first.get_or_insert_with(|| written.clone());
            if first.ident != written.ident {
                let message = format!("a view borrows from one message: write `{first}` here too");
                self.errors.at(&*written, message);
            }
        }
        *written = lifetime();
    }

    /// A `str` or `[u8]` that stands by itself.
    fn unsized_alone(&mut self, ty: &mut Type, meant: &str) {
        self.errors.at(&*ty, format!("a view borrows from the message: write `{meant}`"));
        let lifetime = lifetime();
        let behind = ty.clone();
        *ty = parse_quote!(&#lifetime #behind);
        self.borrows = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens;

    fn borrowed(written: &str) -> (Option<String>, usize) {
        let mut errors = Errors::default();
        let ty = of_message(syn::parse_str(written).unwrap(), &mut errors);
        let spelled = ty.map(|ty| ty.to_token_stream().to_string().replace(' ', ""));
        (spelled, errors.count())
    }

    #[test]
    fn every_lifetime_is_that_of_the_message() {
        for (written, meant) in [
            ("&str", "&'messagestr"),
            ("&'a [u8]", "&'message[u8]"),
            ("Vec<RecordView<'a>>", "Vec<RecordView<'message>>"),
            ("(u8, &str, Pair<'a, 'a>)", "(u8,&'messagestr,Pair<'message,'message>)"),
            ("Option<&[u8]>", "Option<&'message[u8]>"),
            ("std::borrow::Cow<'_, str>", "std::borrow::Cow<'message,str>"),
            ("[&str; 2]", "[&'messagestr;2]"),
        ] {
            assert_eq!(borrowed(written), (Some(meant.to_owned()), 0), "{written}");
        }
    }

    #[test]
    fn a_mistake_is_reported_once_and_made_good_where_the_intent_is_plain() {
        for (written, meant) in [
            ("RecordView", Some("RecordView<'message>")),
            ("shop::RecordView", Some("shop::RecordView<'message>")),
            ("&'static str", Some("&'messagestr")),
            ("Cow<'static, str>", Some("Cow<'message,str>")),
            ("&mut [u8]", Some("&'message[u8]")),
            ("str", Some("&'messagestr")),
            ("[u8]", Some("&'message[u8]")),
            ("Pair<'a, 'b>", Some("Pair<'message,'message>")),
            ("String", None),
            ("u64", None),
            ("Vec<u8>", None),
            ("(u8, String)", None),
            ("Box<dyn Debug>", None),
            ("_", None),
        ] {
            assert_eq!(borrowed(written), (meant.map(str::to_owned), 1), "{written}");
        }
    }
}
