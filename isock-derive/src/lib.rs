//! `#[derive(Action)]`.
