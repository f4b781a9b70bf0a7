//! Describes the service in Rust, so that no protoc is needed; `src/messages.rs` has the messages.

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

fn main() {
    let service = Service::builder()
        .name("Bench")
        .package("bench")
        .method(method("echo", "Echo", "Msg", "Msg").build())
        .method(method("bulk", "Bulk", "Payload", "Payload").build())
        .method(method("records", "Records", "Records", "Records").build())
        .method(method("nap", "Nap", "Nap", "Nap").build())
        .method(method("stream", "Stream", "Stream", "Msg").server_streaming().build())
        .build();
    Builder::new().compile(&[service]);
}

fn method(name: &str, route: &str, input: &str, output: &str) -> MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("crate::messages::{input}"))
        .output_type(format!("crate::messages::{output}"))
        .codec_path("tonic_prost::ProstCodec")
}
