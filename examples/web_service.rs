//! A web service: `cargo run --example web_service [DIRECTORY]`.
//!
//! Tenants keep keys for webhooks here, and have texts signed with them; no endpoint hands a key
//! out. Who asks is proven by a token (PASETO v4, Ed25519), and the key that tokens are verified
//! with comes out of strongroom itself: replacing it needs a permit, and is in the log.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::path::{Path as Directory, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hmac::{Hmac, KeyInit as _, Mac as _};
use pasetors::claims::{Claims, ClaimsValidationRules};
use pasetors::keys::{AsymmetricKeyPair, AsymmetricPublicKey, AsymmetricSecretKey, Generate as _};
use pasetors::token::UntrustedToken;
use pasetors::{Public, public, version4::V4};
use serde_json::json;
use sha2::Sha256;
use strongroom::{
    EncryptionKey, Entropy as _, Error, Expected, FileLog, Passphrase, Policy, Principal,
    RequestContext, Session, SqliteStorage, Stage, Strongroom, SystemEntropy, Timestamp, Version,
};

pub(crate) const POLICY: &str = r#"
    [[rule]]
    id = "tenants-use-their-own-keys"
    effect = "allow"
    principals = ["user:*"]
    actions = ["read", "read-metadata", "write"]
    paths = ["tenants/${tenant}/**"]

    [[rule]]
    id = "the-service-verifies-tokens"
    effect = "allow"
    principals = ["service:web"]
    actions = ["read"]
    paths = ["web/token-key"]

    [[rule]]
    id = "an-installer-sets-it-up"
    effect = "allow"
    principals = ["pipeline:install"]
    actions = ["write", "create-namespace"]
    paths = ["tenants", "web", "web/token-key"]
"#;

const ISSUER: &str = "https://login.example";
const REQUEST_ID: &str = "x-request-id";

#[derive(Clone)]
struct Service {
    room: Strongroom,
    token_key: Arc<AsymmetricPublicKey<V4>>,
}

/// The service over an open store, which holds the key that tokens are verified with.
pub(crate) async fn app(room: Strongroom) -> Result<Router, Box<dyn std::error::Error>> {
    let web = room.session(Principal::service("web"));
    let key: EncryptionKey = web.get("web/token-key").await?;
    let token_key = Arc::new(key.key().expose(AsymmetricPublicKey::<V4>::from)?);
    Ok(Router::new()
        .route("/secrets/{*path}", get(describe).put(store))
        .route("/sign/{*path}", post(sign))
        .layer(from_fn(with_request_id))
        .with_state(Service { room, token_key }))
}

/// Uses a key, and answers with what was made of it.
async fn sign(
    Caller(session): Caller,
    Path(path): Path<String>,
    text: Bytes,
) -> Result<String, Failure> {
    let key: EncryptionKey = session.get(path).await?;
    let mac = key.key().expose(Hmac::<Sha256>::new_from_slice).map_err(|_| Failure::Broken)?;
    let signature = mac.chain_update(&text).finalize().into_bytes();
    Ok(signature.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What there is, without a value.
async fn describe(
    Caller(session): Caller,
    Path(path): Path<String>,
) -> Result<Json<serde_json::Value>, Failure> {
    let found = session.metadata(path).await?;
    Ok(Json(json!({
        "kind": found.kind,
        "current": found.stage(Stage::Current),
        "updated": found.updated.to_string(),
        "labels": found.metadata.labels,
    })))
}

#[derive(serde::Deserialize)]
struct Precondition {
    /// The version that must be in force; 0 for "there must be none".
    expected: Option<u64>,
}

async fn store(
    Caller(session): Caller,
    Path(path): Path<String>,
    Query(precondition): Query<Precondition>,
    key: Bytes,
) -> Result<(StatusCode, Json<serde_json::Value>), Failure> {
    let expected = match precondition.expected {
        None => Expected::Any,
        Some(number) => Version::new(number).map_or(Expected::Absent, Expected::Version),
    };
    let key = EncryptionKey::new("hmac-sha256", &*key);
    let version = session.put_with(path, key, expected).await?;
    Ok((StatusCode::CREATED, Json(json!({ "version": version }))))
}

/// Whoever holds a valid token, as a session. There is no other way to one here.
struct Caller(Session);

impl FromRequestParts<Service> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Failure> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| value.strip_prefix("Bearer "));
        let principal = token.and_then(|token| verify(&service.token_key, token));
        let mut context = RequestContext::new();
        if let Some(id) = parts.extensions.get::<RequestId>() {
            context = context.with_request_id(id.0.clone());
        }
        let principal = principal.ok_or(Failure::Unauthenticated)?;
        Ok(Self(service.room.session(principal).with_context(context)))
    }
}

