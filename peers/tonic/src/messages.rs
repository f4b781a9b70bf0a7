//! The messages as prost would generate them, with `bytes` for bulk so that no copy is made in decoding.

use kit::{data, Bytes};

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Msg {
    #[prost(fixed64, tag = "1")]
    pub(crate) a: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) b: u64,
    #[prost(fixed64, tag = "3")]
    pub(crate) c: u64,
    #[prost(fixed64, tag = "4")]
    pub(crate) d: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) bytes: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Records {
    #[prost(message, repeated, tag = "1")]
    pub(crate) records: Vec<Record>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Record {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(double, tag = "3")]
    score: f64,
    #[prost(uint32, optional, tag = "4")]
    group: Option<u32>,
    #[prost(uint32, repeated, tag = "5")]
    samples: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Nap {
    #[prost(uint32, tag = "1")]
    pub(crate) millis: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Stream {
    #[prost(uint64, tag = "1")]
    pub(crate) items: u64,
}

impl From<data::Msg> for Msg {
    fn from(data::Msg { a, b, c, d }: data::Msg) -> Msg {
        Msg { a, b, c, d }
    }
}

impl From<Msg> for data::Msg {
    fn from(Msg { a, b, c, d }: Msg) -> data::Msg {
        data::Msg { a, b, c, d }
    }
}

impl From<&data::Record> for Record {
    fn from(record: &data::Record) -> Record {
        Record {
            id: record.id,
            name: record.name.clone(),
            score: record.score,
            group: record.group,
            samples: record.samples.iter().copied().map(u32::from).collect(),
        }
    }
}

impl PartialEq<data::Record> for Record {
    fn eq(&self, other: &data::Record) -> bool {
        self.id == other.id
            && self.name == other.name
            && self.score == other.score
            && self.group == other.group
            && self.samples.iter().copied().eq(other.samples.iter().copied().map(u32::from))
    }
}
