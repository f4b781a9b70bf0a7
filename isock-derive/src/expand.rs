//! Writes the impl.

use crate::{
    attr::Kind,
    valid::{Action, Input},
};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{parse_quote, GenericParam, Generics, Type};

/// The impl of `Action`.
///
/// It is written for a mistaken type too, so that the uses of the action compile and one mistake
/// stays one message.
pub(crate) fn expand(action: &Action) -> TokenStream {
    let Action { ident, private, name, .. } = action;
    let generics = outliving(action.generics);
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let [input, output, error, item] = types(action);
    let pattern = pattern(action);
    let kind = kind(action);
    let docs = action.docs.expression().map(|docs| quote!(.docs(#docs)));
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics #private::Action for #ident #ty_generics #where_clause {
            type Input = #input;
            type Output = #output;
            type Error = #error;
            type Item = #item;
            type Upload = #private::Never;
            type Kind = #kind;
            type Pattern = #pattern;
            const INFO: #private::Info = #private::Info::new(#name) #docs .kind::<#kind>();
        }
    }
}

/// Input, output, error and item.
fn types(action: &Action) -> [TokenStream; 4] {
    let private = &action.private;
    [
        input(action),
        stated_or(&action.output, quote!(())),
        stated_or(&action.error, quote!(#private::Failure)),
        stated_or(&action.item, quote!(#private::Never)),
    ]
}

fn input(action: &Action) -> TokenStream {
    match &action.input {
        Input::Nothing => quote!(()),
        Input::Stated(ty) => quote!(#ty),
        Input::Itself => {
            // At the type's name, where a missing serde derive is to be reported.
            let here = Span::call_site().located_at(action.ident.span());
            quote_spanned!(here=> Self)
        }
    }
}

fn stated_or(stated: &Option<Type>, default: TokenStream) -> TokenStream {
    stated.as_ref().map_or(default, |ty| quote!(#ty))
}

fn pattern(action: &Action) -> TokenStream {
    let private = &action.private;
    match action.item {
        Some(_) => quote!(#private::Streams),
        None => quote!(#private::Unary),
    }
}

fn kind(action: &Action) -> TokenStream {
    let private = &action.private;
    match action.kind {
        Kind::Read => quote!(#private::Read),
        Kind::Idempotent => quote!(#private::Idempotent),
        Kind::Once => quote!(#private::Once),
    }
}

/// The parameters, each outliving `'static` as every action must. They are a mistake that has been
/// reported; this keeps the compiler from reporting it again.
fn outliving(generics: &Generics) -> Generics {
    let mut outliving = generics.clone();
    for param in &generics.params {
        let predicate = match param {
            GenericParam::Lifetime(param) => {
                let lifetime = &param.lifetime;
                parse_quote!(#lifetime: 'static)
            }
            GenericParam::Type(param) => {
                let ident = &param.ident;
                parse_quote!(#ident: 'static)
            }
            GenericParam::Const(_) => continue,
        };
        outliving.make_where_clause().predicates.push(predicate);
    }
    outliving
}
