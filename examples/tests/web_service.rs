//! The example's service, over a real socket.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[expect(dead_code, reason = "the example's own `main` is run by another test")]
#[path = "../web_service.rs"]
mod web_service;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use pasetors::keys::{AsymmetricKeyPair, Generate as _};
use pasetors::version4::V4;
use strongroom::{Clock as _, Policy, SystemClock};
use strongroom_testkit::TestRoom;

struct Server {
    kit: TestRoom,
    issuer: AsymmetricKeyPair<V4>,
    at: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    request_id: String,
    body: String,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let kit = TestRoom::with_policy(Policy::from_toml(web_service::POLICY).unwrap());
        kit.clock.set(SystemClock.now()); // tokens are of today
        let issuer = AsymmetricKeyPair::<V4>::generate().unwrap();
        let at = runtime.block_on(async {
            web_service::set_up(&kit.room(), &issuer.public).await.unwrap();
            let app = web_service::app(kit.room()).await.unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = listener.local_addr().unwrap();
            tokio::spawn(async { axum::serve(listener, app).await });
            at
        });
        Self { kit, issuer, at, _runtime: runtime }
    }

    fn token(&self, user: &str, tenant: &str) -> String {
        web_service::issue(&self.issuer.secret, user, tenant, None).unwrap()
    }

    fn call(&self, what: &str, token: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "{what} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-Request-Id: req-7\r\n\
             Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: "));
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            request_id: id.unwrap().to_owned(),
            body: body.to_owned(),
        }
    }
}

#[test]
fn a_key_is_put_described_and_used_and_never_shown() {
    let server = Server::start();
    let alice = server.token("alice", "acme");
    let put = server.call("PUT /secrets/tenants/acme/hook", &alice, "canary-key");
    assert_eq!((put.status, put.body.as_str()), (201, r#"{"version":1}"#));

    let signed = server.call("POST /sign/tenants/acme/hook", &alice, "what is signed");
    // printf 'what is signed' | openssl dgst -sha256 -hmac canary-key
    let expected = "c5bf882c04d2228887e808840df92cb2ddc255cbb3b376ac4cbdb9c1696b47e5";
    assert_eq!((signed.status, signed.body.as_str()), (200, expected));

    let described = server.call("GET /secrets/tenants/acme/hook", &alice, "");
    assert_eq!(described.status, 200);
    assert!(described.body.contains(r#""current":1"#), "{described:?}");
    assert!(described.body.contains(r#""kind":"encryption-key""#), "{described:?}");
    assert!(!described.body.contains("canary"));
}

#[test]
fn the_request_id_is_in_the_answer_and_in_the_audit_log() {
    let server = Server::start();
    let alice = server.token("alice", "acme");
    let answer = server.call("GET /secrets/tenants/acme/none", &alice, "");
    assert_eq!(answer.request_id, "req-7");
    let records = server.kit.log.decisions();
    let last = records.last().unwrap();
    assert_eq!(last.request_id.as_deref(), Some("req-7"));
    assert_eq!(last.principal.as_deref(), Some("user:alice"));
    assert_eq!(last.target, "tenants/acme/none");
}

#[test]
fn a_token_that_does_not_hold_opens_nothing() {
    let server = Server::start();
    let good = server.token("alice", "acme");
    server.call("PUT /secrets/tenants/acme/hook", &good, "key");
    let recorded = server.kit.log.decisions().len();

    let other = AsymmetricKeyPair::<V4>::generate().unwrap();
    let foreign = web_service::issue(&other.secret, "alice", "acme", None).unwrap();
    let mut changed = good.clone();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.insert(changed.len() - 9, last);
    let past = Some("2026-01-01T00:00:00Z");
    let expired = web_service::issue(&server.issuer.secret, "alice", "acme", past).unwrap();
    for token in ["", "v4.public.", "alice", &foreign, &changed, &expired] {
        let answer = server.call("GET /secrets/tenants/acme/hook", token, "");
        assert_eq!(answer.status, 401, "{token}");
        assert_eq!(answer.body, r#"{"error":"a valid token is needed"}"#);
    }
    assert_eq!(server.kit.log.decisions().len(), recorded, "nobody got as far as a session");
    assert_eq!(server.call("GET /secrets/tenants/acme/hook", &good, "").status, 200);
}

/// Should a token outlive its time between two looks, the engine looks once more.
#[test]
fn the_engine_refuses_a_principal_whose_token_ran_out() {
    let server = Server::start();
    let alice = server.token("alice", "acme");
    server.call("PUT /secrets/tenants/acme/hook", &alice, "key");
    server.kit.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(server.call("POST /sign/tenants/acme/hook", &alice, "text").status, 404);
}

#[test]
fn what_is_denied_and_what_is_absent_are_told_alike_to_the_last_byte() {
    let server = Server::start();
    let (alice, mallory) = (server.token("alice", "acme"), server.token("mallory", "other"));
    server.call("PUT /secrets/tenants/acme/hook", &alice, "key");
    for call in ["GET /secrets", "POST /sign", "PUT /secrets"] {
        let denied = server.call(&format!("{call}/tenants/acme/hook"), &mallory, "text");
        let nothing = server.call(&format!("{call}/tenants/acme/none"), &mallory, "text");
        assert_eq!((denied.status, &denied), (404, &nothing), "{call}");
    }
    let absent = server.call("GET /secrets/tenants/other/none", &mallory, "");
    let denied = server.call("GET /secrets/tenants/acme/hook", &mallory, "");
    assert_eq!(denied, absent);
    let token_key = server.call("GET /secrets/web/token-key", &mallory, "");
    assert_eq!(token_key, absent);
}

#[test]
fn each_outcome_has_its_status() {
    let server = Server::start();
    let alice = server.token("alice", "acme");
    let put = |query: &str| {
        server.call(&format!("PUT /secrets/tenants/acme/hook?{query}"), &alice, "key").status
    };
    assert_eq!(put("expected=0"), 201);
    assert_eq!(put("expected=0"), 409);
    assert_eq!(put("expected=1"), 201);
    assert_eq!(put("expected=1"), 409);
    assert_eq!(put(""), 201);
    assert_eq!(server.call("PUT /secrets/tenants/acme/..%2Fx", &alice, "key").status, 400);

    let sealed = server.kit.room().seal();
    let answer = server.call("POST /sign/tenants/acme/hook", &alice, "text");
    assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"error":"try again later"}"#));
    assert_eq!(put("expected=3"), 503);
    drop(sealed);
}
