//! A name with a dot.

use strongroom_core::KindName;

fn main() {
    const KIND: KindName = KindName::new("acme.password");
    assert_eq!(KIND.as_str(), "acme.password");
}
