//! Reads `#[action(…)]`.
//!
//! Knows keys and what each takes. Does not know whether the values make sense together, or for
//! the type: that is `valid`. After a mistake, reading goes on with the next key; a value whose
//! intent is plain is kept, so that the uses of the action compile and one mistake stays one
//! message.

use crate::{
    errors::Errors,
    words::{listed, nearest},
};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    ext::IdentExt,
    parse::{Parse, ParseStream},
    parse_quote, Attribute, Error, Expr, Ident, LitStr, Meta, Path, Result, Token, Type,
};

/// What the attributes of one type say; `None` for what they leave out.
#[derive(Default)]
pub(crate) struct Settings {
    /// `input = String`
    pub(crate) input: Option<Type>,
    /// `output = String`
    pub(crate) output: Option<Type>,
    /// `error = PlaceError`
    pub(crate) error: Option<Type>,
    /// `stream = Tick`
    pub(crate) stream: Option<Type>,
    /// `upload = Part`
    pub(crate) upload: Option<Type>,
    /// `input_view = OrderView<'_>`
    pub(crate) input_view: Option<Type>,
    /// `output_view = ReceiptView<'_>`
    pub(crate) output_view: Option<Type>,
    /// `name = "shop.place"`
    pub(crate) name: Option<LitStr>,
    /// `kind = read`
    pub(crate) kind: Option<Kind>,
    /// `timeout = "5s"`
    pub(crate) timeout: Option<LitStr>,
    /// `crate = reexported::isock`
    pub(crate) krate: Option<Path>,
    /// `max_input = 1 << 20` and the like.
    pub(crate) bounds: Bounds,
    /// `example = "hi"` and the like.
    pub(crate) values: Values,
}

/// Values of the action's types; whatever is no expression is for the compiler to say.
#[derive(Default)]
pub(crate) struct Values {
    /// `example = "hi"`
    pub(crate) input: Option<TokenStream>,
    /// `example_output = 7`
    pub(crate) output: Option<TokenStream>,
    /// `samples = isock::sample!(Email, "a@b.c")`
    pub(crate) samples: Option<TokenStream>,
}

/// What one call may cost, in bytes.
#[derive(Default)]
pub(crate) struct Bounds {
    /// `max_input = 1 << 20`
    pub(crate) max_input: Option<Expr>,
    /// `max_output = 1 << 20`
    pub(crate) max_output: Option<Expr>,
    /// `decode_budget = 64 << 20`
    pub(crate) decode_budget: Option<Expr>,
}

/// Whether the action may be repeated.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Changes nothing.
    Read,
    /// Repeating it changes nothing more.
    Idempotent,
    /// Every run counts.
    Once,
}

/// Reads every `#[action(…)]` among `attrs`.
pub(crate) fn read(attrs: &[Attribute], errors: &mut Errors) -> Settings {
    let mut reader = Reader { settings: Settings::default(), seen: Vec::new(), errors };
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("action")) {
        reader.attribute(attr);
    }
    reader.settings
}

struct Reader<'e> {
    settings: Settings,
    seen: Vec<Key>,
    errors: &'e mut Errors,
}

