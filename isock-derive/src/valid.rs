//! Whether what was written makes an action.
//!
//! Knows what an action may be. Does not know how the impl is spelled: that is `expand`.

use crate::{
    ast::{Form, Subject},
    attr::Kind,
    docs::Docs,
    errors::Errors,
    owned::{Owner, Place},
};
use proc_macro2::TokenStream;
use quote::{quote, ToTokens};
use syn::{
    ext::IdentExt, punctuated::Punctuated, token::Comma, Field, GenericParam, Generics, Ident,
    LitStr, Type,
};

/// An action that can be written down; what was wrong is replaced.
pub(crate) struct Action<'a> {
    /// The type's name.
    pub(crate) ident: &'a Ident,
    /// The type's parameters: none, unless that was a mistake.
    pub(crate) generics: &'a Generics,
    /// The path of isock's private module.
    pub(crate) private: TokenStream,
    /// The name on the wire.
    pub(crate) name: String,
    /// The doc comment.
    pub(crate) docs: Docs,
    /// What the caller sends.
    pub(crate) input: Input,
    /// What the handler returns, if anything.
    pub(crate) output: Option<Type>,
    /// The error, if one is declared.
    pub(crate) error: Option<Type>,
    /// The item, if it streams.
    pub(crate) item: Option<Type>,
    /// Whether it may be repeated.
    pub(crate) kind: Kind,
}

/// What the caller sends.
pub(crate) enum Input {
    /// `()`
    Nothing,
    /// The type itself.
    Itself,
    /// The type after `input =`.
    Stated(Box<Type>),
}

/// Checks everything, and notes all mistakes.
pub(crate) fn check<'a>(subject: Subject<'a>, errors: &mut Errors) -> Action<'a> {
    let Subject { ident, generics, form, docs, settings } = subject;
    let private = match settings.krate {
        Some(path) => quote!(#path::__private),
        None => quote!(::isock::__private),
    };
    let mut owned = |ty: Option<Type>, place: Place| owned(ty?, place, &private, errors);
    let input = owned(settings.input, Place::Input);
    let output = owned(settings.output, Place::Other);
    let error = owned(settings.error, Place::Error);
    let item = owned(settings.stream, Place::Other);
    Action {
        ident,
        generics,
        name: name(ident, settings.name, errors),
        docs,
        input: self::input(input, &form, generics, errors),
        output,
        error,
        item,
        kind: settings.kind.unwrap_or(Kind::Once),
        private,
    }
}

/// The type, owned; `None` for an error that no other type can stand in for.
fn owned(mut ty: Type, place: Place, private: &TokenStream, errors: &mut Errors) -> Option<Type> {
    let mut owner = Owner::new(place, private, errors);
    owner.own(&mut ty);
    (place != Place::Error || !owner.lost).then_some(ty)
}

/// Decides the input, and refuses types that cannot be actions.
fn input(stated: Option<Type>, form: &Form, generics: &Generics, errors: &mut Errors) -> Input {
    let before = errors.count();
    refuse_parameters(stated.is_none(), generics, errors);
    if let Form::Union(keyword) = form {
        errors.at(keyword, "a union cannot be an action: write a struct or an enum");
    }
    match (stated, form) {
        (Some(ty), _) => Input::Stated(Box::new(ty)),
        (None, Form::Value(fields)) if errors.count() == before => itself(fields, errors),
        (None, _) => Input::Nothing,
    }
}

/// The type as its own input, unless a field is borrowed.
fn itself(fields: &[&Field], errors: &mut Errors) -> Input {
    let before = errors.count();
    for field in fields {
        // With an attribute of serde's, a field may travel as something else.
        let adapted = field.attrs.iter().any(|attr| attr.path().is_ident("serde"));
        if !adapted && matches!(field.ty, Type::Reference(_)) {
            let message = "the input owns its data: write `String` for `&str`, `Vec<T>` for `&[T]`";
            errors.at(&field.ty, message);
        }
    }
    if errors.count() == before {
        Input::Itself
    } else {
        Input::Nothing
    }
}

fn refuse_parameters(is_input: bool, generics: &Generics, errors: &mut Errors) {
    let (lifetimes, others): (Punctuated<_, Comma>, Punctuated<_, Comma>) =
        generics.params.iter().partition(|param| matches!(param, GenericParam::Lifetime(_)));
    let borrowed = if is_input {
        "an action owns its input: write `String` for `&str`, `Vec<T>` for `&[T]`, and drop the \
         lifetime"
    } else {
        "an action outlives its calls: own what it holds, or share it in an `Arc`, and drop the \
         lifetime"
    };
    refuse(lifetimes, borrowed, errors);
    let generic = "an action has one name on the wire, so it has no parameters: write a concrete \
                   type, or implement `Action` by hand with a name for each instance";
    refuse(others, generic, errors);
}

fn refuse(params: Punctuated<&GenericParam, Comma>, message: &str, errors: &mut Errors) {
    if !params.is_empty() {
        errors.at(params.to_token_stream(), message);
    }
}

/// The longest name of an action, in bytes.
const MAX_NAME: usize = 128;

/// The name on the wire: the one that was given, or else the type's.
fn name(ident: &Ident, given: Option<LitStr>, errors: &mut Errors) -> String {
    let own = ident.unraw().to_string();
    match given {
        None if own.len() > MAX_NAME => {
            let message = format!("a name has at most {MAX_NAME} bytes: set `name = \"…\"`");
            errors.at(ident, message);
            own
        }
        None => own,
        Some(literal) => match flaw(&literal.value()) {
            None => literal.value(),
            Some(flaw) => {
                errors.at(literal, flaw);
                own
            }
        },
    }
}

/// Why `name` is no name.
fn flaw(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a name is not empty: leave `name` out to take the type's".to_owned());
    }
    if name.len() > MAX_NAME {
        return Some(format!("a name has at most {MAX_NAME} bytes; this one has {}", name.len()));
    }
    let bad = name.chars().find(|&c| c.is_whitespace() || !printable(c))?;
    Some(format!("a name is printable and without spaces; {bad:?} is not: write `.`, `-` or `_`"))
}

fn printable(c: char) -> bool {
    c.escape_debug().count() == 1 || matches!(c, '"' | '\'' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_printable() {
        for name in ["Echo", "shop.place", "größe", "a'b\"c\\", &"x".repeat(128)] {
            assert_eq!(flaw(name), None, "{name}");
        }
        for name in ["", "a b", "a\tb", "a\u{a0}b", "a\u{200b}b", "a\0", &"x".repeat(129)] {
            assert!(flaw(name).is_some(), "{name:?}");
        }
    }
}
