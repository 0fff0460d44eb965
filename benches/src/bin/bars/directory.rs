//! What the files of a store tell to whoever reads them: no path, no caller, no label, no value.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{Credential, MetadataUpdate, Principal, RequestContext, SecretPath, Strongroom};
use strongroom_benches::{Dice, Hit, Needles, Outcome, Room, bar, in_tasks, say};

const SEED: u64 = 0x0064_6972_6563_746f;
/// How many bytes of a name in a row are a find.
const WINDOW: usize = 12;
const NAMESPACES: usize = 10;
const TASKS: usize = 256;

pub(crate) fn tells_nothing(quick: bool) -> Outcome {
    let secrets = if quick { 500 } else { 10_000 };
    let scratch = tempfile::tempdir()?;
    let rules = Rules::of(SEED);
    let room = block_on(Room::builder_under(scratch.path(), &rules.text())?.create())?;
    fill(&room, secrets)?;

    let needles = needles(&rules, secrets)?;
    let control = control();
    let mut found = Vec::new();
    let open = search(scratch.path(), &needles, &control)?;
    found.extend(open.hits);
    block_on(room.close())?;
    let closed = search(scratch.path(), &needles, &control)?;
    found.extend(closed.hits);

    for hit in found.iter().take(10) {
        say(hit);
    }
    say(format!("{} texts searched for, all forms counted", needles.len()));
    let figure = format!(
        "{} hits for {secrets} secrets in {} files ({} MB) of the open store and {} ({} MB) of the \
         closed one; what is in clear by promise was found {} and {} times",
        found.len(),
        open.files,
        open.bytes >> 20,
        closed.files,
        closed.bytes >> 20,
        open.controls,
        closed.controls,
    );
    let reached = found.is_empty() && open.controls >= secrets && closed.controls >= secrets;
    bar("directory", figure, reached);
    Ok(())
}

/// All that is told to a store about one secret.
struct Story {
    namespace: String,
    segments: [String; 2],
    caller: String,
    role: String,
    claim: [String; 2],
    label: [String; 2],
    owner: String,
    description: String,
    username: String,
    password: String,
    source: Ipv6Addr,
    reason: String,
    intruder: String,
}

impl Story {
    fn of(number: usize) -> Self {
        let dice = &mut Dice::of(SEED, number);
        let mut word = || dice.letters(20);
        Self {
            namespace: Dice::of(!SEED, number % NAMESPACES).letters(20),
            segments: [word(), word()],
            caller: word(),
            role: word(),
            claim: [word(), word()],
            label: [word(), word()],
            owner: word(),
            description: format!("{} {}", word(), word()),
            username: word(),
            password: word(),
            reason: format!("{} {}", word(), word()),
            intruder: word(),
            source: Ipv6Addr::from((u128::from(dice.roll()) << 64) | u128::from(dice.roll())),
        }
    }

    fn path(&self) -> Result<SecretPath, strongroom::Error> {
        let [first, second] = &self.segments;
        Ok(format!("{}/{first}/{second}", self.namespace).parse::<SecretPath>()?)
    }

    fn needles(&self) -> [(&'static str, &str); 15] {
        let [first, second] = &self.segments;
        let ([claim, claimed], [label, labelled]) = (&self.claim, &self.label);
        [
            ("path", first),
            ("path", second),
            ("caller", &self.caller),
            ("role", &self.role),
            ("claim", claim),
            ("claim", claimed),
            ("label", label),
            ("label", labelled),
            ("owner", &self.owner),
            ("description", &self.description),
            ("user name", &self.username),
            ("value", &self.password),
            ("reason", &self.reason),
            ("refused caller", &self.intruder),
            ("namespace", &self.namespace),
        ]
    }
}

/// The id of a rule and what it says of itself.
struct Rules([String; 2]);

impl Rules {
    fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        Self([dice.letters(20), dice.letters(20)])
    }

    fn text(&self) -> String {
        let [id, description] = &self.0;
        format!(
            "[[rule]]\nid = \"{id}\"\ndescription = \"{description}\"\neffect = \"allow\"\n\
             principals = [\"user:*\"]\nactions = [\"*\"]\npaths = [\"**\", \"/\"]\n"
        )
    }
}

/// The id of a request is in clear, as FORMAT.md says: it must be found.
const REQUEST: &str = "request-in-clear";

fn control() -> Needles {
    let mut control = Needles::new(REQUEST.len());
    control.add("request id", REQUEST.as_bytes());
    control
}

fn needles(rules: &Rules, secrets: usize) -> Outcome<Needles> {
    let mut needles = Needles::new(WINDOW);
    for text in &rules.0 {
        needles.add("rule", text.as_bytes());
    }
    for number in 0..secrets {
        let story = Story::of(number);
        // A namespace has many secrets.
        let shared = usize::from(number >= NAMESPACES);
        let texts = story.needles();
        for (what, text) in texts.iter().take(texts.len() - shared) {
            needles.add(format!("{what} of secret {number}"), text.as_bytes());
        }
        needles.add(format!("source of secret {number}"), &story.source.octets());
        needles.add(format!("source of secret {number}"), story.source.to_string().as_bytes());
    }
    if needles.is_empty() { Err("nothing to search for".into()) } else { Ok(needles) }
}

/// Puts, labels and reads each secret, and has somebody refused at it.
fn fill(room: &Strongroom, secrets: usize) -> Outcome {
    let room = Arc::new(room.clone());
    in_tasks(TASKS, secrets, move |number| {
        let (room, story) = (Arc::clone(&room), Story::of(number));
        async move {
            let [claim, claimed] = story.claim.clone();
            let caller = Principal::user(&story.caller)
                .with_role(story.role.as_str())
                .with_claim(claim, claimed);
            let context = RequestContext::new()
                .with_request_id(REQUEST)
                .with_source(IpAddr::V6(story.source))
                .with_reason(story.reason.as_str());
            let session = room.session(caller).with_context(context.clone());
            let path = story.path()?;
            let login = Credential::new(story.username.as_str(), story.password.as_str());
            session.put(path.clone(), login).await?;
            let [label, labelled] = story.label.clone();
            let update = MetadataUpdate::new()
                .label(label, labelled)
                .owner(story.owner.as_str())
                .description(story.description.as_str());
            session.update_metadata(path.clone(), update).await?;
            let read: Credential = session.get(path.clone()).await?;
            let intruder = Principal::service(&story.intruder);
            let refused = room.session(intruder).with_context(context);
            match refused.get::<Credential>(path).await {
                Err(strongroom::Error::Denied(_)) if read.username() == story.username => Ok(()),
                Err(error) => Err(error),
                Ok(_) => Err(strongroom::Error::Sealed),
            }
        }
    })
}

#[derive(Default)]
struct Search {
    files: usize,
    bytes: usize,
    controls: usize,
    hits: Vec<String>,
}

/// Searches names and contents of every file.
fn search(dir: &Path, needles: &Needles, control: &Needles) -> Outcome<Search> {
    let mut search = Search::default();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                dirs.push(entry.path());
                continue;
            }
            let place = entry.path();
            let (name, bytes) = (entry.file_name(), fs::read(&place)?);
            let mut hits = needles.find(name.as_encoded_bytes());
            hits.extend(needles.find(&bytes));
            let told = |hit: Hit| format!("{}: {hit}", place.display());
            search.hits.extend(hits.into_iter().map(told));
            search.controls += control.find(&bytes).len();
            search.bytes += bytes.len();
            search.files += 1;
        }
    }
    Ok(search)
}
