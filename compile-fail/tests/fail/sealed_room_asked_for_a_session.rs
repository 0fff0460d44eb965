//! A sealed store serves nobody.

use strongroom_core::Principal;
use strongroom_testkit::TestRoom;

fn main() {
    let sealed = TestRoom::allowing_all().room().seal();
    let _session = sealed.session(Principal::user("alice")); //~ E0599
}
