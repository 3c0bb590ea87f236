//! The proxy in front of a plain echo: what it promises to keep, and what it promises to break.

use super::{DelayProxy, converse};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for anything that has to come.
const BOUND: Duration = Duration::from_secs(20);
/// How long nothing may come where nothing should.
const QUIET: Duration = Duration::from_millis(150);

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Sends everything back, and closes when the other side does. Ends with the test process.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind(any_port()).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || {
                // It ends with an error where a test resets the connection.
                let _ = std::io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn proxy(lines: &[&str]) -> DelayProxy {
    let proxy = DelayProxy::start(any_port(), echo()).unwrap();
    for line in lines {
        proxy.obey(line).unwrap();
    }
    proxy
}

fn connect(proxy: &DelayProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream
}

/// Sends a message and reads as much back; how long that took.
#[track_caller]
fn echoes(stream: &mut TcpStream, message: &[u8]) -> Duration {
    let start = Instant::now();
    stream.write_all(message).unwrap();
    let mut back = vec![0; message.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, message);
    start.elapsed()
}

#[test]
fn bytes_come_back_as_they_were_however_the_lanes_are_set() {
    let message: Vec<u8> = (0..20_000_u32).map(|number| number as u8).collect();
    for line in [
        "both",
        "both delay 20 jitter 20",
        "up cut-every 700",
        "down rate 100000 cut-every 1000",
        "both cut-at 9999 jitter 5",
    ] {
        let proxy = proxy(&[line]);
        let mut stream = connect(&proxy);
        echoes(&mut stream, &message);
        // And the end comes through behind them.
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{line}");
    }
}

#[test]
fn a_message_is_whole_wherever_it_is_cut() {
    let message = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let proxy = proxy(&[]);
    for offset in 0..=message.len() {
        proxy.obey(&format!("both cut-at {offset}")).unwrap();
        echoes(&mut connect(&proxy), message);
    }
    proxy.obey("both cut-every 1").unwrap();
    echoes(&mut connect(&proxy), message);
}

#[test]
fn each_direction_adds_its_own_delay_and_can_be_told_to_stop() {
    let proxy = proxy(&["up delay 120", "down delay 60 jitter 10"]);
    let mut stream = connect(&proxy);
    assert!(echoes(&mut stream, b"slow") >= Duration::from_millis(170));
    proxy.obey("up delay 3600000").unwrap();
    stream.write_all(b"soon").unwrap();
    // What is under way is hurried, too.
    proxy.obey("calm").unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"soon");
}

#[test]
fn a_rate_bounds_how_fast_bytes_come() {
    let proxy = proxy(&["down rate 50000"]);
    let took = echoes(&mut connect(&proxy), &[7; 10_000]);
    assert!(took >= Duration::from_millis(180), "{took:?}");
}

#[test]
fn nothing_comes_through_a_stalled_lane_until_it_goes_on() {
    let proxy = proxy(&[]);
    let mut stream = connect(&proxy);
    echoes(&mut stream, b"before");
    proxy.obey("down stall").unwrap();
    stream.write_all(b"after").unwrap();
    stream.set_read_timeout(Some(QUIET)).unwrap();
    let error = stream.read(&mut [0; 8]).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    proxy.obey("down go").unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"after");
}

#[test]
fn a_reset_ends_open_connections_and_no_later_one() {
    let proxy = proxy(&[]);
    let mut stream = connect(&proxy);
    echoes(&mut stream, b"before");
    proxy.obey("reset").unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    echoes(&mut connect(&proxy), b"after");
}

#[test]
fn a_half_closed_connection_still_brings_what_comes_back() {
    let proxy = proxy(&["down delay 50"]);
    let mut stream = connect(&proxy);
    stream.write_all(b"last words").unwrap();
    // Once they are on the way back, the echo is told that there will be no more.
    let mut first = [0];
    stream.read_exact(&mut first).unwrap();
    proxy.obey("up half-close").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"ast words");
}

#[test]
fn refused_connections_end_at_once_and_open_ones_go_on() {
    let proxy = proxy(&[]);
    let mut stream = connect(&proxy);
    echoes(&mut stream, b"before");
    proxy.obey("refuse").unwrap();
    let error = connect(&proxy).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    echoes(&mut stream, b"after");
    proxy.obey("accept").unwrap();
    echoes(&mut connect(&proxy), b"again");
}

#[test]
fn a_target_that_is_not_there_is_a_reset() {
    let nobody = TcpListener::bind(any_port()).unwrap().local_addr().unwrap();
    let proxy = DelayProxy::start(any_port(), nobody).unwrap();
    let error = connect(&proxy).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_proxy_that_is_dropped_takes_its_connections_with_it() {
    let proxy = proxy(&["both stall"]);
    let mut stream = connect(&proxy);
    stream.write_all(b"stuck").unwrap();
    drop(proxy);
    assert!(stream.read(&mut [0]).is_err());
}

#[test]
fn each_line_has_one_answer() {
    let proxy = proxy(&[]);
    let mut answers = Vec::new();
    let lines = b"both delay 5\nnonsense\nstatus\n";
    converse(&proxy, &lines[..], &mut answers).unwrap();
    let answers = String::from_utf8(answers).unwrap();
    let answers: Vec<_> = answers.lines().collect();
    assert_eq!(answers[0], format!("listening on {}", proxy.address()));
    assert_eq!((answers[1], answers[3]), ("ok", "ok connections 0 bytes 0"));
    assert!(answers[2].starts_with("error: `nonsense`"), "{answers:?}");
    assert_eq!(answers.len(), 4);
}
