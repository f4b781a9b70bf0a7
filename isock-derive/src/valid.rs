//! Whether what was written makes an action.
//!
//! Knows what an action may be. Does not know how the impl is spelled: that is `expand`.

use crate::{
    ast::{Form, Subject},
    attr::{Bounds, Kind, Values},
    docs::Docs,
    errors::Errors,
    name,
    owned::{Owner, Place},
    time, view,
};
use proc_macro2::TokenStream;
use quote::{quote, ToTokens};
use syn::{punctuated::Punctuated, token::Comma, Field, GenericParam, Generics, Ident, Path, Type};

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
    /// What the handler sends on its way, if anything.
    pub(crate) item: Option<Type>,
    /// What the caller sends on its way, if anything.
    pub(crate) upload: Option<Type>,
    /// What the handler reads in place, if anything.
    pub(crate) input_view: Option<Type>,
    /// What the caller reads in place, if anything.
    pub(crate) output_view: Option<Type>,
    /// Whether it may be repeated.
    pub(crate) kind: Kind,
    /// How long a call may take unless its caller says otherwise, in milliseconds.
    pub(crate) timeout: Option<u64>,
    /// What one call may cost.
    pub(crate) bounds: Bounds,
    /// Values of its types.
    pub(crate) values: Values,
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
    let private = private(settings.krate);
    let mut check = Check { private: &private, errors };
    let input = check.input(settings.input, &form, generics);
    let output = settings.output.and_then(|ty| check.owned(ty, Place::Other));
    let error = settings.error.and_then(|ty| check.owned(ty, Place::Error));
    let item = settings.stream.and_then(|ty| check.owned(ty, Place::Other));
    let upload = settings.upload.and_then(|ty| check.owned(ty, Place::Other));
    let input_view = settings.input_view.and_then(|ty| view::of_message(ty, errors));
    let output_view = settings.output_view.and_then(|ty| view::of_message(ty, errors));
    let name = name::choose(ident, settings.name, errors);
    let kind = settings.kind.unwrap_or(Kind::Once);
    let timeout = settings.timeout.and_then(|written| time::millis(&written, errors));
    let bounds = settings.bounds;
    // Of a type that had to be replaced they are no values.
    let values = if errors.count() == 0 { settings.values } else { Values::default() };
    Action {
        ident,
        generics,
        private,
        name,
        docs,
        input,
        output,
        error,
        item,
        upload,
        input_view,
        output_view,
        kind,
        timeout,
        bounds,
        values,
    }
}

/// The path of isock's private module.
fn private(krate: Option<Path>) -> TokenStream {
    krate.map_or_else(|| quote!(::isock::__private), |path| quote!(#path::__private))
}

struct Check<'a> {
    private: &'a TokenStream,
    errors: &'a mut Errors,
}

impl Check<'_> {
    /// Decides the input, and refuses types that cannot be actions.
    fn input(&mut self, stated: Option<Type>, form: &Form, generics: &Generics) -> Input {
        let before = self.errors.count();
        self.refuse_parameters(stated.is_none(), generics);
        if let Form::Union(keyword) = form {
            self.errors.at(keyword, "a union cannot be an action: write a struct or an enum");
        }
        if let (None, Form::Value(fields)) = (&stated, form) {
            self.refuse_references(fields, generics);
        }
        match (stated, form) {
            (Some(ty), _) => {
                let owned = self.owned(ty, Place::Input);
                owned.map_or(Input::Nothing, |ty| Input::Stated(Box::new(ty)))
            }
            (None, Form::Value(_)) if self.errors.count() == before => Input::Itself,
            (None, _) => Input::Nothing,
        }
    }

    /// The type, owned; `None` for an error that no other type can stand in for.
    fn owned(&mut self, mut ty: Type, place: Place) -> Option<Type> {
        let mut owner = Owner::new(place, self.private, self.errors);
        owner.own(&mut ty);
        (place != Place::Error || !owner.lost).then_some(ty)
    }

    fn refuse_parameters(&mut self, is_input: bool, generics: &Generics) {
        let (lifetimes, others): (Punctuated<_, Comma>, Punctuated<_, Comma>) =
            generics.params.iter().partition(|param| matches!(param, GenericParam::Lifetime(_)));
        if !lifetimes.is_empty() {
            self.errors.at(lifetimes.to_token_stream(), borrows(is_input));
        }
        if !others.is_empty() {
            self.errors.at(others.to_token_stream(), GENERIC);
        }
    }

    /// Refuses fields that are references to `'static`: serde has impls for them that are of no use
    /// here. Of other fields that cannot travel the compiler says so, and a lifetime of the type's
    /// own has been reported.
    fn refuse_references(&mut self, fields: &[&Field], generics: &Generics) {
        let named = generics.lifetimes().next().is_some();
        for field in fields {
            // With an attribute of serde's, a field may travel as something else.
            let adapted = field.attrs.iter().any(|attr| attr.path().is_ident("serde"));
            if !named && !adapted && matches!(field.ty, Type::Reference(_)) {
                self.owned(field.ty.clone(), Place::Other);
            }
        }
    }
}

/// Why a type with a lifetime is no action.
fn borrows(is_input: bool) -> &'static str {
    if is_input {
        "an action owns its input: write `String` for `&str`, `Vec<T>` for `&[T]`, and drop the \
         lifetime"
    } else {
        "an action outlives its calls: own what it holds, or share it in an `Arc`, and drop the \
         lifetime"
    }
}

/// Why a type with parameters is no action.
const GENERIC: &str = "an action has one name on the wire, so it has no parameters: write a \
                       concrete type, or implement `Action` by hand with a name for each instance";
