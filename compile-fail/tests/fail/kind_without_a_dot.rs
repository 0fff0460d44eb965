//! A host's kind can not take a name of strongroom's own.

use strongroom_core::KindName;

fn main() {
    const KIND: KindName = KindName::new("password"); //~ E0080
    assert_eq!(KIND.as_str(), "password");
}
