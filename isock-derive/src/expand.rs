//! Writes the impl.

use crate::{
    attr::{Bounds, Kind},
    valid::{Action, Input},
    view,
};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{parse_quote, GenericParam, Generics, Type};

/// The impl of `Action`.
///
/// It is written for a mistaken type too, so that the uses of the action compile and one mistake
/// stays one message.
pub(crate) fn expand(action: &Action) -> TokenStream {
    let Action { ident, private, name, .. } = action;
    let generics = outliving(action.generics);
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let [input, output, error, item, upload] = types(action);
    let pattern = pattern(action);
    let kind = kind(action);
    let timeout =
        action.timeout.map(|millis| quote!(.timeout(::core::time::Duration::from_millis(#millis))));
    let bounds = bounds(&action.bounds);
    let samples = samples(action);
    let (views, traits) = (views(action), view_traits(action));
    let docs = action.docs.expression().map(|docs| quote!(.docs(#docs)));
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics #private::Action for #ident #ty_generics #where_clause {
            type Input = #input;
            type Output = #output;
            type Error = #error;
            type Item = #item;
            type Upload = #upload;
            type Kind = #kind;
            type Pattern = #pattern;
            const INFO: #private::Info = #private::Info::new(#name) #docs .kind::<#kind>() #timeout #bounds;
            #samples
            #views
        }

        #traits
    }
}

/// The function that names the views, if there are any.
fn views(action: &Action) -> TokenStream {
    let private = &action.private;
    let input = action.input_view.iter().map(|_| quote!(.input::<Self>()));
    let output = action.output_view.iter().map(|_| quote!(.output::<Self>()));
    let all: Vec<_> = input.chain(output).collect();
    if all.is_empty() {
        return TokenStream::new();
    }
    quote! {
        fn views() -> #private::Views {
            #private::Views::new() #(#all)*
        }
    }
}

/// The impls that say what the views are.
fn view_traits(action: &Action) -> TokenStream {
    let input = action.input_view.as_ref().map(|ty| view_trait(action, "Input", ty));
    let output = action.output_view.as_ref().map(|ty| view_trait(action, "Output", ty));
    input.into_iter().chain(output).collect()
}

fn view_trait(action: &Action, of: &str, ty: &Type) -> TokenStream {
    let Action { ident, private, .. } = action;
    let generics = outliving(action.generics);
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let (name, view) = (format_ident!("View{of}"), format_ident!("{of}View"));
    let lifetime = view::lifetime();
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics #private::#name for #ident #ty_generics #where_clause {
            type #view<#lifetime> = #ty;
        }
    }
}

/// The calls that set the bounds which are stated.
fn bounds(bounds: &Bounds) -> TokenStream {
    let max_input = bounds.max_input.iter().map(|bytes| quote!(.max_input(#bytes)));
    let max_output = bounds.max_output.iter().map(|bytes| quote!(.max_output(#bytes)));
    let budget = bounds.decode_budget.iter().map(|bytes| quote!(.decode_budget(#bytes)));
    max_input.chain(max_output).chain(budget).collect()
}

/// The function that gives values of the types, if any are stated. Examples come first, since the
/// first value of a type is the one that tools show.
fn samples(action: &Action) -> TokenStream {
    let private = &action.private;
    let example = |of: TokenStream, value: &TokenStream| {
        // At the value, where one of another type is to be reported.
        let here = spanned(value);
        let call = quote_spanned!(here=> #private::example::<#of>);
        quote!(#call(#value))
    };
    let input = action.values.input.iter().map(|value| example(quote!(Self::Input), value));
    let output = action.values.output.iter().map(|value| example(quote!(Self::Output), value));
    let others = action.values.samples.iter().map(|value| {
        let here = spanned(value);
        let call = quote_spanned!(here=> #private::samples);
        quote!(#call(#value))
    });
    let all: Vec<_> = input.chain(output).chain(others).collect();
    if all.is_empty() {
        return TokenStream::new();
    }
    quote! {
        fn samples() -> #private::Samples {
            #private::Samples::new() #(.and(&#all))*
        }
    }
}

/// Where the first token stands, for a call that is written around it.
fn spanned(tokens: &TokenStream) -> Span {
    let first = tokens.clone().into_iter().next().map(|token| token.span());
    Span::call_site().located_at(first.unwrap_or_else(Span::call_site))
}

/// Input, output, error, item and upload.
fn types(action: &Action) -> [TokenStream; 5] {
    let private = &action.private;
    [
        input(action),
        stated_or(action.output.as_ref(), quote!(())),
        stated_or(action.error.as_ref(), quote!(#private::Failure)),
        stated_or(action.item.as_ref(), quote!(#private::Never)),
        stated_or(action.upload.as_ref(), quote!(#private::Never)),
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

fn stated_or(stated: Option<&Type>, default: TokenStream) -> TokenStream {
    stated.map_or(default, |ty| quote!(#ty))
}

fn pattern(action: &Action) -> TokenStream {
    let private = &action.private;
    match (&action.item, &action.upload) {
        (None, None) => quote!(#private::Unary),
        (Some(_), None) => quote!(#private::Streams),
        (None, Some(_)) => quote!(#private::Uploads),
        (Some(_), Some(_)) => quote!(#private::Both),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive;

    #[test]
    fn the_impl_names_core_and_the_private_module_only() {
        let written = derive(&parse_quote! {
            /// Sends the text back.
            #[action(input = Text, output = Text, kind = read, timeout = "5s")]
            pub struct Echo;
        });
        let expected = quote! {
            #[automatically_derived]
            #[allow(deprecated)]
            impl ::isock::__private::Action for Echo {
                type Input = Text;
                type Output = Text;
                type Error = ::isock::__private::Failure;
                type Item = ::isock::__private::Never;
                type Upload = ::isock::__private::Never;
                type Kind = ::isock::__private::Read;
                type Pattern = ::isock::__private::Unary;
                const INFO: ::isock::__private::Info = ::isock::__private::Info::new("Echo")
                    .docs(::core::concat!("Sends the text back."))
                    .kind::<::isock::__private::Read>()
                    .timeout(::core::time::Duration::from_millis(5000u64));
            }
        };
        assert_eq!(written.to_string(), expected.to_string());
    }

    #[test]
    fn values_become_samples_and_examples_come_first() {
        let written = derive(&parse_quote! {
            #[action(samples = [a!(), b::<C, D>()], example = [1, 2], input = Text, name = "x")]
            pub struct Echo;
        });
        let expected = quote! {
            fn samples() -> ::isock::__private::Samples {
                ::isock::__private::Samples::new()
                    .and(&::isock::__private::example::<Self::Input>([1, 2]))
                    .and(&::isock::__private::samples([a!(), b::<C, D>()]))
            }
        };
        assert!(written.to_string().contains(&expected.to_string()), "{written}");
    }

    #[test]
    fn a_view_is_named_and_has_one_lifetime() {
        let written = derive(&parse_quote! {
            #[action(input = Text, output = Text, input_view = &str, output_view = TextView<'a>)]
            pub struct Echo;
        });
        let names = quote! {
            fn views() -> ::isock::__private::Views {
                ::isock::__private::Views::new().input::<Self>().output::<Self>()
            }
        };
        assert!(written.to_string().contains(&names.to_string()), "{written}");
        let expected = quote! {
            #[automatically_derived]
            #[allow(deprecated)]
            impl ::isock::__private::ViewInput for Echo {
                type InputView<'message> = &'message str;
            }
            #[automatically_derived]
            #[allow(deprecated)]
            impl ::isock::__private::ViewOutput for Echo {
                type OutputView<'message> = TextView<'message>;
            }
        };
        assert!(written.to_string().ends_with(&expected.to_string()), "{written}");
    }

    #[test]
    fn every_attribute_gets_an_impl() {
        let words = [
            "input",
            "output",
            "stream",
            "upload",
            "kind",
            "name",
            "crate",
            "item",
            "=",
            "=",
            "=",
            ",",
            ",",
            ":",
            "::",
            "<",
            ">",
            "&",
            "str",
            "u8",
            "read",
            "\"a\"",
            "7",
            "(u8)",
            "[]",
            "'a",
            "dyn",
            "input_view",
        ];
        let mut state = 1_u32;
        for _ in 0..5_000 {
            let settings: Vec<_> = (0..9).map(|_| words[next(&mut state) % words.len()]).collect();
            let subject = format!("#[action({})] struct Echo;", settings.join(" "));
            if let Ok(input) = syn::parse_str(&subject) {
                let written = derive(&input).to_string();
                assert!(written.contains(":: Action for Echo"), "{subject}\n{written}");
            }
        }
    }

    /// The next number of a fixed series that looks random.
    fn next(state: &mut u32) -> usize {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*state >> 16) as usize
    }
}
