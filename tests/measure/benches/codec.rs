//! Values to bytes and back: with the guard, without it, and by postcard alone.

use criterion::{Criterion, Throughput};
use isock::wire::{
    guard::{decode, decode_unguarded},
    DecodeLimits, Encoder,
};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use std::hint::black_box;

const LIMIT: usize = 8 << 20;

#[derive(Serialize, Deserialize)]
struct Row {
    id: u64,
    name: String,
    score: f64,
    parent: Option<u32>,
    tags: Vec<u16>,
}

fn row(id: u64) -> Row {
    let parent = (id % 2 == 0).then_some(id as u32);
    Row { id, name: format!("row {id}"), score: 0.5, parent, tags: vec![1, 300, 60_000] }
}

fn both_ways<T: Serialize + DeserializeOwned>(criterion: &mut Criterion, name: &str, value: &T) {
    let mut encoder = Encoder::new(LIMIT);
    encoder.push(value).unwrap();
    let bytes = encoder.as_bytes().to_vec();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bench| {
        bench.iter(|| {
            encoder.clear();
            encoder.push(black_box(value)).unwrap();
        });
    });
    group.bench_function("decode, guarded", |bench| {
        bench.iter(|| decode::<T>(black_box(&bytes), DecodeLimits::for_len(bytes.len())).unwrap());
    });
    group.bench_function("decode, unguarded", |bench| {
        bench.iter(|| decode_unguarded::<T>(black_box(&bytes)).unwrap());
    });
    group.bench_function("decode, plain postcard", |bench| {
        bench.iter(|| postcard::from_bytes::<T>(black_box(&bytes)).unwrap());
    });
    group.finish();
}

fn codec(criterion: &mut Criterion) {
    both_ways(criterion, "number", &7u64);
    both_ways(criterion, "row", &row(7));
    both_ways(criterion, "1000 rows", &(0..1000).map(row).collect::<Vec<_>>());
    both_ways(criterion, "64 KiB", &isock::Bytes::from(vec![7; 64 << 10]));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    codec(&mut criterion);
    criterion.final_summary();
}
