//! The doc comment, which travels with the action.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// A doc comment: its pieces, to be joined by line ends.
pub(crate) struct Docs(Vec<Piece>);

enum Piece {
    /// Lines as written, without the space after `///`.
    Text(String),
    /// A macro that makes the text, as in `#[doc = include_str!("echo.md")]`.
    Made(Expr),
}

/// Reads the doc comment among `attrs`.
pub(crate) fn read(attrs: &[Attribute]) -> Docs {
    Docs(attrs.iter().filter_map(piece).collect())
}

fn piece(attr: &Attribute) -> Option<Piece> {
    match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => Some(match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
                Piece::Text(unindented(&text.value()))
            }
            made => Piece::Made(made.clone()),
        }),
        _ => None,
    }
}

fn unindented(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n")
}

impl Docs {
    /// The whole text as an expression; `None` if there is no comment.
    pub(crate) fn expression(&self) -> Option<TokenStream> {
        match self.0.as_slice() {
            [] => None,
            [first, rest @ ..] => {
                let first = first.expression();
                let rest = rest.iter().map(Piece::expression);
                Some(quote!(::core::concat!(#first #(, "\n", #rest)*)))
            }
        }
    }
}

impl Piece {
    fn expression(&self) -> TokenStream {
        match self {
            Piece::Text(text) => quote!(#text),
            Piece::Made(made) => quote!(#made),
        }
    }
}