impl Reader<'_> {
    fn attribute(&mut self, attr: &Attribute) {
        let Meta::List(list) = &attr.meta else {
            let message = "write the settings in parentheses, as in `#[action(input = String)]`, \
                           or leave the attribute out";
            return self.errors.at(&attr.meta, message);
        };
        let read = list.parse_args_with(|input: ParseStream| {
            self.settings(input);
            Ok(())
        });
        read.unwrap_or_else(|error| self.errors.push(error));
    }

    fn settings(&mut self, input: ParseStream) {
        while !input.is_empty() {
            match self.setting(input) {
                Ok(()) if input.is_empty() || input.peek(Token![,]) => {}
                Ok(()) => self.unexpected(input, "expected `,` or `)` after the value"),
                Err(error) => {
                    self.errors.push(error);
                    skip_to_next_setting(input);
                }
            }
            // What stands here is a comma, or a key after a mistake that was already noted.
            let _ = input.parse::<Option<Token![,]>>();
        }
    }

    fn unexpected(&mut self, input: ParseStream, message: &str) {
        self.errors.push(input.error(message));
        skip_to_next_setting(input);
    }

    fn setting(&mut self, input: ParseStream) -> Result<()> {
        let written = any_ident(input).map_err(|error| {
            Error::new(error.span(), format!("expected a key: {}", Key::list()))
        })?;
        let Some(key) = self.key(&written)? else {
            skip_to_next_setting(input);
            return Ok(());
        };
        let read = self.equals(&written, key, input).and_then(|()| self.value(key, input));
        read.inspect_err(|_| self.assume(key))
    }

    /// Sets what most uses of the action compile with, in place of a value that is wrong.
    fn assume(&mut self, key: Key) {
        match key {
            Key::Input => self.settings.input = Some(parse_quote!(())),
            Key::Stream => self.settings.stream = Some(parse_quote!(())),
            Key::Upload => self.settings.upload = Some(parse_quote!(())),
            Key::Kind => self.settings.kind = Some(Kind::Read),
            _ => {}
        }
    }

    /// Which key `written` is or was meant to be; `None` if its value is of no interest.
    fn key(&mut self, written: &Ident) -> Result<Option<Key>> {
        let word = written.to_string();
        if let Some(key) = Key::named(&word) {
            return Ok(self.first(written, key).then_some(key));
        }
        let Some(meant) = nearest(&word, &Key::NAMES) else {
            return Err(Error::new(
                written.span(),
                format!("unknown key `{word}`: {}", Key::list()),
            ));
        };
        let message = format!("unknown key `{word}`; did you mean `{meant}`? {}", Key::list());
        self.errors.at(written, message);
        // Not noted as seen: the key itself may follow.
        Ok(Key::named(meant).filter(|key| !self.seen.contains(key)))
    }

    fn first(&mut self, written: &Ident, key: Key) -> bool {
        let first = !self.seen.contains(&key);
        if first {
            self.seen.push(key);
        } else {
            self.errors.at(written, format!("`{}` is given twice; keep one", key.name()));
        }
        first
    }

    /// Reads the `=`, or the `:` that was meant to be one.
    fn equals(&mut self, written: &Ident, key: Key, input: ParseStream) -> Result<()> {
        let message = format!("`{}` takes {}", key.name(), key.takes());
        if input.peek(Token![:]) && !input.peek(Token![::]) {
            let colon = input.parse::<Token![:]>()?;
            self.errors.at(colon, format!("write `=` here: {message}"));
        } else if input.parse::<Option<Token![=]>>()?.is_none() {
            return Err(Error::new(written.span(), message));
        }
        if input.is_empty() || input.peek(Token![,]) {
            return Err(Error::new(written.span(), message));
        }
        Ok(())
    }

    fn value(&mut self, key: Key, input: ParseStream) -> Result<()> {
        match key {
            Key::Input => self.settings.input = Some(self.unquoted(key, input)?),
            Key::Output => self.settings.output = Some(self.unquoted(key, input)?),
            Key::Error => self.settings.error = Some(self.unquoted(key, input)?),
            Key::Stream => self.settings.stream = Some(self.unquoted(key, input)?),
            Key::Upload => self.settings.upload = Some(self.unquoted(key, input)?),
            Key::InputView => self.settings.input_view = Some(self.unquoted(key, input)?),
            Key::OutputView => self.settings.output_view = Some(self.unquoted(key, input)?),
            Key::Name => self.settings.name = Some(typed(key, input)?),
            Key::Kind => self.settings.kind = Some(self.kind(input)?),
            Key::Timeout => self.settings.timeout = Some(typed(key, input)?),
            Key::Crate => self.settings.krate = Some(path(input)?),
            Key::MaxInput => self.settings.bounds.max_input = Some(self.unquoted(key, input)?),
            Key::MaxOutput => self.settings.bounds.max_output = Some(self.unquoted(key, input)?),
            Key::DecodeBudget => {
                self.settings.bounds.decode_budget = Some(self.unquoted(key, input)?);
            }
            Key::Example => self.settings.values.input = Some(expression(input)?),
            Key::ExampleOutput => self.settings.values.output = Some(expression(input)?),
            Key::Samples => self.settings.values.samples = Some(expression(input)?),
        }
        Ok(())
    }

    /// Reads a value that is no string, and what is inside of one that was written as a string.
    fn unquoted<T: Parse>(&mut self, key: Key, input: ParseStream) -> Result<T> {
        if !input.peek(LitStr) {
            return typed(key, input);
        }
        let quoted: LitStr = input.parse()?;
        let wrong = Error::new(quoted.span(), format!("`{}` takes {}", key.name(), key.takes()));
        let value = quoted.parse().map_err(|_| wrong)?;
        let (name, text) = (key.name(), quoted.value());
        self.errors.at(quoted, format!("write `{name} = {text}`, without quotes"));
        Ok(value)
    }

    fn kind(&mut self, input: ParseStream) -> Result<Kind> {
        let Word(written) = self.unquoted(Key::Kind, input)?;
        let word = written.to_string();
        if let Some(kind) = Kind::named(&word) {
            return Ok(kind);
        }
        let list = listed(&Kind::NAMES);
        let Some(meant) = nearest(&word, &Kind::NAMES) else {
            let message = format!("unknown kind `{word}`: the kinds are {list}");
            return Err(Error::new(written.span(), message));
        };
        let message =
            format!("unknown kind `{word}`; did you mean `{meant}`? the kinds are {list}");
        self.errors.at(&written, message);
        Ok(Kind::named(meant).unwrap_or(Kind::Once))
    }
}

/// Reads a value, and says what `key` takes if there is something else.
fn typed<T: Parse>(key: Key, input: ParseStream) -> Result<T> {
    let message =
        |error: Error| Error::new(error.span(), format!("`{}` takes {}", key.name(), key.takes()));
    input.parse().map_err(message)
}

