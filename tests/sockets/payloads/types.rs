//! Actions that take whatever a hostile peer would like to send.

use super::attack::Measured;
use crate::arena::Runs;
use isock::{Action, ServerBuilder};
use isock_tests::hostile::{Big, Chain, Either, Golden, Link, MapTree, Mixed, Skipped, Tree, Unit};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    num::NonZeroU32,
    time::Duration,
};

type Nested = HashMap<u64, HashMap<u64, HashMap<u64, u64>>>;

macro_rules! actions {
    ($(takes $taker:ident: $input:ty;)* $(gives $giver:ident: $both:ty;)*) => {
        $(
            #[derive(Action)]
            #[action(input = Measured<$input>, kind = read)]
            pub(super) struct $taker;
        )*
        $(
            #[derive(Action)]
            #[action(input = Measured<$both>, output = $both, kind = read)]
            pub(super) struct $giver;
        )*

        pub(crate) fn serve(server: ServerBuilder, runs: &Runs) -> ServerBuilder {
            $(
                let count = runs.clone();
                let server = server.on::<$taker>(move |_, _| {
                    count.add();
                    Ok(())
                });
            )*
            $(
                let count = runs.clone();
                let server = server.on::<$giver>(move |Measured(value), _| {
                    count.add();
                    Ok(value)
                });
            )*
            server
        }
    };
}

actions! {
    takes TakesNumbers: Vec<u64>;
    takes TakesOctets: Vec<u8>;
    takes TakesMap: HashMap<u64, u64>;
    takes TakesTree: BTreeMap<u64, u64>;
    takes TakesSet: BTreeSet<u64>;
    takes TakesText: String;
    takes TakesBytes: isock::Bytes;
    takes TakesMaps: Nested;
    takes TakesUnits: Vec<()>;
    takes TakesUnitSet: HashSet<()>;
    takes TakesUnitMap: HashMap<(), ()>;
    takes TakesSkipped: Vec<Skipped>;
    takes TakesBig: Vec<Big>;
    takes TakesOptions: Vec<Option<[u64; 32]>>;
    takes TakesDeepTree: Tree;
    takes TakesLink: Link;
    takes TakesChain: Chain;
    takes TakesEither: Either;
    takes TakesMapTree: MapTree;
    takes TakesMixed: Mixed;
    takes TakesGolden: Golden;
    takes TakesTuple: (String, u32, f32);
    takes TakesUnit: Unit;
    takes TakesChar: char;
    takes TakesU16: u16;
    takes TakesU64: u64;
    takes TakesU128: u128;
    takes TakesBool: bool;
    takes TakesOption: Option<u8>;
    takes TakesNonZero: NonZeroU32;
    takes TakesDuration: Duration;
    gives GivesNumber: u32;
    gives GivesDouble: f64;
    gives GivesFloat: f32;
    gives GivesMap: BTreeMap<u8, u8>;
}
