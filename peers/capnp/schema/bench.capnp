# The service that every peer offers. `src/bench_capnp.rs` is generated from this file; see the README.
@0xb6f2c9a4d1e07358;

struct Msg {
  a @0 :UInt64;
  b @1 :UInt64;
  c @2 :UInt64;
  d @3 :UInt64;
}

struct Record {
  id @0 :UInt64;
  name @1 :Text;
  score @2 :Float64;
  group :union {
    none @3 :Void;
    some @4 :UInt32;
  }
  samples @5 :List(UInt16);
}

interface Bench {
  echo @0 (msg :Msg) -> (msg :Msg);
  bulk @1 (payload :Data) -> (payload :Data);
  records @2 (records :List(Record)) -> (records :List(Record));
  nap @3 (millis :UInt32);
}