/// Reads an expression of any kind. `syn` knows a few kinds here, and of those where they end; the
/// others, arrays and blocks for two, end at the next comma.
fn expression(input: ParseStream) -> Result<TokenStream> {
    let ahead = input.fork();
    let is_known = ahead.parse::<Expr>().is_ok() && (ahead.is_empty() || ahead.peek(Token![,]));
    if is_known {
        return Ok(input.parse::<Expr>()?.into_token_stream());
    }
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    Ok(tokens)
}

/// Reads a path as in `use`, bare or quoted as serde wants it.
fn path(input: ParseStream) -> Result<Path> {
    let wrong =
        |error: Error| Error::new(error.span(), format!("`crate` takes {}", Key::Crate.takes()));
    match input.parse::<Option<LitStr>>()? {
        Some(quoted) => quoted.parse_with(Path::parse_mod_style).map_err(wrong),
        None => Path::parse_mod_style(input).map_err(wrong),
    }
}

/// Moves to a comma with a setting behind it, to a known key, or to the end. Commas inside of a
/// type's arguments are no such place.
fn skip_to_next_setting(input: ParseStream) {
    while !input.is_empty() && !at_setting(input) {
        // There is a token, and a token tree is whatever token comes.
        let _ = input.parse::<TokenTree>();
    }
}

fn at_setting(input: ParseStream) -> bool {
    let ahead = input.fork();
    let comma = ahead.parse::<Option<Token![,]>>().is_ok_and(|comma| comma.is_some());
    if comma && ahead.is_empty() {
        return true;
    }
    let Ok(word) = any_ident(&ahead) else { return false };
    let known = Key::named(&word.to_string()).is_some();
    let assigned = ahead.peek(Token![=]) && !ahead.peek(Token![==]);
    (comma || known) && assigned || comma && known
}

/// An identifier, or a keyword such as `crate`.
fn any_ident(input: ParseStream) -> Result<Ident> {
    input.call(Ident::parse_any)
}

/// A kind's name, which may be a keyword when it is wrong.
struct Word(Ident);

impl Parse for Word {
    fn parse(input: ParseStream) -> Result<Word> {
        any_ident(input).map(Word)
    }
}

/// What can be set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Input,
    Output,
    Error,
    Stream,
    Upload,
    InputView,
    OutputView,
    Name,
    Kind,
    Timeout,
    MaxInput,
    MaxOutput,
    DecodeBudget,
    Example,
    ExampleOutput,
    Samples,
    Crate,
}

impl Key {
    const NAMES: [&'static str; 17] = [
        "input",
        "output",
        "error",
        "stream",
        "upload",
        "input_view",
        "output_view",
        "name",
        "kind",
        "timeout",
        "max_input",
        "max_output",
        "decode_budget",
        "example",
        "example_output",
        "samples",
        "crate",
    ];

    const ALL: [Key; 17] = [
        Key::Input,
        Key::Output,
        Key::Error,
        Key::Stream,
        Key::Upload,
        Key::InputView,
        Key::OutputView,
        Key::Name,
        Key::Kind,
        Key::Timeout,
        Key::MaxInput,
        Key::MaxOutput,
        Key::DecodeBudget,
        Key::Example,
        Key::ExampleOutput,
        Key::Samples,
        Key::Crate,
    ];

    fn named(name: &str) -> Option<Key> {
        Key::ALL.into_iter().find(|key| key.name() == name)
    }

    fn name(self) -> &'static str {
        Key::NAMES[self as usize]
    }

    fn takes(self) -> &'static str {
        match self {
            Key::Input => "a type, as in `input = String`",
            Key::Output => "a type, as in `output = String`",
            Key::Error => "a type, as in `error = PlaceError`",
            Key::Stream => "the type of an item, as in `stream = Tick`",
            Key::Upload => "the type of an item, as in `upload = Part`",
            Key::InputView => "a type that borrows, as in `input_view = OrderView<'_>`",
            Key::OutputView => "a type that borrows, as in `output_view = ReceiptView<'_>`",
            Key::Name => "a string, as in `name = \"shop.place\"`",
            Key::Kind => "one of `read`, `idempotent` and `once`, as in `kind = read`",
            Key::Timeout => "a time with its unit, as in `timeout = \"5s\"`",
            Key::MaxInput => "a number of bytes, as in `max_input = 1 << 20`",
            Key::MaxOutput => "a number of bytes, as in `max_output = 1 << 20`",
            Key::DecodeBudget => "a number of bytes, as in `decode_budget = 64 << 20`",
            Key::Example => "a value of the input, as in `example = \"hello\"`",
            Key::ExampleOutput => "a value of the output, as in `example_output = 7`",
            Key::Samples => "samples of types, as in `samples = isock::sample!(Email, \"a@b.c\")`",
            Key::Crate => "the path of isock, as in `crate = reexported::isock`",
        }
    }

    fn list() -> String {
        format!("the keys are {}", listed(&Key::NAMES))
    }
}

impl Kind {
    const NAMES: [&'static str; 3] = ["read", "idempotent", "once"];

    fn named(name: &str) -> Option<Kind> {
        match name {
            "read" => Some(Kind::Read),
            "idempotent" => Some(Kind::Idempotent),
            "once" => Some(Kind::Once),
            _ => None,
        }
    }
}
