use crate::{everywhere, server, Blobs, CountTo};
use isock::{CallError, ProblemKind, Ran, Server};
use isock_tests::waiting::block_on;
use std::future::poll_fn;

#[test]
fn items_come_in_order_and_then_the_output() {
    everywhere(|client| {
        let mut stream = client.open::<CountTo>(100_000).unwrap();
        let mut next = 1;
        for number in stream.by_ref() {
            assert_eq!(number.unwrap(), next);
            next += 1;
        }
        assert_eq!(next, 100_001);
        assert_eq!(stream.finish().unwrap(), 100_000);
    });
}

#[test]
fn an_output_can_be_had_without_a_look_at_the_items() {
    everywhere(|client| {
        assert_eq!(client.open::<CountTo>(50_000).unwrap().finish().unwrap(), 50_000)
    });
}

#[test]
fn a_stream_without_items_has_an_output() {
    everywhere(|client| {
        let mut stream = client.open::<CountTo>(0).unwrap();
        assert!(stream.next().is_none());
        assert_eq!(stream.finish().unwrap(), 0);
    });
}

#[test]
fn items_of_any_length_arrive() {
    let server = server();
    let client = server.client();
    for len in [0, 1, 1000, 65_531, 65_532, 300_000, 4 << 20] {
        let stream = client.open::<Blobs>((5, len)).unwrap();
        let items: Vec<_> = stream.collect::<Result<_, _>>().unwrap();
        assert_eq!(items.len(), 5, "{len}");
        for (n, item) in items.iter().enumerate() {
            assert!(
                item.len() == len as usize && item.iter().all(|byte| *byte == n as u8),
                "{len}"
            );
        }
    }
}

#[test]
fn a_caller_that_takes_short_messages_gets_all_items() {
    let server = server();
    let limits = isock::Limits::default().message(64 << 10).stream_window(1 << 20);
    let limits = limits.stream_items(1 << 20);
    let client = isock::Client::builder().limits(limits).connect(server.address()).unwrap();
    let stream = client.open::<CountTo>(200_000).unwrap();
    assert_eq!(stream.map(|n| n.unwrap()).sum::<u64>(), 200_000 * 200_001 / 2);
    let error = client.open::<Blobs>((1, 65_530)).unwrap().finish().unwrap_err();
    assert!(error.to_string().contains("longer than the limit of 65532 bytes"), "{error}");
    assert_eq!(client.open::<Blobs>((1, 65_529)).unwrap().count(), 1);
}

#[test]
fn an_item_that_is_too_long_ends_the_stream_with_a_reason() {
    let server = server();
    let error = server.client().open::<Blobs>((1, 9 << 20)).unwrap().finish().unwrap_err();
    assert!(
        matches!(&error, CallError::Action(failure) if failure.to_string().contains("cannot be sent")),
        "{error}"
    );
}

#[test]
fn a_stream_is_polled_in_any_executor() {
    let server = server();
    let client = server.client();
    let mut stream = client.open::<CountTo>(20_000).unwrap();
    let mut sum = 0;
    block_on(async {
        while let Some(number) = poll_fn(|cx| stream.poll_next(cx)).await {
            sum += number.unwrap();
        }
    });
    assert_eq!(sum, 20_000 * 20_001 / 2);
    assert_eq!(stream.finish().unwrap(), 20_000);
}

#[test]
fn a_stream_is_one_for_the_futures_crates() {
    fn next<S: futures_core::Stream + Unpin>(
        stream: &mut S,
    ) -> impl std::future::Future<Output = Option<S::Item>> + '_ {
        poll_fn(|cx| std::pin::Pin::new(&mut *stream).poll_next(cx))
    }
    let server = server();
    let mut stream = server.client().open::<CountTo>(2).unwrap();
    block_on(async {
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), 1);
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), 2);
        assert!(next(&mut stream).await.is_none());
    });
}

#[test]
fn many_streams_and_calls_share_a_connection() {
    let server = server();
    let client = server.client();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for to in [1, 10, 5000] {
                    let stream = client.open::<CountTo>(to).unwrap();
                    assert_eq!(stream.map(|n| n.unwrap()).sum::<u64>(), to * (to + 1) / 2);
                }
            });
        }
    });
}

#[test]
fn a_server_opens_a_stream_at_its_client() {
    let server = Server::builder().bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let client = server
        .client_with(|client| {
            client.on::<CountTo>(|to, cx| {
                (1..=to).try_for_each(|n| cx.send(n))?;
                Ok(to)
            })
        })
        .unwrap();
    let connection = server.connections().latest().unwrap();
    let mut stream = connection.open::<CountTo>(30_000).unwrap();
    let sum: u64 = stream.by_ref().map(|n| n.unwrap()).sum();
    assert_eq!((sum, stream.finish().unwrap()), (30_000 * 30_001 / 2, 30_000));
    drop(client);
}

#[test]
fn an_action_that_is_missing_is_named() {
    let server = Server::builder().bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let mut stream = server.client().open::<CountTo>(1).unwrap();
    let error = stream.next().unwrap().unwrap_err();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::UnknownAction);
    assert_eq!(error.ran(), Ran::No);
    assert!(stream.next().is_none());
    let again = stream.finish().unwrap_err();
    assert_eq!(again.problem().unwrap().kind(), ProblemKind::UnknownAction);
}