/// The bearer of a token whose signature, issuer and times are in order.
fn verify(key: &AsymmetricPublicKey<V4>, token: &str) -> Option<Principal> {
    let mut rules = ClaimsValidationRules::new(); // "exp" must be there, and in the future
    rules.validate_issuer_with(ISSUER);
    let token = UntrustedToken::<Public, V4>::try_from(token).ok()?;
    let token = public::verify(key, &token, &rules, None, None).ok()?;
    let claim = |name| token.payload_claims()?.get_claim(name)?.as_str();
    let until: Timestamp = claim("exp")?.parse().ok()?;
    let principal = Principal::user(claim("sub")?).with_claim("tenant", claim("tenant")?);
    Some(principal.valid_until(until))
}

#[derive(Clone)]
struct RequestId(Arc<str>);

/// Takes the id that a proxy gave the request, or gives it one; the audit log has it, too.
async fn with_request_id(mut request: Request, next: Next) -> Response {
    let is_plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let id: Arc<str> = match given.filter(is_plain) {
        Some(id) => id.into(),
        None => {
            let mut random = [0; 8];
            if SystemEntropy.fill(&mut random).is_err() {
                return Failure::Broken.into_response();
            }
            format!("{:016x}", u64::from_be_bytes(random)).into()
        }
    };
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

enum Failure {
    Unauthenticated,
    Room(Error),
    Broken,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Room(error)
    }
}

impl IntoResponse for Failure {
    /// Who may not know whether something is there gets one answer for both, to the last byte.
    /// Why is told to the operator: here, and in the audit log under the request's id.
    fn into_response(self) -> Response {
        match &self {
            Self::Room(Error::Denied(denied)) => eprintln!("{denied}: {}", denied.explain()),
            Self::Room(error) => {
                eprintln!("{error}");
                // An error's own text leaves its causes to `source`.
                let mut cause = std::error::Error::source(error);
                while let Some(next) = cause {
                    eprintln!("  because {next}");
                    cause = next.source();
                }
            }
            _ => {}
        }
        let (status, text) = match self {
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "a valid token is needed"),
            Self::Room(Error::Denied(_) | Error::NotFound(_)) => {
                (StatusCode::NOT_FOUND, "there is nothing here for you")
            }
            Self::Room(Error::Conflict(_)) => {
                (StatusCode::CONFLICT, "it has changed: read again and decide anew")
            }
            Self::Room(Error::Invalid(_)) => (StatusCode::BAD_REQUEST, "this cannot be done"),
            Self::Room(Error::Indeterminate(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "it may have been written: read before you retry")
            }
            Self::Room(Error::Sealed | Error::Unavailable(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "try again later")
            }
            // `Tampered`, and what later versions add.
            Self::Room(_) | Self::Broken => {
                (StatusCode::INTERNAL_SERVER_ERROR, "something is broken here")
            }
        };
        (status, Json(json!({ "error": text }))).into_response()
    }
}

/// What an installer does once: the namespaces, and the key of whoever issues the tokens.
pub(crate) async fn set_up(
    room: &Strongroom,
    issuer: &AsymmetricPublicKey<V4>,
) -> Result<(), Error> {
    let install = room.session(Principal::pipeline("install"));
    match install.create_namespace("tenants").await {
        Ok(()) | Err(Error::Conflict(_)) => {}
        Err(error) => return Err(error),
    }
    let key = EncryptionKey::new("paseto-v4-public", issuer.as_bytes());
    install.put("web/token-key", key).await.map(drop)
}

/// What an identity provider does elsewhere: a token for a user of a tenant.
pub(crate) fn issue(
    key: &AsymmetricSecretKey<V4>,
    user: &str,
    tenant: &str,
    until: Option<&str>,
) -> Result<String, pasetors::errors::Error> {
    let mut claims = Claims::new()?; // for an hour, unless said otherwise
    claims.issuer(ISSUER)?;
    claims.subject(user)?;
    claims.add_additional("tenant", tenant)?;
    if let Some(until) = until {
        claims.expiration(until)?;
    }
    public::sign(key, &claims, None, None)
}

async fn open(dir: &Directory) -> Result<Strongroom, Box<dyn std::error::Error>> {
    Ok(Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db"))?)
        .seal(Passphrase::new("correct horse battery staple"))
        .policy(Policy::from_toml(POLICY)?)
        .audit(FileLog::open(dir.join("audit"))?)
        .open_or_create()
        .await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let dir = std::env::args().nth(1).map_or_else(|| scratch.path().join("room"), PathBuf::from);
    let room = open(&dir).await?;
    let issuer = AsymmetricKeyPair::<V4>::generate()?;
    set_up(&room, &issuer.public).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (at, app) = (listener.local_addr()?, app(room).await?);
    println!("listening on http://{at}; try, with T set to the token in the last line:");
    println!("  curl -H \"Authorization: Bearer $T\" -T - http://{at}/secrets/tenants/acme/hook");
    println!("  curl -H \"Authorization: Bearer $T\" http://{at}/secrets/tenants/acme/hook");
    println!("  curl -H \"Authorization: Bearer $T\" -d text http://{at}/sign/tenants/acme/hook");
    println!("{}", issue(&issuer.secret, "alice", "acme", None)?);
    axum::serve(listener, app).await?;
    Ok(())
}
