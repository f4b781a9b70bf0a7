use crate::{server, Mirror};

#[test]
fn items_go_both_ways_at_once() {
    let server = server();
    let client = server.client();
    let mut stream = client.open::<Mirror>(()).unwrap();
    for n in 0..1000u32 {
        stream.send(&n.to_le_bytes()).unwrap();
        let back = stream.next().unwrap().unwrap();
        assert_eq!(back[..], n.to_le_bytes());
    }
    stream.close();
    assert!(stream.next().is_none());
    assert_eq!(stream.finish().unwrap(), 1000);
}
